"""Everything is killed once, with -9: she keeps her machine, her data and her cluster, or is told what to do."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from integration.system.world import Person, World, kill, lives, programs, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.hub,
    pytest.mark.root,
    pytest.mark.fuse,
    pytest.mark.timeout(420),
]
QUICK = 60.0  # seconds in which a machine that is given back is gone


@pytest.fixture
def ada(world: World) -> Person:
    """Ada with a server and a kernel, whoever was killed before."""
    until(lambda: world.ada.hub("GET", "users/ada").status_code == 200, "the Hub does not answer")
    if world.ada.has_no_server():
        world.ada.begin()
    world.ada.wait_for_server()
    if world.ada.mine("GET", f"api/kernels/{world.ada.kernel}").status_code != 200:
        world.ada.new_kernel()
    return world.ada


@pytest.fixture(autouse=True)
def nobodys_machine_is_given_again(world: World):
    yield
    if world.system.process is not None and world.system.process.poll() is None:
        until(lambda: world.system.allocations("ada") is not None, "VMM does not answer")
        world.check_owners()


def kill_hub(world: World) -> None:
    before = world.said().count("the Hub is back")
    kill(world.program("jupyterhub_config"))
    until(lambda: world.said().count("the Hub is back") > before, "the Hub did not come back")


def test_the_hub_during_a_spawn(world):
    ada = world.ada
    ada.start()
    until(lambda: world.system.allocations("ada"), "VMM knows of no claim")
    kill_hub(world)
    ada.wait_for_server()
    assert len(world.system.allocations("ada")) == 1
    ada.new_kernel()
    assert "1d_data" in ada.run("import os; print(os.listdir(os.path.expanduser('~/data/sans-examples')))")


def test_the_hub_while_a_lab_runs(world, ada):
    machine = ada.machine["key"]
    kill_hub(world)
    ada.wait_for_server()
    assert ada.machine["key"] == machine
    assert ada.remembers()


def ready_machines(world: World, kind: str) -> set[str]:
    return {one["key"] for one in world.system.machines() if (one["state"], one["type"]) == ("ready", kind)}


def test_vmm_and_the_agents_call_again(world, ada):
    machine = ada.machine["key"]
    warm = until(lambda: ready_machines(world, "small"), "no machine that brahe asks for is warm")
    vmm = world.program("vmm.service")
    kill(vmm)
    until(world.system.machines, "VMM did not come back")
    assert world.program("vmm.service") != vmm
    assert ada.remembers()
    world.brahe.begin()  # the order reaches a warm machine whose long poll was cut
    assert world.brahe.machine["key"] in warm
    assert world.brahe.machine["key"] != machine == ada.machine["key"]
    assert world.brahe.hub("DELETE", "users/brahe/server").status_code in {202, 204}


def test_the_launcher(world, ada):
    known = {one["key"] for one in world.system.machines()}
    machine = ada.machine["key"]
    launcher = world.program("clouds.launcher")
    kill(launcher)
    until(lambda: world.program("clouds.launcher") != launcher, "the launcher did not come back")
    assert ada.remembers()
    assert ada.machine["key"] == machine in known
    until(world.brahe.has_no_server, "the server of brahe has not ended")
    world.brahe.begin()
    assert world.brahe.machine["key"] != machine
    assert world.brahe.hub("DELETE", "users/brahe/server").status_code in {202, 204}


@pytest.mark.spark
def test_the_kernel_during_a_query(world, ada):
    ada.run("%load_ext jupyter_alc\n%piezo start")
    cluster = ada.mine("GET", "jupyter-alc/v1/piezo/clusters").json()["clusters"][0]
    query = threading.Thread(target=_run_and_forget, args=(ada, "spark.range(10**13).selectExpr('sum(id)').collect()"))
    query.start()
    kernel = ada.program("ipykernel_launcher")
    time.sleep(3)
    kill(kernel)
    until(lambda: ada.program("ipykernel_launcher") != kernel, "the kernel was not started again")
    until(lambda: not ada.remembers(), "the kernel does not answer")
    ada.run("%load_ext jupyter_alc\n%piezo start")
    assert "45" in ada.run("print(spark.range(10).selectExpr('sum(id)').collect())")
    live = [
        one for one in ada.mine("GET", "jupyter-alc/v1/piezo/clusters").json()["clusters"] if one["state"] != "gone"
    ]
    assert [one["id"] for one in live] == [cluster["id"]]
    query.join(60)


def _run_and_forget(person: Person, code: str) -> None:
    with contextlib.suppress(Exception):  # its kernel is killed meanwhile
        person.run(code, 5)


@pytest.mark.spark
def test_the_jupyter_server_while_a_cluster_runs(world, ada):
    if not ada.tells("tell('spark' in globals())"):
        ada.run("%load_ext jupyter_alc\n%piezo start")
    checksum = ada.write("before-the-server-died.bin")
    machine = ada.machine
    cluster = [pid for pid, said in programs(machine["pid"]) if "java" in said or "piezo.supervisor" in said]
    assert cluster
    kill(ada.server_pid)
    page = ada.wait_for_form()
    assert "sans-examples" in page
    world.wait_for_result("ada", "before-the-server-died.bin", checksum)
    until(lambda: not [pid for pid in cluster if lives(pid)], "the cluster is still there", QUICK)
    until(lambda: machine["key"] not in {one["key"] for one in world.system.machines()}, "the machine is still there")
    ada.begin()
    assert ada.machine["key"] != machine["key"]
    assert "before-the-server-died.bin" in ada.run("import os; print(os.listdir('data/results'))")


def test_the_data_service_while_results_are_unsent(world, ada):
    ada.run("import os; os.listdir(os.path.expanduser('~/data/results'))")
    with world.silent_archive():
        checksum = ada.write("before-the-daemon-died.bin")
        daemon = ada.program("dms.daemon")
        kill(daemon)
        until(lambda: ada.program("dms.daemon") != daemon, "the data service did not come back")
        until(lambda: ada.mine("GET", "jupyter-alc/v1/data").json()["unsent"], "nothing is said to be unsent")
        assert not (world.system.results_root / "ada/before-the-daemon-died.bin").exists()
    world.wait_for_result("ada", "before-the-daemon-died.bin", checksum)
    assert ada.remembers()
    assert "before-the-daemon-died.bin" in ada.run("import os; print(os.listdir('data/results'))")


def test_the_whole_machine_with_unsent_results(world, ada):
    ada.run("import os; os.listdir(os.path.expanduser('~/data/results'))")
    machine = ada.machine
    with world.silent_archive():
        checksum = ada.write("before-the-machine-died.bin")
        kill(machine["pid"])
        until(lambda: world.system.allocations("ada")[0]["state"] not in {"ready"}, "VMM did not notice")
        problem = world.system.allocations("ada")[0]["problem"]
        assert problem["message"]
        assert problem["next_step"]
        ada.wait_for_form()
    assert not (world.system.results_root / "ada/before-the-machine-died.bin").exists()
    ada.begin()
    assert ada.machine["key"] != machine["key"]
    world.wait_for_result("ada", "before-the-machine-died.bin", checksum)


def test_alc_up_itself(world, ada):
    machine = ada.machine
    checksum = ada.write("before-alc-up-died.bin")
    kill(world.system.process.pid)
    world.system.process.wait()
    assert lives(machine["pid"]), "machines outlive what made them"
    world.system.start()
    ada.wait_for_server()
    assert ada.machine["key"] == machine["key"]
    assert ada.remembers()
    world.wait_for_result("ada", "before-alc-up-died.bin", checksum)


def test_a_silent_archive_at_the_end_and_ctrl_c_twice(world, ada):
    ada.run("import os; os.listdir(os.path.expanduser('~/data/results'))")
    with world.silent_archive():
        checksum = ada.write("before-the-end.bin")
        process = world.system.process
        process.send_signal(signal.SIGINT)
        until(lambda: "Press Ctrl-C again" in world.said(), "it does not say how to hurry")
        time.sleep(3)
        assert process.poll() is None, "it waits for unsent results"
        process.send_signal(signal.SIGINT)
        assert process.wait(QUICK) == 0
    assert "unsent results stay" in world.said()
    world.system.start()
    ada.begin()
    world.wait_for_result("ada", "before-the-end.bin", checksum)


def start_again(world: World, ada: Person, setting: str) -> None:
    """The system anew, with a setting of its operator's."""
    world.system.stop()
    world.system.around = ("/usr/bin/env", setting)
    world.system.start()
    ada.begin()


def test_a_silent_archive_at_the_end_is_waited_for_only_so_long(world, ada):
    """What cannot be sent is told in numbers, stays, and is sent by her next machine."""
    start_again(world, ada, "ALC_SEND_SECONDS=5")
    ada.run("import os; os.listdir(os.path.expanduser('~/data/results'))")
    with world.silent_archive():
        checksum = ada.write("too-late.bin")
        world.system.stop(90)
    assert "sent at their owner's next start: 1" in world.said()
    world.system.start()
    ada.begin()
    world.wait_for_result("ada", "too-late.bin", checksum)


@pytest.mark.spark
def test_a_cluster_whose_server_hangs_ends_by_its_lease(world, ada):
    """The lease is the operator's: `alc up` hands it on to the machines."""
    start_again(world, ada, "ALC_PIEZO_LEASE_SECONDS=15")
    ada.run("%load_ext jupyter_alc\n%piezo start")
    cluster = [pid for pid, said in programs(ada.machine["pid"]) if "java" in said or "piezo.supervisor" in said]
    assert cluster
    os.kill(ada.server_pid, signal.SIGSTOP)
    try:
        until(lambda: not [pid for pid in cluster if lives(pid)], "the cluster is still there", QUICK)
    finally:
        os.kill(ada.server_pid, signal.SIGCONT)
    assert ada.remembers()


def test_nothing_is_left(world):
    run = Path(world.system.facts["run"])
    world.system.stop()
    assert world.traces.left(world.system.service_address) == {}
    assert not run.exists()
    assert [one.name for one in (world.system.state / "machines").iterdir()] == []
