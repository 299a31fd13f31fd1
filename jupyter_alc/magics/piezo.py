"""`%piezo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.core.errors import AlcError, NotFound
from jupyter_alc.magics import shown
from jupyter_alc.magics.parsing import piezo_spoken
from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from jupyter_alc.magics.asking import Told
    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.progress import Progress
    from jupyter_alc.magics.sessions import Sessions

SPOKEN = piezo_spoken()

# how far a cluster is on its way, in steps: what a bar can honestly show before executors are counted
STEPS = {"asked": 1, "starting": 2, "ready": 4, "stopping": 2, "gone": 4}
ALL_STEPS = 4


def run(alc: Alc, asked: argparse.Namespace, sessions: Sessions, new_bar: Callable[[], Progress]) -> shown.Shown:
    """Do what was asked and show it."""
    if asked.verb == "start":
        return start(alc, asked, sessions, new_bar())
    if asked.verb == "stop":
        return stop(alc, asked.name, sessions, new_bar())
    if asked.verb == "ui":
        cluster = _named(alc, asked.name)
        return shown.ui_shown(cluster, alc.piezo.ui_path(cluster["id"]))
    clusters = alc.piezo.status()
    return shown.clusters_shown(clusters, {one["id"]: alc.piezo.ui_path(one["id"]) for one in clusters})


def start(alc: Alc, asked: argparse.Namespace, sessions: Sessions, bar: Progress) -> shown.Shown:
    """Start or find the cluster, wait for it, and open the session."""

    def tell(cluster: Told) -> None:
        bar.show(shown.cluster_line(cluster), STEPS.get(cluster["state"], 1), ALL_STEPS)

    try:
        started = alc.piezo.start(
            asked.name,
            workers=asked.workers,
            cores_per_worker=asked.cores,
            memory_per_worker=asked.memory,
            tell=tell,
        )
        sessions.open(started.cluster["id"], alc.piezo.connection(started.cluster["id"])["connect_url"])
    except AlcError:
        bar.end(f"Cluster {plain(asked.name)}: not started", well=False)
        raise
    except KeyboardInterrupt:
        bar.end(f"Cluster {plain(asked.name)}: goes on starting; %piezo start attaches to it", well=False)
        raise
    bar.end(shown.cluster_line(started.cluster), well=True)
    line = shown.words(shown.started_words(started, session=True), started.cluster)
    return shown.stacked(
        line, shown.ui_shown(started.cluster, alc.piezo.ui_path(started.cluster["id"])), told=started.cluster
    )


def stop(alc: Alc, name: str, sessions: Sessions, bar: Progress) -> shown.Shown:
    """Close the session, end the cluster, and wait until it is gone."""
    cluster = _named(alc, name)
    sessions.close(cluster["id"])

    def tell(now: Told) -> None:
        bar.show(shown.cluster_line(now), STEPS.get(now["state"], 1), ALL_STEPS)

    try:
        alc.piezo.stop(cluster["id"], tell=tell)
    except AlcError:
        bar.end(f"Cluster {plain(name)}: not yet gone", well=False)
        raise
    bar.end(f"Cluster {plain(name)}: gone", well=True)
    return shown.words(f"Cluster {plain(name)} is gone.", cluster)


def _named(alc: Alc, name: str) -> Told:
    cluster = alc.piezo.named(name)
    if cluster is None:
        raise NotFound(f"There is no cluster {plain(name)[:80]}.", next_step="Look at them with %piezo status.")
    return cluster
