"""WsgiDAV by its own command: one folder as WebDAV, behind a name and a password."""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

from labs.lab import free_ports
from labs.served import ServedFolder


class Wsgidav(ServedFolder):
    """`state` has `webdav`, `username` and `password`."""

    def start(self) -> dict[str, Any]:
        """Start it on a free port."""
        for folder in ("files", "log"):
            (self.place / folder).mkdir(parents=True)
        [port] = free_ports(1)
        keys = {"username": "lab", "password": secrets.token_hex(8)}
        config = self.place / "wsgidav.json"
        config.touch(mode=0o600)
        config.write_text(
            json.dumps(
                {
                    "host": "127.0.0.1",
                    "port": port,
                    "server": "cheroot",
                    "provider_mapping": {"/dav": str(self.files)},
                    "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
                    "simple_dc": {"user_mapping": {"*": {keys["username"]: {"password": keys["password"]}}}},
                    "lock_storage": None,
                    "verbose": 1,
                }
            )
        )
        url = f"http://127.0.0.1:{port}/dav"
        told = self._serve(
            port, url, sys.executable, "-W", "ignore", "-m", "wsgidav.server.server_cli", "-c", str(config)
        )
        return {**told, "webdav": url, **keys}
