"""A number for each person, for life; the uids of her account and of her data daemon follow from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from jupyter_alc.core.names import hashed, slug

FIRST_UID: Final = 53_000
_SYSTEM: Final = frozenset(
    (
        *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data"),
        *("backup", "list", "irc", "gnats", "nobody", "dms", "alc", "alc-dms", "messagebus", "sshd"),
        *("systemd-network", "systemd-resolve"),
    )
)


def account_name(hub_name: str) -> str:
    """Return the name of the account for a Hub user: safe as a folder, never a system account's, no two alike."""
    short = slug(hub_name, 32)
    if short in _SYSTEM or short[0].isdigit():
        return hashed(f"u-{short}", hub_name)
    return short


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was given a machine at least once. `number` counts from 0 in the order of first claims."""

    hub_name: str
    number: int

    @property
    def account(self) -> str:
        """The account's name on a machine."""
        return account_name(self.hub_name)

    @property
    def home(self) -> str:
        """Where her home volume is attached."""
        return f"/home/{self.account}"

    def uids(self, *, isolated: bool) -> dict[str, int]:
        """Return uid, gid, dms_uid, dms_gid; where machines are not isolated all are those of this process."""
        if not isolated:
            return {"uid": os.getuid(), "gid": os.getgid(), "dms_uid": os.getuid(), "dms_gid": os.getgid()}
        user = FIRST_UID + 2 * self.number
        return {"uid": user, "gid": user, "dms_uid": user + 1, "dms_gid": user + 1}

    def as_json(self, *, isolated: bool) -> dict[str, Any]:
        """Return what the agent needs to make the account."""
        return {"name": self.account, "hub_name": self.hub_name, **self.uids(isolated=isolated)}
