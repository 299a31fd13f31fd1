"""What the agent understands, and whom it lets in."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_alc.core.errors import BadFile, BadInput, Conflict
from jupyter_alc.vmm.agent.life import Fence
from jupyter_alc.vmm.agent.machine import Machine
from jupyter_alc.vmm.agent.orders import Claim, Release, read_order
from jupyter_alc.vmm.agent.proof import Folder, reason, smallest_file
from jupyter_alc.vmm.clouds.network import free_address, link_for
from jupyter_alc.vmm.clouds.processes import ProcessId
from jupyter_alc.vmm.clouds.records import MachineRecord, Records

pytestmark = pytest.mark.unit

CLAIM: dict[str, Any] = {
    "kind": "claim",
    "allocation": "allocation-1",
    "fence": 1,
    "person": {"name": "ada", "uid": 53000, "gid": 53000, "dms_uid": 53001, "dms_gid": 53001},
    "home": "/home/ada",
    "dms_volume": "/var/lib/alc-dms",
    "data": {"datasets": [{"id": "x", "credentials": {"password": "hidden-word"}}]},
    "server": {"environment": {"JUPYTERHUB_API_TOKEN": "hidden-word"}, "args": [], "port": 8888},
}


def test_a_claim_is_read_whole_and_shows_no_secret() -> None:
    claim = read_order(CLAIM)
    assert isinstance(claim, Claim)
    assert claim.mount == Path("/home/ada/data")
    assert claim.deadline("server") > 0
    assert "hidden-word" not in repr(claim)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a\nb"])
def test_a_name_that_would_break_the_account_is_not_taken(name: str) -> None:
    with pytest.raises(BadInput):
        read_order({**CLAIM, "person": {**CLAIM["person"], "name": name}})


@pytest.mark.parametrize(
    "told", [{}, {"kind": "dance"}, {"kind": "release"}, {**CLAIM, "person": None}, {**CLAIM, "fence": "x"}]
)
def test_an_order_that_is_not_whole_is_not_taken(told: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read_order(told)


def test_a_release_is_read() -> None:
    assert isinstance(read_order({"kind": "release", "allocation": "a", "fence": 2}), Release)


def test_the_fence_lets_one_allocation_in_and_nothing_older() -> None:
    fence = Fence()
    fence.admit("a", 3)
    fence.admit("a", 3)
    fence.admit("a", 5)
    for allocation, number in (("a", 4), ("b", 9)):
        with pytest.raises(Conflict):
            fence.admit(allocation, number)
    fence.admit("a", 5)


def test_user_data_is_read_once_and_removed(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    told = tmp_path / "agent/user-data.json"
    facts = {"address": "127.0.0.1"}
    words = {"vmm_url": "http://v/", "machine_key": "k", "enrolment_token": "hidden-word", "machine": facts}
    told.write_text(json.dumps(words))
    machine = Machine.read(tmp_path)
    assert machine.vmm_url == "http://v"
    assert "hidden-word" not in repr(machine)
    assert not told.exists()
    with pytest.raises(BadFile):
        Machine.read(tmp_path)


def test_the_proof_reads_the_smallest_file_that_has_something_in_it(tmp_path: Path) -> None:
    tree, dataset = Folder(str(tmp_path)), tmp_path / "set"
    (dataset / "b").mkdir(parents=True)
    assert smallest_file(tree, "set") is None
    (dataset / "b/deep.txt").write_text("deep")
    assert smallest_file(tree, "set") == "set/b/deep.txt"
    for name, size in (("empty", 0), ("large", 999), ("small", 2)):
        (dataset / name).write_bytes(b"x" * size)
    assert smallest_file(tree, "set") == "set/small"


def test_machine_addresses_are_one_per_block_and_never_the_services() -> None:
    used: list[str] = []
    for _ in range(300):
        used.append(free_address("10.210.0.1", used))
    assert used[0] == "10.210.0.6"
    assert used[63] == "10.210.1.2"
    assert len(set(used)) == 300
    assert "10.210.0.1" not in used


def test_interface_names_fit_the_kernel_and_differ_by_instance() -> None:
    one, other = link_for("/a", "machine-one", ""), link_for("/b", "machine-one", "")
    assert len(one.host_end) <= 15
    assert one.host_end != other.host_end
    assert one.namespace != other.namespace


def test_a_record_survives_and_half_a_record_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path)
    record = MachineRecord("k", "small", "spark", 1, 10**9, "sandbox", "10.210.0.6", "2026-01-01T00:00:00+00:00")
    records.save(record)
    assert list(records.all()) == [record]
    assert (tmp_path / "k/machine.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "k/machine.json").write_text('{"key"')
    assert records.load("k") is None
    assert record.as_json()["state"] == "dead"


def test_a_pid_that_was_given_to_another_process_is_not_the_old_one() -> None:
    me = ProcessId.of(1)
    assert me is not None
    assert me.alive()
    assert not ProcessId(1, me.started + 1).alive()


def test_an_archive_that_is_away_is_told_in_words_and_not_by_the_kernels_name_for_it():
    assert reason(OSError(errno.EIO, "Input/output error")) == "its archive does not answer"
    assert reason(TimeoutError("timed out")) == "its archive does not answer in time"
    assert reason(OSError(errno.EACCES, "Permission denied")) == "Permission denied"
