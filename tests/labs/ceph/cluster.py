"""Bring up one Ceph cluster of three processes, and speak to it as its owner."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any, ClassVar

from labs.buckets import Buckets
from labs.lab import Lab, free_ports, wait_until

MEMORY_BYTES = 8 << 30
KEYRING = (
    "[mon.]\n key = {}\n caps mon = allow *\n[client.admin]\n key = {}\n caps mon = allow *\n caps osd = allow *\n"
)
KEYRING_RGW = "[client.rgw]\n key = {}\n caps mon = allow rw\n caps osd = allow rwx\n"


class Ceph(Buckets, Lab):
    """A cluster of its own beside any others: every port is free before, everything lies in `place`."""

    programs: ClassVar = {
        "ceph": "ceph-common",
        "ceph-mon": "ceph-mon",
        "ceph-osd": "ceph-osd",
        "radosgw": "radosgw",
    }

    @classmethod
    def lacking(cls) -> str | None:
        """Its programs, and root: they give up their rights by themselves only as root."""
        return "needs root: Ceph's programs want it" if os.geteuid() != 0 else super().lacking()

    def start(self) -> dict[str, Any]:
        """Monitor, store, gateway, a user; each is asked before the next begins."""
        for folder in ("mon", "osd", "rgw", "log", "run"):
            (self.place / folder).mkdir(parents=True, exist_ok=True)
        v2, v1, port = free_ports(3)
        fsid = self._configure(v2=v2, v1=v1, port=port)
        self._monitor(fsid, v2, v1)
        self._store()
        self._daemon("rgw", "client.rgw", "radosgw", "-n", "client.rgw")
        endpoint = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(endpoint), "the gateway")
        return {"endpoint": endpoint, "region": "us-east-1", **self.user("lab")}

    def answers(self) -> bool:
        """Whether the gateway answers."""
        return _answers(self.state["endpoint"])

    def user(self, name: str) -> dict[str, str]:
        """Make a user with keys, who may assume roles."""
        keys = {"access_key": f"lab{secrets.token_hex(6)}", "secret_key": secrets.token_hex(20)}
        pair = ["--access-key", keys["access_key"], "--secret-key", keys["secret_key"]]
        self.admin("user", "create", "--uid", name, "--display-name", name, *pair)
        self.admin("caps", "add", "--uid", name, "--caps", "roles=*")
        return keys

    def role(self, name: str, broker: str = "lab") -> str:
        """Make a role that may do all in S3 and that the user `broker` may assume; returns its name in full."""
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam:::user/{broker}"]},
            "Action": ["sts:AssumeRole"],
        }
        rights = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
        self.admin("role", "create", f"--role-name={name}", f"--assume-role-policy-doc={_policy(trust)}")
        self.admin("role-policy", "put", f"--role-name={name}", "--policy-name=s3", f"--policy-doc={_policy(rights)}")
        return f"arn:aws:iam:::role/{name}"

    def admin(self, *words: str) -> str:
        """`radosgw-admin` on this cluster."""
        return self._run("radosgw-admin", "-n", "client.rgw", *words)

    def _configure(self, **ports: int) -> str:
        fsid, sts = str(uuid.uuid4()), secrets.token_hex(8)
        text = (Path(__file__).parent / "ceph.conf").read_text()
        filled = {"fsid": fsid, "place": self.place, "memory_bytes": MEMORY_BYTES, "sts_key": sts, **ports}
        for name, value in filled.items():
            text = text.replace(f"{{{name}}}", str(value))
        (self.place / "ceph.conf").write_text(text)
        keys = [self._run("ceph-authtool", "--gen-print-key").strip() for _ in range(3)]
        (self.place / "keyring").write_text(KEYRING.format(*keys[:2]) + KEYRING_RGW.format(keys[2]))
        return fsid

    def _monitor(self, fsid: str, v2: int, v1: int) -> None:
        map_file, where = str(self.place / "monmap"), f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", where, "--clobber", map_file)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_file, "--keyring", str(self.place / "keyring"))
        self._daemon("mon", "mon.a", "ceph-mon", "-i", "a")
        self._run("ceph", "--connect-timeout", "60", "mon", "stat")

    def _store(self) -> None:
        number = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "60", "osd", "new", number)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)
        self._daemon("osd", "osd.0", "ceph-osd", "-i", "0")
        wait_until(lambda: json.loads(self._run("ceph", "osd", "stat", "-f", "json"))["num_up_osds"] == 1, "the store")

    def _daemon(self, name: str, ceph_name: str, *command: str) -> None:
        """Start one; it goes to the background by itself when it is ready to be spoken to."""
        self._run(*command)
        file = self.place / "run" / f"{ceph_name}.pid"
        wait_until(lambda: file.exists() and file.read_text().strip().isdigit(), f"the process {name}", 60)
        self.note_process(name, int(file.read_text()))

    def _run(self, *command: str) -> str:
        with (self.place / "log" / "commands").open("ab") as log:
            environment = {**os.environ, "CEPH_CONF": str(self.place / "ceph.conf")}
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
                check=True, timeout=200, text=True, start_new_session=True,
            )  # fmt: skip
        return done.stdout


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(endpoint, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
