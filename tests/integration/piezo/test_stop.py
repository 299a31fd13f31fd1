"""The end of the shared cluster: this file comes last in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_alc.core.states import ClusterState
from jupyter_alc.testing.backends import run

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(300)]


def test_stopping_closes_the_event_log_and_leaves_nothing(ground: Any, cluster: Any, spark: Any):
    spark.stop()
    assert run(ground.clusters.stop(cluster.id)).state is ClusterState.STOPPING
    gone = ground.gone(cluster.id)
    assert (gone.record.ending, gone.state) == ("stopped", ClusterState.GONE)
    assert {each.name for each in ground.folder(cluster).iterdir()} == {"cluster.json", "lock", "logs", "events"}
    assert "SparkListenerApplicationEnd" in ground.events(cluster)
    assert not Path(cluster.record.socket).exists()
    assert run(ground.clusters.list()) == []
    assert run(ground.clusters.stop(cluster.id)).state is ClusterState.GONE
