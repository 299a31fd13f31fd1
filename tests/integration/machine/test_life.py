"""Machines begin, outlive their launcher, die and end; and nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from machine_world import ADA, Host, until

pytestmark = [pytest.mark.integration, pytest.mark.root]


def _traces(host: Host, machine: dict[str, Any]) -> list[str]:
    """What is left of a machine on the host."""
    run = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(["ip", "rule"], capture_output=True, text=True, check=True).stdout
    from jupyter_alc.vmm.clouds.network import link_for

    link = link_for(str(host.state.resolve()), machine["key"], machine["address"])
    found = [f"interface {link.host_end}"] if link.host_end in run + rules else []
    found += [f"namespace {link.namespace}"] if Path("/run/netns", link.namespace).exists() else []
    found += [str(one) for one in Path("/sys/fs/cgroup").rglob(link.namespace)]
    found += [one for one in Path("/proc/self/mounts").read_text().splitlines() if str(host.folder) in one]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "cgroup").read_text()
            except OSError:
                continue
            found += [f"process {folder.name}"] if link.namespace in name else []
    found += ["folder"] if (host.state / "machines" / machine["key"]).exists() else []
    return found


def test_the_end_of_a_machine_leaves_nothing_but_the_home(host: Host) -> None:
    machine = host.make("machine-one")
    host.ask("attach", key="machine-one", volume="home", person="ada", uid=ADA, at="/home/ada")
    host.run_in(machine, "echo hers > /home/ada/notes; setsid sleep 1000 > /dev/null 2>&1 & disown", uid=ADA)
    assert _traces(host, machine)
    assert host.ask("end", key="machine-one") == {"gone": True}
    assert _traces(host, machine) == []
    assert (host.state / "volumes/ada/home/notes").read_text() == "hers\n"
    again = host.make("machine-two")
    host.ask("attach", key="machine-two", volume="home", person="ada", uid=ADA, at="/home/ada")
    assert host.run_in(again, "cat /home/ada/notes", uid=ADA) == "hers\n"


def test_a_machine_whose_init_is_killed_is_listed_as_dead_until_it_is_ended(host: Host) -> None:
    machine = host.make("machine-one")
    os.kill(machine["pid"], signal.SIGKILL)
    until(lambda: host.machines()["machine-one"]["state"] == "dead")
    refused = host.ask(
        "make", key="machine-one", type="small", cores=1, memory_bytes=10**9, environment="spark", user_data={}
    )
    assert refused["error"]["code"] == "conflict"
    host.ask("end", key="machine-one")
    assert _traces(host, machine) == []
    assert host.machines() == {}


def test_machines_outlive_a_killed_launcher_and_the_next_one_finds_them(host: Host) -> None:
    machine = host.make("machine-one")
    address = host.told["service_address"]
    host.stop(signal.SIGKILL)
    assert Path(f"/proc/{machine['pid']}").exists()
    assert host.start()["service_address"] == address
    assert host.machines()["machine-one"] == machine
    assert host.make("machine-one") == machine
    assert host.ask("attach", key="machine-one", volume="home", person="ada", uid=ADA, at="/home/ada")["path"]
    host.ask("end", key="machine-one")
    assert _traces(host, machine) == []


def test_what_a_crash_left_half_made_is_swept_by_the_next_launcher(host: Host) -> None:
    machine = host.make("machine-one")
    host.stop(signal.SIGKILL)
    os.kill(machine["pid"], signal.SIGKILL)
    (host.state / "machines/machine-one/machine.json").write_text('{"key": "machi')
    host.start()
    assert host.machines() == {}
    assert _traces(host, machine) == []


def test_the_service_address_goes_with_the_last_machine_and_its_launcher(host: Host) -> None:
    from jupyter_alc.vmm.clouds.network import host_addresses

    address = host.told["service_address"]
    host.make("machine-one")
    host.stop()
    assert host_addresses()[address] == "lo"
    host.start()
    host.ask("end", key="machine-one")
    host.stop()
    assert address not in host_addresses()


def test_a_second_instance_takes_another_service_address(host: Host, tmp_path: Path) -> None:
    other = Host(tmp_path)
    try:
        assert other.start()["service_address"] != host.told["service_address"]
    finally:
        other.close()


def test_a_second_launcher_on_the_same_socket_says_so(host: Host) -> None:
    again = Host(host.folder)
    with pytest.raises(AssertionError, match="Another launcher answers there"):
        again.start()
    assert again.process
    assert again.process.wait(10) == 1
    assert again.process.stdout
    again.process.stdout.close()
