"""People with passwords of their own: made at the Hub's first start, kept only as hashes, told once."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import bcrypt
from jupyterhub.handlers.login import LoginHandler
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.handlers import ChangePasswordAdminHandler, ChangePasswordHandler
from nativeauthenticator.orm import UserInfo
from traitlets import Bool, List, Unicode

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def new_password() -> str:
    """Return a password of 90 random bits that is easy to read and to type: four groups of five."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


class PeopleAuthenticator(NativeAuthenticator):  # type: ignore[misc]
    """NativeAuthenticator with the sign-up closed and a list of people who get an account at the first start."""

    people = List(
        Unicode(),
        config=True,
        help="Names that get an account with a random password unless they have one. Default: nobody.",
    )
    logins_once = Unicode(
        "",
        config=True,
        help=(
            "File that new passwords are written to, mode 0600, for whoever starts the Hub to read and delete. "
            "Without it nobody gets an account, because nobody could learn the password."
        ),
    )
    renew = Bool(
        False,
        config=True,
        help="Give everybody in `people` a new password at this start. For forgotten ones; the old ones end.",
    )

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if self.logins_once:
            self._make_people()

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """The Hub's own login page, and changing one's password; no sign-up, no approvals.

        NativeAuthenticator's login handler asks for statsd, which JupyterHub 6 has no more: it answers 500.
        """
        return [
            (r"/login", LoginHandler),
            (r"/change-password", ChangePasswordHandler),
            (r"/change-password/([^/]+)", ChangePasswordAdminHandler),
        ]

    def _make_people(self) -> None:
        known = {name: UserInfo.find(self.db, name) for name in map(self.normalize_username, self.people)}
        new = {name: new_password() for name, info in known.items() if info is None or self.renew}
        if not new:
            return
        # told first: a crash in between leaves a password nobody has, never an account nobody can enter
        _write_private(Path(self.logins_once), new)
        for name, password in new.items():
            info = known[name] or UserInfo(username=name)
            info.password = bcrypt.hashpw(password.encode(), bcrypt.gensalt())
            info.is_authorized = True
            self.db.add(info)
        self.db.commit()
        self.log.info("Made passwords for %s", ", ".join(sorted(new)))


def _write_private(path: Path, logins: dict[str, str]) -> None:
    """Write the logins, beside those of an earlier start that nobody fetched, so that others can never read them."""
    earlier = json.loads(path.read_text()) if path.exists() else {}
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({**earlier, **logins}, file)
    draft.replace(path)
