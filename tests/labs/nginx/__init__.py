"""nginx from Debian's packages: one folder, as plain files with an index in JSON and as WebDAV."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path
from typing import Any, ClassVar

from labs.lab import free_ports
from labs.served import ServedFolder

_DAV_MODULE = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")


class Nginx(ServedFolder):
    """`state` has `http` and `webdav`, the addresses of the same files. It asks nobody who they are."""

    programs: ClassVar = {"nginx": "nginx"}

    @classmethod
    def lacking(cls) -> str | None:
        """Its program and its module."""
        without = None if _DAV_MODULE.exists() else "needs Debian's libnginx-mod-http-dav-ext"
        return super().lacking() or without

    def start(self) -> dict[str, Any]:
        """Start it on a free port."""
        for folder in ("files", "log", "passing"):
            (self.place / folder).mkdir(parents=True)
        [port] = free_ports(1)
        text = (Path(__file__).parent / "nginx.conf").read_text()
        for name, value in {"place": self.place, "port": port, "user": getpass.getuser(), "dav": _DAV_MODULE}.items():
            text = text.replace(f"@{name}@", str(value))
        (self.place / "nginx.conf").write_text(text)
        program, url = shutil.which("nginx") or "nginx", f"http://127.0.0.1:{port}/files/"
        told = self._serve(port, url, program, "-p", str(self.place), "-c", "nginx.conf", "-e", "log/error")
        return {**told, "http": f"http://127.0.0.1:{port}/files", "webdav": f"http://127.0.0.1:{port}/dav"}
