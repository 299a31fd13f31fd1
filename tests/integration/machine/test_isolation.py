"""What a person can see and reach from her machine: walked as her, for real."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine_world import ADA, ADA_DMS, BRAHE, ROOT, Host, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.root]


@dataclass
class Two:
    """Ada's machine and brahe's, each with their home."""

    host: Host
    ada: dict[str, Any]
    brahe: dict[str, Any]
    open_port: int
    closed_port: int
    loopback_port: int
    earnest_port: int

    def as_ada(self, script: str) -> str:
        return self.host.run_in(self.ada, script, uid=ADA)

    def reach(self, address: str, port: int) -> str:
        code = f"import socket; print(socket.create_connection(({address!r}, {port}), timeout=3).recv(9))"
        return self.as_ada(f'/usr/bin/python3 -c "{code}" 2>&1 | tail -n 1')


def _serve(stack: contextlib.ExitStack, address: str, port: int = 0) -> int:
    server = stack.enter_context(socket.create_server((address, port)))

    def greet() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = server.accept()
                with caller:
                    caller.sendall(b"welcome")

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    stack.callback(thread.join, 5)
    stack.callback(server.shutdown, socket.SHUT_RDWR)
    return int(server.getsockname()[1])


def _free_below_calling_ports(address: str) -> int:
    """A port as logins and databases have it: below those the host calls out from."""
    for port in range(20000, 30000):
        with contextlib.suppress(OSError), socket.create_server((address, port)):
            return port
    raise AssertionError("no free port")


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    folder = Path(tempfile.mkdtemp(prefix="alct-", dir="/tmp"))
    folder.chmod(0o755)
    wanted = free_port()
    host = Host(folder, ports=(wanted,))
    told = host.start()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.callback(host.close)
        one = Two(
            host,
            ada=host.make("machine-ada"),
            brahe=host.make("machine-brahe"),
            open_port=_serve(stack, told["service_address"], wanted),
            closed_port=_serve(stack, told["service_address"]),
            loopback_port=_serve(stack, "127.0.0.1"),
            earnest_port=_serve(stack, told["service_address"], _free_below_calling_ports(told["service_address"])),
        )
        for key, person, uid in (("machine-ada", "ada", ADA), ("machine-brahe", "brahe", BRAHE)):
            assert "path" in host.ask("attach", key=key, volume="home", person=person, uid=uid, at=f"/home/{person}")
            at = "/var/lib/alc-dms"
            assert "path" in host.ask("attach", key=key, volume="dms", person=person, uid=uid + 1, at=at)
        until(lambda: "hidepid" in one.as_ada("grep ' /proc proc' /proc/mounts"))
        yield one


def test_she_finds_nothing_of_the_host_in_any_folder(two: Two) -> None:
    (two.host.state / "volumes/brahe/home/secret-of-brahe").write_text("x")
    (two.host.state / "secret-of-the-state").write_text("x")
    names = two.as_ada("find / -xdev -not -path '/proc/*' -name 'secret-of-*' 2>/dev/null; ls -A / /home")
    assert "secret-of" not in names
    assert "brahe" not in names
    assert not two.as_ada(f"ls -d {ROOT} {two.host.folder} 2>/dev/null").strip()
    assert "Permission denied" in two.as_ada("ls /root")


def test_top_folder_holds_what_programs_need_and_no_more(two: Two) -> None:
    expected = {"bin", "dev", "etc", "home", "lib", "opt", "proc", "root", "run", "sbin", "srv", "tmp", "usr", "var"}
    optional = {"lib32", "lib64", "libx32"}
    assert set(two.as_ada("ls /").split()) - optional == expected


def test_of_a_developers_checkout_she_sees_the_package_only(two: Two) -> None:
    assert two.as_ada("ls -A /opt/alc/code").split() == ["jupyter_alc"]


def test_etc_knows_no_host_account_and_no_private_key(two: Two) -> None:
    assert {line.split(":")[0] for line in two.as_ada("cat /etc/passwd").splitlines()} == {"root", "nobody"}
    assert not two.as_ada("find /etc -name '*.key' -o -name private -o -name shadow -o -name 'machine-id'").strip()


def test_what_is_not_hers_cannot_be_written(two: Two) -> None:
    for place in ("/", "/etc", "/usr", "/opt/alc/env", "/opt/alc/code", "/run", "/run/alc", "/var", "/var/lib", "/srv"):
        assert "denied" in two.as_ada(f"touch {place}/x") or "Read-only" in two.as_ada(f"touch {place}/x"), place
    assert two.as_ada("touch /home/ada/x /tmp/x /dev/shm/x && echo fine").strip() == "fine"


def test_devices_are_the_harmless_ones_and_fuse_is_not_hers(two: Two) -> None:
    devices = set(two.as_ada("find /dev -type b -o -type c | xargs -n1 basename").split())
    assert devices <= {"full", "fuse", "null", "ptmx", "random", "tty", "urandom", "zero", "console"}
    assert "denied" in two.as_ada("cat /dev/fuse").lower()


def test_she_sees_her_own_processes_only(two: Two) -> None:
    commands = two.as_ada("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "agent" not in commands
    assert "bwrap" not in commands
    assert "No such file" in two.as_ada("cat /proc/1/environ")
    assert "Permission denied" in two.as_ada("ls /run/alc/agent")
    assert "Permission denied" in two.as_ada("ls /var/lib/alc-dms")


def test_even_root_on_the_machine_finds_no_enrolment_token(two: Two) -> None:
    found = two.host.run_in(
        two.ada, "ls /run/alc/agent; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
    )
    assert "user-data" not in found
    assert "enrolment" not in found


def test_she_reaches_the_service_port_that_is_open_to_machines(two: Two) -> None:
    assert "welcome" in two.reach(two.host.told["service_address"], two.open_port)


@pytest.mark.parametrize("place", ["closed port", "loopback", "neighbour", "host", "world"])
def test_she_reaches_nothing_else(two: Two, place: str) -> None:
    host_address = next(iter(_other_addresses()), "192.0.2.2")
    address, port = {
        "closed port": (two.host.told["service_address"], two.closed_port),
        "loopback": ("127.0.0.1", two.loopback_port),
        "neighbour": (two.brahe["address"], 8888),
        "host": (host_address, two.open_port),
        "world": ("1.1.1.1", 53),
    }[place]
    said = two.reach(address, port)
    assert "welcome" not in said
    assert "refused" in said if place == "loopback" else "unreachable" in said


def test_the_port_of_her_server_is_no_way_to_the_hosts_logins_and_databases(two: Two) -> None:
    code = (
        "import socket; print(socket.create_connection("
        f"({two.host.told['service_address']!r}, {two.earnest_port}), timeout=3, source_address=('', 8888)).recv(9))"
    )
    assert "unreachable" in two.as_ada(f'/usr/bin/python3 -c "{code}" 2>&1 | tail -n 1')


def _other_addresses() -> list[str]:
    from jupyter_alc.vmm.clouds.network import host_addresses

    return [one for one, name in host_addresses().items() if name != "lo"]


def test_the_host_drops_what_a_machine_sends_past_it_and_does_not_forward(two: Two) -> None:
    import subprocess

    rules = subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
    assert rules.count("blackhole") >= 2
    routes = two.host.run_in(two.ada, "ip route; ip -6 address show dev eth0")
    assert "default" not in routes
    assert "inet6" not in routes


def test_no_program_gives_her_more_rights(two: Two) -> None:
    status = two.as_ada("grep -E 'CapEff|CapPrm|NoNewPrivs' /proc/self/status")
    assert [line.split()[1] for line in status.splitlines()] == ["0000000000000000", "0000000000000000", "1"]
    assert two.as_ada(
        "find / -xdev -perm /6000 -type f 2>/dev/null | head -1 | xargs -r stat -f -c ok; su -c id root 2>&1"
    )
    assert "uid=0" not in two.as_ada("su -c id root </dev/null 2>&1; sudo id 2>&1; newgrp root </dev/null 2>&1; id")


def test_even_root_on_the_machine_has_few_rights(two: Two) -> None:
    agent = two.host.run_in(two.ada, "grep CapEff /proc/2/status").split()[1]
    held = {number for number in range(64) if int(agent, 16) >> number & 1}
    chown, dac_override, fowner, kill, setgid, setuid, setpcap, sys_admin = 0, 1, 3, 5, 6, 7, 8, 21
    assert held == {chown, dac_override, fowner, kill, setgid, setuid, setpcap, sys_admin}


def test_kernel_settings_are_read_only_on_the_machine(two: Two) -> None:
    # what follows the agent into /proc: nsenter keeps the host's rights, so the mount itself must refuse
    assert "Read-only" in two.host.run_in(two.ada, "echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "0"


def test_a_home_is_never_handed_to_another_uid(two: Two) -> None:
    answer = two.host.ask("attach", key="machine-ada", volume="home", person="brahe", uid=ADA, at="/home/brahe")
    assert answer["error"]["code"] == "conflict"


def test_a_machine_takes_no_second_persons_home(two: Two) -> None:
    answer = two.host.ask("attach", key="machine-ada", volume="home", person="brahe", uid=BRAHE, at="/home/brahe")
    assert answer["error"]["code"] == "conflict"
    assert two.as_ada("ls /home").strip() == "ada"


def test_the_hosts_own_copy_of_a_home_is_hers_and_closed(two: Two) -> None:
    for volume, owner in (("home", ADA), ("dms", ADA_DMS)):
        seen = (two.host.state / "volumes/ada" / volume).stat()
        assert (seen.st_uid, seen.st_mode & 0o777) == (owner, 0o700)
    assert two.host.state.stat().st_mode & 0o777 == 0o700
    assert (two.host.state / "machines/machine-ada/machine.json").stat().st_mode & 0o777 == 0o600


def test_a_stranger_on_the_host_is_hung_up_on_before_it_says_anything(two: Two) -> None:
    import json
    import subprocess
    import sys

    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        """s.settimeout(10); sys.argv[2] and s.sendall(sys.argv[2].encode()); print(s.makefile().readline())"""
    )
    said = {}
    for uid, says in ((52000, '{"verb":"list"}\n'), (54321, "")):
        done = subprocess.run(
            [sys.executable, "-c", code, two.host.told["socket"], says],
            capture_output=True, text=True, check=False, user=uid, group=uid, extra_groups=[], cwd="/",
        )  # fmt: skip
        said[uid] = done.stdout
    assert "machines" in json.loads(said[52000])
    assert json.loads(said[54321])["error"]["code"] == "denied"


def test_memory_and_cores_of_the_type_are_enforced(two: Two) -> None:
    if not two.ada["limits"]["memory"]:
        pytest.skip("this host has no memory cgroup to use")
    hog = "x = bytearray(3 * 10**9); print('survived', len(x))"
    assert "survived" not in two.as_ada(f'/usr/bin/python3 -c "{hog}"')
    assert two.host.machines()["machine-ada"]["state"] == "running"


def test_two_busy_programs_get_no_more_than_the_one_core_of_the_type(two: Two) -> None:
    if not two.ada["limits"]["cores"]:
        pytest.skip("this host has no cpu cgroup to use")
    burn = "for i in 1 2; do timeout 2 sh -c 'while :; do :; done' & done; wait; times | tail -n 1"
    passed = "read -r up _ < /proc/uptime; echo $up"
    began, *spent, ended = two.as_ada(f"{passed}; {burn}; {passed}").split()  # user and system time of the two together
    seconds = float(ended) - float(began)  # 2, or more where the computer stood still meanwhile
    assert sum(float(one.partition("m")[2].rstrip("s")) for one in spent) < 1.3 * seconds


def test_a_program_for_the_hub_runs_on_the_hosts_network_with_no_rights_at_all(tmp_path: Path) -> None:
    from jupyter_alc.vmm.clouds.etc import filtered_etc
    from jupyter_alc.vmm.clouds.sandbox import Sandbox, start

    script = "id -u; grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status; ls /; cat /proc/net/dev"
    sandbox = Sandbox(
        argv=("/bin/sh", "-c", script),
        etc=filtered_etc(tmp_path / "etc", "hub", [("service", 52000, 52000)]),
        hostname="hub",
        identity=(52000, 52000),
        environment={"PATH": "/usr/bin:/bin"},
    )
    with (tmp_path / "out").open("wb") as output:
        running = start(sandbox, output)
        assert running.process.wait(20) == 0
    said = (tmp_path / "out").read_text()
    assert said.startswith("52000\n")
    assert said.count("0000000000000000") == 2
    assert "NoNewPrivs:\t1" in said
    until(lambda: not Path(f"/proc/{running.init}").exists())
