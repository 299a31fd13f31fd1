"""The operator changes the files of datasets while it is up (T13 of docs/semantics/dms.md)."""

from __future__ import annotations

import threading

import pytest

from jupyter_alc.cli.instance.layout import Layout
from jupyter_alc.cli.instance.system import System, Wishes
from jupyter_alc.dms.catalogue import Catalogue

pytestmark = pytest.mark.unit

ONE = "datasets:\n- {id: one, title: One, adapter: local, url: /data}\n"


@pytest.fixture
def system(tmp_path):
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(ONE)
    said = []
    wishes = Wishes(port=8000, people=["ada"], catalogue=catalogue, example=False)
    made = System(Layout.found(state=tmp_path / "state"), wishes, said.append, threading.Event())
    made.layout.service.mkdir(parents=True)
    made._ports, made._service_address = {"ARCHIVE_PORT": 1}, "127.0.0.1"
    made._write_data()
    return made, catalogue, said


def offered(made):
    return [one.id for one in Catalogue.from_file(made.layout.service / "catalogue.yaml").all()]


def test_a_changed_catalogue_holds_from_then_on(system):
    made, catalogue, said = system
    made._mind_the_datasets()
    assert (offered(made), said) == (["one"], [])
    catalogue.write_text(ONE + "- {id: two, title: Two, adapter: local, url: /more}\n")
    made._mind_the_datasets()
    assert offered(made) == ["one", "two"]
    assert said == ["The list of datasets has changed: it holds from now on."]


def test_a_mistake_is_told_once_and_the_datasets_of_before_stay(system):
    made, catalogue, said = system
    catalogue.write_text(ONE.replace("/data", "/data, colour: red"))
    for _ in range(3):
        made._mind_the_datasets()
    assert offered(made) == ["one"]
    assert len(said) == 1
    assert f"{catalogue}, line 2: a dataset has no 'colour'." in said[0]
    catalogue.unlink()
    made._mind_the_datasets()
    assert offered(made) == ["one"]
    catalogue.write_text(ONE.replace("one", "other"))
    made._mind_the_datasets()
    assert offered(made) == ["other"]
