"""Who is measured: our data service and its peers, each as its own page says to start it, each mounted anew."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from bench.reading import passthrough
from day.report import require
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

SERVICE_UID: Final = 52901
QUOTA_BYTES: Final = 4 << 30


@dataclass(frozen=True)
class Store:
    """Where the objects are, as a client reaches them: through the proxy."""

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Mounted:
    """A mount that answers: its folder with the bucket's objects, and the process that serves it."""

    folder: Path
    pid: int
    socket: Path | None = None
    """Where our data service answers other doors than the mount."""


class Client(Protocol):
    """Somebody who mounts the bucket, and what tables call it."""

    @property
    def name(self) -> str:
        """Its name."""

    def mounted(self, place: Path, store: Store) -> AbstractContextManager[Mounted]:
        """Mount below `place`, which was empty; at the end nothing of it runs."""


@dataclass(frozen=True)
class Ours:
    """The daemon as a machine's agent starts it: by root, under a user of its own, which it becomes."""

    name: str = "ours"

    @contextlib.contextmanager
    def mounted(self, place: Path, store: Store) -> Iterator[Mounted]:
        """Mount below `place`."""
        url = f"s3://{store.bucket}/?endpoint={store.endpoint}&region={store.region}"
        keys = {"access_key": store.access_key, "secret_key": store.secret_key}
        dataset = MountedDataset("bench", "Bench", "s3", url, Access.READ, published=True, credentials=keys)
        with service(place, [dataset]) as running:
            assert running.process is not None
            yield Mounted(place / "mount/bench", running.process.pid, running.socket)


@contextlib.contextmanager
def service(place: Path, datasets: Sequence[MountedDataset]) -> Iterator[DataService]:
    """Our data service on `place`, mounted at `place/mount`."""
    (place / "dms").mkdir(mode=0o711)
    running = DataService(
        place / "dms",
        datasets,
        mount=place / "mount",
        files_uid=os.geteuid(),
        run_as=SERVICE_UID if os.geteuid() == 0 else None,
        extra={"quota_bytes": QUOTA_BYTES},
    )
    try:
        word = running.start()
        require(word["mounted"], f"our data service does not mount: {word['problem']}")
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Rclone:
    """rclone mount with its cache; `options` beyond those that name the store."""

    name: str
    options: tuple[str, ...] = ()

    @contextlib.contextmanager
    def mounted(self, place: Path, store: Store) -> Iterator[Mounted]:
        """Mount below `place`."""
        folder, told = place / "mount", "RCLONE_CONFIG_RGW_"
        environment = {
            f"{told}TYPE": "s3",
            f"{told}PROVIDER": "Ceph",
            f"{told}ENDPOINT": store.endpoint,
            f"{told}REGION": store.region,
            f"{told}ACCESS_KEY_ID": store.access_key,
            f"{told}SECRET_ACCESS_KEY": store.secret_key,
            "RCLONE_CONFIG": str(place / "rclone.conf"),
        }
        front = ["rclone", "mount", f"rgw:{store.bucket}", str(folder), "--read-only", "--vfs-cache-mode", "full"]
        with program([*front, "--cache-dir", str(place / "cache"), *self.options], folder, environment) as pid:
            yield Mounted(folder, pid)


@dataclass(frozen=True)
class S3fs:
    """s3fs-fuse, with a cache on disk or without."""

    name: str
    cache: bool = False

    @contextlib.contextmanager
    def mounted(self, place: Path, store: Store) -> Iterator[Mounted]:
        """Mount below `place`."""
        folder, secret = place / "mount", place / "passwd-s3fs"
        secret.write_text(f"{store.access_key}:{store.secret_key}\n")
        secret.chmod(0o600)
        options = ["-o", f"url={store.endpoint}", "-o", "use_path_request_style", "-o", f"passwd_file={secret}"]
        if self.cache:
            (place / "cache").mkdir()
            options += ["-o", f"use_cache={place / 'cache'}"]
        with program(["s3fs", store.bucket, str(folder), "-f", *options], folder) as pid:
            yield Mounted(folder, pid)


@dataclass(frozen=True)
class Local:
    """The local folder itself."""

    source: Path
    name: str = "local files"

    @contextlib.contextmanager
    def mounted(self, _place: Path, _store: Store) -> Iterator[Mounted]:
        """Nothing to mount."""
        yield Mounted(self.source, os.getpid())


@dataclass(frozen=True)
class OnceMore:
    """A local folder once more, by a program that takes its path and where to show it."""

    source: Path
    name: str
    command: tuple[str, ...]

    @contextlib.contextmanager
    def mounted(self, place: Path, _: Store) -> Iterator[Mounted]:
        """Mount below `place`."""
        folder = place / "mount"
        with program([*self.command, str(self.source), str(folder)], folder) as pid:
            yield Mounted(folder, pid)


def bindfs(source: Path) -> OnceMore:
    """By bindfs (C, libfuse, threads): what FUSE itself allows."""
    return OnceMore(source, "bindfs", ("bindfs", "-f", "--multithreaded"))


def plain_pyfuse3(source: Path) -> OnceMore:
    """By the plainest program on pyfuse3 as it is shipped."""
    return OnceMore(source, "plain pyfuse3", (sys.executable, "-P", passthrough.__file__))


TUNED: Final = (
    "--use-server-modtime", "--vfs-fast-fingerprint", "--no-checksum", "--attr-timeout", "60s",
    "--dir-cache-time", "10m",
    "--vfs-read-chunk-size", "1M", "--vfs-read-chunk-size-limit", "128M", "--buffer-size", "1M",
    "--vfs-read-ahead", "1M", "--max-read-ahead", "1M", "--poll-interval", "0",
)  # fmt: skip
PEERS: Final = (
    Rclone("rclone"),
    Rclone("rclone tuned", TUNED),
    S3fs("s3fs"),
    S3fs("s3fs + cache", cache=True),
)
PROGRAMS: Final = ("rclone", "s3fs", "bindfs", "fio")


@contextlib.contextmanager
def program(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run a mount's program in the foreground until the end of the block; its process id, once it has mounted."""
    folder.mkdir()
    kept = {name: text for name, text in os.environ.items() if name != "AWS_CA_BUNDLE"}
    log = folder.with_name("program.log")
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, env=kept | (environment or {}), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            until = time.monotonic() + 30
            while not os.path.ismount(folder):
                alive = process.poll() is None and time.monotonic() < until
                require(alive, f"{command[0]} does not mount: {log.read_text(errors='replace')[-600:]}")
                time.sleep(0.02)
            yield process.pid
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def fresh(place: Path) -> Iterator[Path]:
    """A new folder below `place` for one mount, which other users can pass; removed afterwards."""
    folder = place / "one"
    folder.mkdir(mode=0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def lacking() -> list[str]:
    """Which programs of the peers are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]
