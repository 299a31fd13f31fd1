"""What a magic returns: the same in text and in HTML, with everything escaped, and the plain data behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.sizes import size
from jupyter_alc.magics.words import part_of, plain, plural, seconds, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_alc.magics.asking import Told
    from jupyter_alc.magics.client import Started


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """Something to look at. `told` is what the server told, for programs."""

    text: str
    html: str
    told: Any = field(default=None)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": f'<div class="jp-AlcShown">{self.html}</div>'}


def words(text: str, told: Any = None) -> Shown:
    """A sentence or two."""
    line = plain(text)
    return Shown(line, f"<p>{escape(line)}</p>", told)


def helped(text: str) -> Shown:
    """The help of a magic, with its columns kept."""
    return Shown(text, f"<pre>{escape(text)}</pre>")


def stacked(*parts: Shown, told: Any = None) -> Shown:
    """One thing below the other."""
    return Shown("\n".join(part.text for part in parts), "".join(part.html for part in parts), told)


def grid(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Shown:
    """A table."""
    lines = [list(row) for row in rows]
    ths = "".join(f'<th scope="col" style="text-align:left">{escape(name)}</th>' for name in head)
    trs = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in lines)
    return Shown(table(head, lines), f"<table><thead><tr>{ths}</tr></thead><tbody>{trs}</tbody></table>")


def why(state: str, problem: Any) -> str:
    """A state, and what went wrong where something did."""
    return f"{state}: {message_of(problem)}" if problem else state


def message_of(problem: Any) -> str:
    """What is wrong and what to do about it; nothing for nothing."""
    return f"{problem.get('message', '')} {problem.get('next_step', '')}".strip() if isinstance(problem, dict) else ""


def clusters_shown(clusters: Sequence[Told], ui_path: Mapping[str, str]) -> Shown:
    """`%piezo status`; `ui_path` has the path of the Spark UI of each id."""
    if not clusters:
        return words("No cluster. Start one with %piezo start.", [])
    rows = [
        (
            one["name"],
            why(one["state"], one.get("problem")) if one.get("problem") else _waits(one),
            f"{(one.get('executors') or {}).get('running', 0)} of {(one.get('executors') or {}).get('wanted', 0)}",
            one.get("cores"),
            framework_words(one),
        )
        for one in clusters
    ]
    links = [ui_shown(one, ui_path[one["id"]]) for one in clusters if one.get("ui")]
    return stacked(grid(("cluster", "state", "executors", "cores", "runs"), rows), *links, told=list(clusters))


def framework_words(cluster: Told) -> str:
    """What runs in a cluster: `Spark 4.3`."""
    version = ".".join(str(cluster.get("version") or "").split(".")[:2])
    return f"{str(cluster.get('framework')).capitalize()} {version}".strip()


def _waits(cluster: Told) -> str:
    return f"{cluster['state']}: {cluster['reason']}" if cluster.get("reason") else str(cluster["state"])


def ui_shown(cluster: Told, path: str) -> Shown:
    """The way to a cluster's Spark UI."""
    text = f"Spark UI of {plain(cluster['name'])}: {path}"
    link = f'<a href="{escape(path)}" target="_blank" rel="noopener">Spark UI of {escape(str(cluster["name"]))}</a>'
    return Shown(text, f"<p>{link}</p>", cluster)


def cluster_line(cluster: Told) -> str:
    """One line about a cluster on its way."""
    executors, reason = cluster.get("executors") or {}, str(cluster.get("reason") or "")
    line = f"Cluster {plain(cluster['name'])}: {cluster['state']}"
    if executors.get("wanted"):
        line += f", {executors.get('running', 0)} of {plural(int(executors['wanted']), 'executor')}"
    return f"{line}, {reason}" if reason else line


def machine_shown(told: Told) -> Shown:
    """`%vmm status`."""
    machine = told.get("machine")
    used = told.get("used") or {}
    if not machine:
        use = f"This server's processes hold {size(used.get('memory_bytes'))}."
        return words(f"{told.get('words') or 'No machine service here.'} {use}", told)
    allocation, cores = told.get("allocation") or {}, used.get("cores")
    failed = allocation.get("problem") if allocation.get("state") == "failed" else None
    rows = [
        ("machine", machine.get("title") or machine.get("type")),
        ("state", why(allocation.get("state") or "not known", failed)),
        ("cores", f"{'?' if cores is None else f'{cores:.1f}'} of {machine.get('cores')} in use"),
        ("memory", f"{part_of(used.get('memory_bytes'), machine.get('memory_bytes'))} in use"),
        ("isolation", machine.get("isolation") or "not known"),
    ]
    problem = [words(str(told["words"]))] if told.get("words") else []
    return stacked(grid(("this server", ""), rows), *problem, told=told)


def started_words(started: Started, session: bool) -> str:
    """What `%piezo start` ends with; options that a cluster found running does not have are named."""
    cluster, again = started.cluster, started.again
    name = plain(cluster["name"])
    begun = f"Attached to cluster {name}, which was running already" if again else f"Cluster {name} is ready"
    took = "" if again or cluster.get("ready_seconds") is None else f" after {seconds(cluster['ready_seconds'])}"
    line = f"{begun}{took}.{' Your session is in the variable spark.' if session else ''}"
    return f"{line} {_unheeded(started)}" if started.unheeded else line


def _unheeded(started: Started) -> str:
    has = dict(started.cluster.get("options") or {})
    names = {"cores_per_worker": "cores", "memory_per_worker": "memory"}
    kept = ", ".join(f"{names.get(one, one)} {plain(has.get(one, 'unknown'))}" for one in started.unheeded)
    return f"It keeps the size it was started with ({kept}): stop it first to have another, or give another name."


def _cell(told: Any) -> str:
    return f'<td style="text-align:left">{escape(plain(told))}</td>'
