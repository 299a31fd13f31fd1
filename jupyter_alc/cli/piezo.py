"""`alc piezo`: your clusters, from a terminal of your server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.cli.answering import add_verb, tell_on_stderr
from jupyter_alc.core.errors import NotFound
from jupyter_alc.magics import shown
from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from jupyter_alc.magics.asking import Told
    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.shown import Shown

NAME = "spark"


def add_parser(subparsers: Any) -> None:
    """Add `piezo` with its verbs."""
    told = "your Spark clusters: start, status, stop"
    parser = subparsers.add_parser("piezo", help=told, description="Your Spark clusters on this machine.")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    start = add_verb(verbs, "start", "start a cluster, or find the one of that name; wait until it is ready", _start)
    start.add_argument("--workers", type=int, help="how many workers")
    start.add_argument("--cores", type=int, help="cores of each worker")
    start.add_argument("--memory", help="memory of each worker with its unit, such as 1g")
    stop = add_verb(verbs, "stop", "end a cluster and wait until it is gone", _stop)
    for verb in (start, stop):
        verb.add_argument("--name", default=NAME, help=f"the cluster's name (default: {NAME})")
    add_verb(verbs, "status", "your clusters", _status)


def _start(alc: Alc, asked: argparse.Namespace) -> Shown:
    started = alc.piezo.start(
        asked.name, workers=asked.workers, cores_per_worker=asked.cores, memory_per_worker=asked.memory, tell=_teller()
    )
    return shown.words(shown.started_words(started, session=False), started.cluster)


def _stop(alc: Alc, asked: argparse.Namespace) -> Shown:
    cluster = alc.piezo.named(asked.name)
    if cluster is None:
        raise NotFound(
            f"There is no cluster {plain(asked.name)[:80]}.", next_step="Look at them with alc piezo status."
        )
    alc.piezo.stop(cluster["id"], tell=_teller())
    return shown.words(f"Cluster {plain(asked.name)} is gone.", {**cluster, "state": "gone"})


def _status(alc: Alc, asked: argparse.Namespace) -> Shown:
    clusters = alc.piezo.status()
    return shown.clusters_shown(clusters, {one["id"]: alc.piezo.ui_path(one["id"]) for one in clusters})


def _teller() -> Callable[[Told], None]:
    last = ""

    def tell(cluster: Told) -> None:
        nonlocal last
        line = shown.cluster_line(cluster)
        if line != last:
            last = line
            tell_on_stderr(line)

    return tell
