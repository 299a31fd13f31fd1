"""A start as a person sees it: stages with their times, told to every browser tab alike. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.states import AllocationState

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIVE: Final = frozenset(
    {
        AllocationState.QUEUED,
        AllocationState.CLAIMED,
        AllocationState.MOUNTING,
        AllocationState.STARTING,
        AllocationState.READY,
    }
)

# (what it is called, what is said while it runs)
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "waiting for a machine": ("a machine was made", "waiting for a machine: one is being made"),
    "claimed": ("machine claimed", "claiming a machine"),
    "account": ("account and home", "preparing your account and home"),
    "mount": ("data mounted", "mounting your data"),
    "proof": ("data listed and read as you", "reading your data as you"),
    "server": ("Jupyter server", "starting your Jupyter server"),
}
_EXPECTED: Final = ("claimed", "account", "mount", "proof", "server")
_FALLBACK_SECONDS: Final = 0.5
LACKING: Final = "lacking"  # done, but not all that was hoped for


def alive(allocation: Mapping[str, Any]) -> bool:
    """Say whether this allocation holds a machine, or waits for one."""
    return str(allocation["state"]) in ALIVE


def no_stages() -> list[dict[str, Any]]:
    """The stages before VMM has answered for the first time."""
    states = ["now", *["waiting"] * (len(_EXPECTED) - 1)]
    return [
        {"name": name, "state": state, "seconds": None, "usual_seconds": None}
        for name, state in zip(_EXPECTED, states, strict=True)
    ]


def told(stage: Mapping[str, Any]) -> dict[str, Any]:
    """One stage with the words for it; a stage we do not know keeps its name."""
    done, running = WORDS.get(str(stage["name"]), (str(stage["name"]), str(stage["name"])))
    words = {"done": done, "now": running, "failed": f"failed: {running}"}.get(str(stage["state"]), done)
    return {
        "name": str(stage["name"]),
        "state": str(stage["state"]),
        "words": words,
        "seconds": stage.get("seconds"),
        "usual_seconds": stage.get("usual_seconds"),
    }


def _tell_lack(stages: list[dict[str, Any]], allocation: Mapping[str, Any]) -> None:
    """A start that goes on has a problem only where the data could not become folders: its stage says so."""
    lack = allocation.get("problem")
    for stage in stages:
        if lack and stage["name"] == "mount" and stage["state"] == "done" and alive(allocation):
            stage["state"] = LACKING
            stage["words"] = " ".join(part for part in (lack["message"], lack["next_step"]) if part)


def percent(stages: list[dict[str, Any]]) -> int:
    """How far it is, by what each stage usually takes; 99 at most, because only the Hub knows the end."""
    weights = [float(stage.get("usual_seconds") or _FALLBACK_SECONDS) for stage in stages]
    done = sum(w for w, stage in zip(weights, stages, strict=True) if stage["state"] in {"done", LACKING})
    done += sum(w / 2 for w, stage in zip(weights, stages, strict=True) if stage["state"] == "now")
    return min(99, round(100 * done / sum(weights))) if weights else 0


def seconds(value: float | None) -> str:
    """`< 0.1 s`, `0.3 s`, `12 s`, `3 min`; nothing for None."""
    if value is None:
        return ""
    if 0 <= value < 0.05:
        return "< 0.1 s"
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min"


def progress_event(allocation: Mapping[str, Any] | None) -> dict[str, Any]:
    """The event a browser gets: JupyterHub's `progress` and `message`, and all `stages` for our own page."""
    stages = [told(stage) for stage in (allocation["stages"] if allocation else no_stages())]
    _tell_lack(stages, allocation or {})
    now = next((stage for stage in stages if stage["state"] in {"now", "failed"}), stages[-1])
    took = seconds(now["seconds"])
    usual = f", usually {seconds(now['usual_seconds'])}" if now["usual_seconds"] is not None else ""
    message = f"{now['words']} ({took}{usual})" if took else f"{now['words']}{usual}"
    return {"progress": percent(stages), "message": message[:1].upper() + message[1:], "stages": stages}


def took(stage: Mapping[str, Any]) -> str:
    """The time column of the progress page, as the page's script writes it too."""
    spent, usual = seconds(stage["seconds"]), seconds(stage["usual_seconds"])
    if stage["state"] in {"done", LACKING}:
        return spent
    return ", ".join(part for part in (spent, f"usually {usual}" if usual else "") if part)
