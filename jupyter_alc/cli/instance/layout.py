"""Where everything of one instance lies, on this computer and inside the sandbox of its services."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jupyter_alc
from jupyter_alc.core.errors import Denied
from jupyter_alc.core.settings import Places

SERVICE_UID: Final = 52000  # Hub, proxy and VMM
ARCHIVE_UID: Final = 52001  # the example archive
ENV_AT: Final = "/opt/alc/env"


def _hub_config() -> Path:
    checkout = Path(jupyter_alc.__file__).resolve().parent.parent / "hub_config"
    installed = Path(sys.prefix) / "share/jupyter-alc/hub_config"
    return checkout if (checkout / "jupyterhub_config.py").exists() else installed


def _proxy_tree(hub_config: Path) -> Path:
    given = os.environ.get("ALC_PROXY_TREE")
    if given:
        return Path(given).absolute()
    places = (
        Path(sys.prefix, "../../proxy/node_modules").resolve(),
        hub_config.parent / "build/proxy/node_modules",
        hub_config / "proxy/node_modules",
    )
    return next((one for one in places if one.is_dir()), places[-1])


def _code() -> Path | None:
    """The checkout the code comes from; None when it is installed in the environment."""
    top = Path(jupyter_alc.__file__).resolve().parent.parent
    return None if top.is_relative_to(Path(sys.prefix).resolve()) else top


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one instance. `root` says whether its services get sandboxes and uids of their own."""

    state: Path
    run: Path
    environments: Path
    hub_config: Path
    proxy_tree: Path
    environment: Path
    code: Path | None
    root: bool

    @classmethod
    def found(cls, *, state: Path | None = None, environments: Path | None = None) -> Layout:
        """Find everything from what is given, from ALC_* and from where this program itself lies."""
        places = Places.from_environment()
        root = os.geteuid() == 0
        kept = (state or places.state).absolute()
        given_run = os.environ.get("ALC_RUN")
        short = hashlib.sha256(os.fsencode(kept)).hexdigest()[:8]
        runs = Path("/run/jupyter-alc") if root else places.run
        config = _hub_config()
        return cls(
            state=kept,
            run=Path(given_run).absolute() if given_run else runs / short,
            environments=(environments or Path(sys.prefix).parent).absolute(),
            hub_config=config,
            proxy_tree=_proxy_tree(config),
            environment=Path(sys.prefix),
            code=_code(),
            root=root,
        )

    @property
    def checkout(self) -> bool:
        """Say whether this environment was made by a checkout's `make env`."""
        return self.code is not None or (self.environment / "../../../.ci/environment.py").exists()

    @property
    def service(self) -> Path:
        """What Hub and VMM keep; inside their sandbox it is /var/lib/alc."""
        return self.state / "service"

    @property
    def archive(self) -> Path:
        """What the example archive keeps."""
        return self.state / "archive"

    @property
    def logs(self) -> Path:
        """One log for each program."""
        return self.state / "log"

    def make(self) -> None:
        """Make the folders, each with its owner and closed to others. Raises OSError."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        for folder, uid in ((self.service, SERVICE_UID), (self.archive, ARCHIVE_UID), (self.logs, 0)):
            own(folder, uid if self.root else None)
        self._make_run()

    def _make_run(self) -> None:
        self.run.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.run.parent, self.run.parent.parent):
            mine = folder.lstat()
            if mine.st_uid not in {0, os.geteuid()}:
                raise Denied(f"{folder} is somebody else's.", next_step="Set ALC_RUN to a short folder of your own.")
        if self.root and self.run.parent == Path("/run/jupyter-alc"):
            self.run.parent.chmod(0o755)
        self.run.mkdir(exist_ok=True)
        self.run.chmod(0o755 if self.root else 0o700)
        own(self.run / "hub", SERVICE_UID if self.root else None)

    def remove_run(self) -> None:
        """Take the sockets' folder away, and what was made above it."""
        shutil.rmtree(self.run, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.run.parent.rmdir()
            if self.run.parent.parent.name == f"alc-{os.getuid()}":
                self.run.parent.parent.rmdir()


def own(folder: Path, uid: int | None) -> None:
    """Make a folder that only its owner enters; `uid` None leaves it to whoever runs this."""
    folder.mkdir(exist_ok=True)
    if uid is not None:
        os.chown(folder, uid, uid)
    folder.chmod(0o700)


def write_private(path: Path, text: str, uid: int | None = None) -> None:
    """Write a 0600 file whole or not at all, owned by `uid`, whatever the folder's owner has put there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if uid is not None:
            os.fchown(file.fileno(), uid, uid)
    draft.replace(path)
