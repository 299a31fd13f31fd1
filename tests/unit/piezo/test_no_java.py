"""A machine without Java, or without Spark: one sentence with the next step, and nothing is left half made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Missing
from jupyter_alc.core.settings import Places
from jupyter_alc.piezo.clusters import Clusters
from jupyter_alc.piezo.frameworks import spark

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("java_home", ["", "/nonexistent"])
async def test_a_cluster_is_refused_and_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, java_home: str
) -> None:
    monkeypatch.setattr(spark, "_JAVA_FOLDERS", tmp_path / "jvm")
    spark_home = tmp_path / "pyspark"
    (spark_home / "jars").mkdir(parents=True)
    (spark_home / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "JAVA_HOME": java_home}
    clusters = Clusters(Places.from_environment(environment), environment=environment)
    with pytest.raises(Missing, match=r"no Java") as told:
        await clusters.create("mine", {})
    assert "openjdk" in told.value.next_step
    assert await clusters.list(everything=True) == []
    assert not (Places.from_environment(environment).state / "clusters" / "mine").exists()
