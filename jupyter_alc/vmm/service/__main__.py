"""`python -m jupyter_alc.vmm.service`: VMM. It ends with what started it; machines live on."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.core.settings import Places
from jupyter_alc.vmm.clouds.door import open_cloud
from jupyter_alc.vmm.kept import end_with_parent
from jupyter_alc.vmm.service.application import Service
from jupyter_alc.vmm.timing import Timing
from jupyter_alc.vmm.tokens import hub_secret
from jupyter_alc.vmm.types import DEFAULT_TYPES, read_machine_types, types_by_id

log = logging.getLogger("jupyter_alc.vmm")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read the arguments; each has its environment variable."""
    env = os.environ
    places = Places.from_environment()
    at = urlsplit(env.get("JUPYTERHUB_SERVICE_URL", ""))
    address = env.get("ALC_VMM_ADDRESS") or at.hostname or env.get("ALC_SERVICE_ADDRESS") or "127.0.0.1"
    parser = argparse.ArgumentParser(prog="python -m jupyter_alc.vmm.service", description=__doc__)
    add = parser.add_argument
    add("--address", default=address, help="where to listen, and nowhere else (ALC_VMM_ADDRESS)")
    add("--port", type=int, default=int(env.get("ALC_VMM_PORT") or at.port or 0), help="(ALC_VMM_PORT) 0: any free one")
    add("--state", type=Path, default=places.state, help="what must survive (ALC_STATE)")
    add("--launcher", type=Path, default=Path(env.get("ALC_LAUNCHER") or places.run / "launcher.sock"))
    add("--cloud", default=env.get("ALC_CLOUD") or "local", help="where machines are made (ALC_CLOUD)")
    add("--machine-types", type=Path, default=env.get("ALC_MACHINE_TYPES") or None, help="(ALC_MACHINE_TYPES)")
    add("--hub-secret-file", type=Path, default=env.get("ALC_HUB_SECRET_FILE") or None)
    add("--hub-api", default=env.get("JUPYTERHUB_API_URL", ""), help="(JUPYTERHUB_API_URL)")
    add("--machine-url", default=env.get("ALC_MACHINE_URL", ""), help="the URL that agents use (ALC_MACHINE_URL)")
    told = "how long one try to send unsent results may take (ALC_SEND_SECONDS)"
    add("--send-seconds", type=float, default=env.get("ALC_SEND_SECONDS") or Timing().flush_seconds, help=told)
    add("--prefix", default=env.get("JUPYTERHUB_SERVICE_PREFIX") or "/services/vmm")
    return parser.parse_args(given)


def lock_keeper(path: Path) -> IO[str] | None:
    """Take the keeper's lock; None when another VMM has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("a", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


async def wait_for_lock(path: Path, stop: asyncio.Event) -> IO[str] | None:
    """Wait until no other VMM keeps; None when told to stop meanwhile."""
    told = False
    while not stop.is_set():
        file = lock_keeper(path)
        if file is not None:
            return file
        if not told:
            log.warning("another VMM keeps the machines of %s; waiting for it to end", path.parent)
            told = True
        await asyncio.sleep(0.3)
    return None


async def serve(given: argparse.Namespace, parent: int) -> int:
    """Serve until a signal comes or the parent is gone; return the exit code."""
    types = read_machine_types(given.machine_types) if given.machine_types else DEFAULT_TYPES
    if not given.hub_api:
        raise BadInput("No Hub to ask about tokens.", next_step="Set JUPYTERHUB_API_URL.", field="hub_api")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_watch_parent(parent, stop))
    folder = given.state / "vmm"
    lock = await wait_for_lock(folder / "keeper.lock", stop)
    if lock is None:
        return 0
    service = Service(
        store_path=folder / "vmm.sqlite",
        cloud=open_cloud(given.launcher, given.cloud),
        types=types_by_id(types),
        hub_secret=hub_secret(given.hub_secret_file or folder / "hub-secret"),
        hub_api=given.hub_api,
        machine_url=given.machine_url,
        timing=Timing(flush_seconds=given.send_seconds),
        prefix=given.prefix,
    )
    await service.start(given.address, given.port)
    log.info("VMM answers at %s", service.url)
    await stop.wait()
    log.info("VMM ends; machines live on")
    await service.stop()
    watch.cancel()
    lock.close()
    return 0


async def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  (nobody tells when a parent dies)
        await asyncio.sleep(1.0)
    stop.set()


def main() -> int:
    """Run VMM; one line and exit code 2 for a mistake in the settings."""
    parent = end_with_parent()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        return asyncio.run(serve(arguments(), parent))
    except AlcError as error:
        log.critical("%s", error.line)
        return 2


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a call to the cloud under way in a thread must not hold the Hub's own end
