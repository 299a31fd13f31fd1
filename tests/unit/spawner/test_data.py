"""The files of the operator while the Hub runs: a mistake in one is the operator's to read, and nobody's data goes."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from alc_spawners.data import datasets_for, plan_for
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import Unavailable
from jupyter_alc.dms.renewal import Sessions

pytestmark = pytest.mark.unit

GOOD = "datasets:\n  - {id: one, title: One, adapter: webdav, url: http://h, credentials: c}\n"
KEYS = "c:\n  ada: {username: ada, password: oyster}\n"


@pytest.fixture
def log(monkeypatch):
    """The lines that the operator reads in the Hub's log."""
    said: list[str] = []
    hubs = SimpleNamespace(error=lambda form, *words: said.append(form % words))
    monkeypatch.setattr("alc_spawners.data.get_logger", lambda: hubs)
    return said


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(GOOD)
    return path


async def ids(path):
    return [one.id for one in await datasets_for(str(path), "ada")]


async def test_a_changed_catalogue_counts_at_once(path):
    assert await ids(path) == ["one"]
    path.write_text(GOOD.replace("id: one", "id: another"))
    assert await ids(path) == ["another"]


async def test_a_catalogue_that_becomes_wrong_is_offered_as_it_was_and_the_log_says_why_once(path, log):
    await ids(path)
    path.write_text("datasets:\n  - {id: one\n")
    assert [await ids(path), await ids(path)] == [["one"], ["one"]]
    (said,) = log
    assert f"{path}, line 2: a bracket is opened and never closed." in said
    assert "still offered" in said
    path.unlink()
    assert await ids(path) == ["one"]
    assert "No such file" in log[-1]
    path.write_text(GOOD.replace("id: one", "id: another"))
    assert await ids(path) == ["another"]


async def test_a_catalogue_that_was_wrong_from_the_start_is_told_without_its_place_and_heals(path, log):
    path.write_text("datasets: 3\n")
    for _ in range(2):
        with pytest.raises(Unavailable) as told:
            await ids(path)
    assert str(path) not in told.value.line
    assert "operator" in told.value.next_step
    assert [f"{path}, line 1" in one for one in log] == [True]
    path.write_text(GOOD)
    assert await ids(path) == ["one"]


async def test_credentials_with_a_mistake_are_told_without_their_place(path, log, tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text("c: [ada\n")
    keys.chmod(0o600)
    with pytest.raises(Unavailable) as told:
        await plan_for(str(path), str(keys), "ada", ["one"])
    assert "keys.yaml" not in told.value.line
    assert f"{keys}, line 1" in log[0]
    keys.write_text(KEYS)
    (one,) = await plan_for(str(path), str(keys), "ada", ["one"])
    assert one.credentials["password"] == "oyster"


def test_w19_session_keys_are_renewed_when_a_third_of_their_time_is_over():
    def dataset(name, **credentials):
        return MountedDataset(name, name, "s3", "s3://b", Access.READ, credentials=credentials)

    sessions = Sessions()
    assert sessions.due == 0.0  # a Hub that was started anew does it at once
    plan = [dataset("plain", access_key="a"), dataset("one", expires="2030-01-01T01:00:00+00:00")]
    began = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert sessions.seen(plan, began) == {"one": {"expires": "2030-01-01T01:00:00+00:00"}}
    assert sessions.due == began + 1200
    sessions.seen([dataset("two", expires="2030-01-01T00:15:00+00:00"), *plan], began)
    assert sessions.due == began + 300
    assert sessions.seen(plan[:1], began) == {}
    assert sessions.due == float("inf")
