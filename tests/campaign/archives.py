"""Archives for campaigns: each plants behind everybody's back and tells the dataset that reads it at an address."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Protocol

from campaign.tail import TailAdapter
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.adapters.opening import open_adapter
from labs.ceph import Ceph
from labs.moto import Moto
from labs.nginx import Nginx
from labs.wsgidav import Wsgidav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_alc.dms.adapters.interface import Adapter
    from labs.buckets import Buckets

NAMES = ("plain", "tail", "wsgidav", "http", "webdav", "moto", "ceph")
"""HTTP without ranges; HTTP that goes on to the end; WsgiDAV; nginx's files; nginx's DAV; two S3 servers."""


class Archive(Protocol):
    """One archive: where it listens, what to plant, and who reads it."""

    address: tuple[str, int]

    def put(self, path: str, data: bytes) -> None:
        """Plant a file, or another version of it, in one step."""

    def dataset(self, at: str) -> MountedDataset:
        """A live dataset that is read at `host:port`."""

    def adapter(self, dataset: MountedDataset) -> Adapter:
        """What reads it."""


class _Archive:
    def adapter(self, dataset: MountedDataset) -> Adapter:
        return open_adapter(dataset)


class Served(_Archive):
    """A lab that serves a folder."""

    def __init__(self, lab: Nginx | Wsgidav, adapter: str, path: str) -> None:
        self.put, self.address = lab.put, lab.address
        self._kind, self._path = adapter, path
        self._keys: dict[str, str] = {name: lab.state[name] for name in ("username", "password") if name in lab.state}

    def dataset(self, at: str) -> MountedDataset:
        """At the address given."""
        url = f"http://{at}/{self._path}"
        return MountedDataset("runs", "Runs", self._kind, url, Access.READ, credentials=self._keys)


class OnS3(_Archive):
    """A bucket of its own on a lab."""

    def __init__(self, lab: Buckets) -> None:
        self._lab, self._bucket = lab, lab.bucket()
        self.address = "127.0.0.1", int(lab.state["endpoint"].rpartition(":")[2])

    def put(self, path: str, data: bytes) -> None:
        """One object."""
        self._lab.client.put_object(Bucket=self._bucket, Key=f"top/{path}", Body=data)

    def dataset(self, at: str) -> MountedDataset:
        """At the address given."""
        url = self._lab.url(self._bucket, "top", f"http://{at}")
        return MountedDataset("runs", "Runs", "s3", url, Access.READ, credentials=self._lab.keys)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Patient(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Readers hang up, and mean to."""


class Plain(_Archive):
    """Python's own server: no ranges, no ETags, an index without attributes."""

    def __init__(self, place: Path) -> None:
        self._place = place
        (place / "files").mkdir(parents=True)
        self._server = _Patient(("127.0.0.1", 0), partial(_Quiet, directory=str(place / "files")))
        self.address = "127.0.0.1", int(self._server.server_address[1])

    def put(self, path: str, data: bytes) -> None:
        """In one step."""
        whole = self._place / "plant"
        whole.write_bytes(data)
        (self._place / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        whole.replace(self._place / "files" / path)

    def dataset(self, at: str) -> MountedDataset:
        """At the address given."""
        return MountedDataset("runs", "Runs", "http", f"http://{at}", Access.READ)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Plain]:
        """Serve while the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class Tail(Served):
    """nginx, read by streams from where they are wanted; in a service by the entry point in `plugins`."""

    def adapter(self, dataset: MountedDataset) -> Adapter:
        """Without the entry point."""
        return TailAdapter(dataset.url, dataset.credentials)


def lacking(name: str) -> str | None:
    """Why this archive cannot run here; None when it can."""
    lab = {"http": Nginx, "webdav": Nginx, "tail": Nginx, "wsgidav": Wsgidav, "moto": Moto, "ceph": Ceph}.get(name)
    return lab.lacking() if lab else None


@contextlib.contextmanager
def archive(name: str, place: Path) -> Iterator[Archive]:
    """Start the archive of this name below `place`, and end it with the block."""
    with contextlib.ExitStack() as until:
        if name == "plain":
            yield until.enter_context(Plain(place).serving())
        elif name == "wsgidav":
            yield Served(until.enter_context(Wsgidav(place)), "webdav", "dav")
        elif name in {"http", "webdav", "tail"}:
            lab = until.enter_context(Nginx(place))
            kinds = {
                "http": (Served, "http", "files"),
                "webdav": (Served, "webdav", "dav"),
                "tail": (Tail, "tail", "files"),
            }
            kind, adapter, path = kinds[name]
            yield kind(lab, adapter, path)
        else:
            servers: dict[str, type[Moto | Ceph]] = {"moto": Moto, "ceph": Ceph}
            yield OnS3(until.enter_context(servers[name](place)))
