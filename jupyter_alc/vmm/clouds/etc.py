"""The filtered `/etc` of a machine: what programs need to run, nothing that tells about the host or its people."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOST_ETC: Final = Path("/etc")
_WANTED: Final = (
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "profile",
    "protocols",
    "services",
    "shells",
    "ssl",
    "timezone",
)
_NEVER: Final = shutil.ignore_patterns("private", "*.key", "*.keystore")


def _sources() -> Iterator[Path]:
    yield from (HOST_ETC / name for name in _WANTED)
    yield from HOST_ETC.glob("java-*")


def filtered_etc(target: Path, hostname: str, people: Iterable[tuple[str, int, int]] = ()) -> Path:
    """Make `target` a machine's `/etc`: chosen files of the host, own passwd, group and hosts.

    `people` are (name, uid, gid) known beside root. Private keys of the host are left out. Raises OSError.
    """
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(mode=0o755, parents=True)
    for source in _sources():
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target / source.name, symlinks=True, ignore=_NEVER)
        elif source.exists() or source.is_symlink():
            shutil.copy2(source, target / source.name, follow_symlinks=False)
    users, groups = ["root:x:0:0:root:/root:/bin/bash"], ["root:x:0:"]
    for name, uid, gid in (*people, ("nobody", 65534, 65534)):
        users.append(f"{name}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin")
        groups.append(f"{name}:x:{gid}:")
    own = {
        "passwd": "\n".join(users) + "\n",
        "group": "\n".join(groups) + "\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {hostname}\n",
        "hostname": f"{hostname}\n",
        "fuse.conf": "user_allow_other\n",
    }
    for name, text in own.items():
        (target / name).write_text(text)
        (target / name).chmod(0o644)
    target.chmod(0o755)
    return target
