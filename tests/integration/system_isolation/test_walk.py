"""What ada finds on her own machine when she looks everywhere: files, processes, devices, ports."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from integration.system_isolation.two_people import TwoPeople

pytestmark = [pytest.mark.hub, pytest.mark.root, pytest.mark.fuse, pytest.mark.timeout(400)]

WALK = """
import os, stat
ALONE = {'/usr', '/proc', '/sys', '/dev', '/opt/alc/env', '/opt/alc/code/jupyter_alc'}
files, folders, writable, special = [], [], [], []
for at, inner, names in os.walk('/', onerror=lambda error: None):
    inner[:] = [name for name in inner if os.path.join(at, name) not in ALONE]
    folders.append(at)
    if os.access(at, os.W_OK):
        writable.append(at)
    for path in (os.path.join(at, name) for name in names):
        kind = os.lstat(path).st_mode
        if stat.S_ISREG(kind) and os.access(path, os.R_OK):
            files.append(path)
        if not stat.S_ISLNK(kind) and os.access(path, os.W_OK):
            writable.append(path)
        if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
            special.append(path)
tell({'files': files, 'folders': folders, 'writable': writable, 'special': special})
"""

READ = """
import base64, os, zlib
def content(path):
    try:
        with open(path, 'rb') as file:
            return file.read(1 << 20)
    except OSError:
        return b''
paths = [path for path in %(paths)s if not os.path.isdir(path)]
tell(base64.b64encode(zlib.compress(b'\\n'.join(map(content, paths)))).decode())
"""

PROCESSES = """
import os
def content(path):
    try:
        with open(path, 'rb') as file:
            return file.read().decode(errors='replace')
    except OSError as error:
        return None
found = []
for pid in (name for name in os.listdir('/proc') if name.isdigit()):
    told = {name: content(f'/proc/{pid}/{name}') for name in ('cmdline', 'environ', 'status')}
    uid = [line.split()[1:] for line in (told['status'] or '').splitlines() if line.startswith('Uid:')]
    found.append({'pid': int(pid), 'cmdline': told['cmdline'], 'environ': told['environ'], 'uids': uid})
def foreign(pid):
    try:
        return os.stat(f'/proc/{pid}').st_uid != os.getuid()
    except OSError:
        return False
hidden = [pid for pid in range(1, 20000) if foreign(pid)]  # her threads answer here too, without being listed
tell({'found': found, 'hidden': hidden, 'uid': os.getuid()})
"""

SCAN = """
import errno, socket
def scan(host, kind, source):
    answered, refused = [], 0
    for port in range(1, 65536):
        with socket.socket(socket.AF_INET, kind) as one:
            one.settimeout(0.5)
            if source:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.connect((host, port))
                answered.append(port)
            except ConnectionRefusedError:
                refused += 1
            except OSError:
                pass
    return answered, refused
tell({host: scan(host, kind, None) for host, kind in [(host, socket.SOCK_STREAM) for host in %(hosts)s]})
"""


@pytest.fixture(scope="module")
def seen(two: TwoPeople) -> dict[str, list[str]]:
    return dict(two.ada.tells(WALK))


def _below(path: str, *places: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def test_no_folder_is_the_hosts(two: TwoPeople, seen: dict[str, list[str]]) -> None:
    top = {path.split("/")[1] for path in seen["folders"] if path != "/"}
    assert top <= {"etc", "home", "opt", "run", "srv", "tmp", "var", "lib32", "lib64", "libx32"}
    assert {path for path in seen["folders"] if path.count("/") == 2 and path.startswith("/home/")} == {"/home/ada"}
    ours = (str(two.system.state), str(two.system.checkout), two.system.facts["run"])
    assert not [path for path in seen["folders"] + seen["files"] if _below(path, *ours)]
    assert not [path for path in seen["folders"] + seen["files"] if "brahe" in path]


def test_outside_her_own_folders_she_reads_settings_of_programs_only(seen: dict[str, list[str]]) -> None:
    hers = ("/home/ada", "/tmp", "/var/tmp", "/run/alc/user/ada")
    others = [path for path in seen["files"] if not _below(path, *hers)]
    assert not [path for path in others if not _below(path, "/etc")]
    assert not [
        path for path in others if re.search(r"shadow|\.key$|/private/|machine-id|ssh_host|/krb5|sudoers", path)
    ]


def test_nothing_is_writable_but_what_is_hers(seen: dict[str, list[str]]) -> None:
    hers = ("/home/ada", "/tmp", "/var/tmp", "/run/alc/user/ada")
    assert [path for path in seen["writable"] if not _below(path, *hers)] == ["/run/alc/dms/dms.sock"]
    assert not [path for path in seen["writable"] if _below(path, "/home/ada/data/sans-examples")]
    assert [path for path in seen["special"] if not _below(path, *hers)] == ["/run/alc/dms/dms.sock"]


def test_programs_and_devices_are_not_hers_to_change(two: TwoPeople) -> None:
    code = """
import subprocess
words = ['find', '/usr', '/opt', '/dev', '-writable', '-not', '-type', 'l', '-not', '-path', '/dev/shm*']
tell(subprocess.run(words, capture_output=True, text=True).stdout.split())
"""
    found = [path for path in two.ada.tells(code) if not path.startswith("/dev/pts/")]
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fuse", "console"}
    assert {path.removeprefix("/dev/") for path in found} <= harmless, found


def test_no_readable_file_holds_a_secret_of_others(two: TwoPeople, seen: dict[str, list[str]]) -> None:
    paths = [path for path in seen["files"] if not _below(path, "/home/ada/data")]
    blob = zlib.decompress(base64.b64decode(two.ada.tells(READ % {"paths": json.dumps(paths)})))
    assert len(blob) > 1000
    assert not [name for name, word in two.secrets().items() if word.encode() in blob]


def test_every_process_she_sees_is_hers_and_tells_no_secret(two: TwoPeople) -> None:
    told = two.ada.tells(PROCESSES)
    assert {tuple(one["uids"][0]) for one in told["found"] if one["uids"]} == {(str(told["uid"]),) * 4}
    assert told["hidden"] == []
    said = "".join(f"{one['cmdline']}\n{one['environ']}\n" for one in told["found"])
    assert "JUPYTERHUB_API_TOKEN" in said
    assert not [name for name, word in two.secrets().items() if word in said]
    for one in told["found"]:
        assert two.ada.token not in (one["cmdline"] or "")


def test_no_process_of_the_host_has_a_secret_in_its_arguments(two: TwoPeople) -> None:
    from pathlib import Path

    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            found += [(name, words[:80]) for name, word in two.secrets().items() if word.encode() in words]
    assert found == []


def test_of_all_ports_only_hub_vmm_and_archive_answer(two: TwoPeople) -> None:
    system = two.system
    hosts = [system.service_address, two.brahe.machine["address"], *_host_ends(two)]
    told = two.ada.tells(SCAN % {"hosts": json.dumps(hosts)}, seconds=300)
    offered = {system.facts["ports"][name] for name in ("HUB_PORT", "VMM_PORT", "ARCHIVE_PORT")}
    answered: dict[str, list[int]] = {host: told[host][0] for host in hosts}
    assert set(answered.pop(system.service_address)) == offered
    assert not any(answered.values()), answered
    # nothing was even asked: no packet leaves the machine but to the three ports
    assert not any(told[host][1] for host in hosts), told


def _host_ends(two: TwoPeople) -> list[str]:
    """Every other address the host has, and where a host's end of her pair would usually be."""
    import ipaddress

    from jupyter_alc.vmm.clouds.network import host_addresses

    hers = ipaddress.IPv4Address(two.ada.machine["address"])
    others = [one for one in host_addresses() if one not in {two.system.service_address, "127.0.0.1"}]
    return [str(hers - 1), *others][:3]


def test_the_hosts_loopback_is_not_hers(two: TwoPeople) -> None:
    ports = two.system.private_ports
    code = """
import socket
def reach(port):
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=3):
            return True
    except OSError:
        return False
tell([port for port in %s if reach(port)])
"""
    assert two.ada.tells(code % json.dumps(ports)) == []


def test_network_answers_nothing_beside_tcp(two: TwoPeople) -> None:
    code = """
import errno, socket
told = {}
for name, family, kind, proto in (
    ('raw', socket.AF_INET, socket.SOCK_RAW, 1), ('packet', socket.AF_PACKET, socket.SOCK_RAW, 0),
    ('vsock', getattr(socket, 'AF_VSOCK', 40), socket.SOCK_STREAM, 0),
):
    try:
        with socket.socket(family, kind, proto) as one:
            if name == 'vsock':
                one.settimeout(3)
                one.connect((2, 22))
            told[name] = 'open'
    except (OSError, OverflowError) as error:
        told[name] = 'refused'
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    try:
        one.connect((%r, 53))
        told['udp'] = 'open'
    except OSError:
        told['udp'] = 'refused'
tell(told)
"""
    told: dict[str, Any] = two.ada.tells(code % two.system.service_address)
    assert {name for name, how in told.items() if how == "open"} == set(), told


def test_she_gains_no_right_by_a_world_of_her_own(two: TwoPeople) -> None:
    code = """
import subprocess
THREAD = 'import threading; t = threading.Thread(target=print, args=[7]); t.start(); t.join()'
def said(words):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return (done.stdout + done.stderr).strip()
tell({
    'unshare': said(['unshare', '-U', '-r', 'id', '-u']), 'nested': said(['unshare', '-Urmpf', 'id', '-u']),
    'setuid': said(['su', '-c', 'id -u', 'root']), 'status': open('/proc/self/status').read(),
    'thread': said(['python3', '-c', THREAD]),
})
"""
    told = two.ada.tells(code)
    assert told["unshare"] != "0"
    assert told["nested"] != "0"
    assert told["setuid"] != "0"
    assert "NoNewPrivs:\t1" in told["status"]
    assert "CapBnd:\t0000000000000000" in told["status"]
    assert "CapEff:\t0000000000000000" in told["status"]
    assert told["thread"] == "7"
