"""`fetch` as a Python call and as a verb, its progress in a terminal, and what Tab offers."""

from __future__ import annotations

import argparse
import io
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Unavailable
from jupyter_alc.magics import dms
from jupyter_alc.magics.completing import matcher_of
from jupyter_alc.magics.data_calls import DataCalls
from jupyter_alc.magics.data_shown import folder_shown
from jupyter_alc.magics.progress import Moving
from jupyter_alc.magics.verbs import Door

pytestmark = pytest.mark.unit

TRANSFER = {
    "id": "transfer-1",
    "state": "moving",
    "paths": ["raw"],
    "files": 2,
    "files_done": 0,
    "size_bytes": 4_000_000,
    "done_bytes": 1_000_000,
    "moved_bytes": 0,
    "bytes_per_second": 1_000_000,
    "seconds_left": 3.0,
    "failed": [],
    "failed_files": 0,
    "problem": None,
}
DONE = {**TRANSFER, "state": "done", "done_bytes": 4_000_000, "moved_bytes": 3_000_000, "seconds_left": None}
AWAY = ArchiveUnreachable("The archive does not answer.", next_step="Try again.").as_json()


class Asked:
    """Answers from a list, and remembers what it was asked."""

    base_path = ""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, Any]]()

    def ask(self, verb: str, path: str, body: Any = None, **more: Any) -> Any:
        self.asked.append((verb, path, body))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Heard:
    def __init__(self) -> None:
        self.shown: list[tuple[str, int, int]] = []
        self.ended: tuple[str, bool] | None = None

    def show(self, line: str, done: int = 0, total: int = 0) -> None:
        self.shown.append((line, done, total))

    def end(self, line: str, *, well: bool) -> None:
        self.ended = (line, well)


def calls(*answers: Any) -> tuple[DataCalls, Asked]:
    asked = Asked(*answers)
    return DataCalls(asked, pause=lambda seconds: None), asked  # type: ignore[arg-type]


def run(line: str, *answers: Any) -> tuple[Any, Heard, Asked]:
    made, asked = calls(*answers)
    bar = Heard()
    verb, _, _ = line.partition(" ")
    namespace = dms.SPOKEN.read(line)
    assert namespace.verb == verb
    shown = dms.run(SimpleNamespace(dms=made), namespace, Door("%dms", lambda: bar))  # type: ignore[arg-type]
    return shown, bar, asked


def test_a_fetch_waits_until_it_is_done_and_tells_each_look() -> None:
    made, asked = calls(TRANSFER, {**TRANSFER, "done_bytes": 2_000_000}, DONE)
    told: list[int] = []
    assert made.fetch("raw", connections=4, tell=lambda now: told.append(now["done_bytes"])) == DONE
    assert told == [1_000_000, 2_000_000, 4_000_000]
    assert asked.asked[0] == ("POST", "data/transfers", {"paths": ["raw"], "connections": 4})
    assert asked.asked[1][:2] == ("GET", "data/transfers/transfer-1")


def test_a_fetch_that_failed_is_its_problem_with_the_way_on() -> None:
    made, _ = calls(TRANSFER, {**TRANSFER, "state": "failed", "failed_files": 3, "problem": AWAY})
    with pytest.raises(ArchiveUnreachable) as told:
        made.fetch("raw")
    assert "dms resume transfer-1" in told.value.line
    made, _ = calls(TRANSFER, {**TRANSFER, "state": "failed", "failed_files": 3})
    with pytest.raises(Unavailable, match="3 files could not be brought"):
        made.fetch("raw")


def test_one_that_waits_for_its_archive_is_waited_for() -> None:
    made, _ = calls({**TRANSFER, "state": "waiting", "problem": AWAY}, TRANSFER, DONE)
    assert made.fetch("raw")["state"] == "done"


def test_the_verb_moves_a_bar_and_leaves_it_full() -> None:
    shown, bar, asked = run("fetch raw raw/run --limit 10MB", TRANSFER, DONE)
    assert bar.shown[0] == ("raw: moving, 1 of 4 MB, 1 MB/s, 3 s left", 1_000_000, 4_000_000)
    assert bar.ended == ("raw: done, 4 MB, 3 MB moved", True)
    assert shown.text == "raw: done, 4 MB, 3 MB moved."
    assert asked.asked[0][2] == {"paths": ["raw", "raw/run"], "bytes_per_second": 10_000_000}


def test_an_interrupt_leaves_the_transfer_and_says_how_to_end_it() -> None:
    """S6."""
    made, asked = calls(TRANSFER, KeyboardInterrupt())
    bar = Heard()
    with pytest.raises(KeyboardInterrupt):
        dms.run(SimpleNamespace(dms=made), dms.SPOKEN.read("fetch raw"), Door("alc dms", lambda: bar))  # type: ignore[arg-type]
    assert bar.ended == ("raw: goes on; alc dms cancel transfer-1 ends it", False)
    assert "DELETE" not in [verb for verb, _, _ in asked.asked]


def test_without_waiting_the_way_to_look_and_to_end_is_told() -> None:
    shown, bar, _ = run("fetch raw --no-wait", TRANSFER)
    assert bar.shown == []
    assert "%dms cancel transfer-1 ends it" in shown.text


def test_one_that_was_cancelled_tells_the_way_on() -> None:
    shown, _, _ = run("cancel transfer-1", {**TRANSFER, "state": "cancelled"})
    assert "%dms resume transfer-1 goes on with it" in shown.text


@pytest.mark.parametrize("line", ["fetch raw --limit many", "history --limit 0"])
def test_a_wrong_number_is_told_before_anything_is_asked(line: str) -> None:
    with pytest.raises(BadInput):
        run(line)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_one_line_is_written_over_and_taken_away() -> None:
    out = Terminal()
    moving = Moving(out)
    moving.show("raw: moving\x1b[31m", 1, 4)
    moving.show("raw", 4, 4)
    moving.end("raw: done", well=True)
    first, second, *rest = out.getvalue().split("\r")[1:]
    assert first == "[#####...............] raw: moving\\x1b[31m"
    assert second.startswith("[####################] raw ")
    assert len(second) == len(first)
    assert "".join(rest).strip() == ""


def test_where_there_is_no_terminal_only_what_went_wrong_is_said() -> None:
    out = io.StringIO()
    moving = Moving(out)
    moving.show("raw", 1, 4)
    moving.end("raw: goes on", well=False)
    moving.end("again", well=False)
    assert out.getvalue() == "raw: goes on\n"


def offered(line: str, *answers: Any) -> list[str]:
    made, _ = calls(*answers)
    matcher = matcher_of({"dms": dms.SPOKEN}, lambda: SimpleNamespace(dms=made))  # type: ignore[arg-type, return-value]
    return [one.text for one in matcher(SimpleNamespace(text_until_cursor=line))["completions"]]


def entries(*names: str) -> dict[str, Any]:
    kinds = {True: "directory", False: "file"}
    found = [{"name": one.rstrip("/"), "type": kinds[one.endswith("/")], "size": 1, "state": "cached"} for one in names]
    return {"entries": found, "next": None, "coming": False}


def test_tab_offers_datasets_then_what_is_in_them() -> None:
    assert offered("%dms fetch ra", entries("raw/", "results/")) == ["raw/"]
    assert offered("%dms fetch raw/r", entries("run/", "readme", "a b")) == ["raw/run/", "raw/readme"]
    assert offered("%dms plan raw/", entries("a b", "$x")) == [], "what would need quotes is not offered"


def test_a_folder_with_more_names_than_lines_says_how_to_see_the_next() -> None:
    shown, _, asked = run("ls raw --limit 2", {**entries("a", "b"), "next": "b"})
    assert shown.text.splitlines()[-1] == "There is more: %dms ls raw --after=b"
    assert asked.asked[0][1] == "data/files"
    assert "There is more" not in run("ls raw", entries("a"))[0].text


def test_what_is_told_to_be_typed_next_can_be_typed() -> None:
    odd = {**entries("-a b"), "next": "-a b"}
    line = run("ls 'raw/my run'", odd)[0].text.splitlines()[-1].removeprefix("There is more: %dms ")
    assert run(line, odd)[2].asked[0][1] == "data/files"
    assert (dms.SPOKEN.read(line).path, dms.SPOKEN.read(line).after) == ("raw/my run", "-a b")
    plan = {"path": "raw/my run", "files": 1, "size_bytes": 5, "cached_bytes": 0, "move_bytes": 5, "requests": 1}
    said = run("plan 'raw/my run'", {**plan, "seconds": 1.0})[0].text.splitlines()[-1].removeprefix("%dms ")
    assert dms.SPOKEN.read(said.removesuffix(" moves 5 B.")).paths == ["raw/my run"]


@pytest.mark.parametrize("typed", ["raw/run", "dms://raw/run", "/home/ada/data/raw/run", "/home/ada/data/raw/run/"])
def test_a_folder_may_be_named_as_it_is_met(typed: str) -> None:
    """In Python it is `dms://…`, for a shell a path of the mount."""
    told = [{"daemon": {"mount": "/home/ada/data"}}] if typed.startswith("/") else []
    _, _, asked = run(f"ls {typed} --refresh", *told, {}, entries("a"))
    assert asked.asked[-2] == ("POST", "data/refresh", {"path": "raw/run"})


MOUNT = {"daemon": {"mount": "/home/ada/data"}}


@pytest.mark.parametrize("typed", ["~/data", "~/data/", "/home/ada/data", "/home/ada/data/"])
def test_the_folder_of_the_mount_is_the_list_of_datasets(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    shown, _, asked = run(f"ls {typed} --refresh", MOUNT, {}, entries("raw/", "results/"))
    assert asked.asked[-2] == ("POST", "data/refresh", {"path": ""})
    assert asked.asked[-1][1] == "data/files"
    assert "raw" in shown.text


@pytest.mark.parametrize("verb", ["fetch", "plan"])
@pytest.mark.parametrize("typed", ["~/data", "/home/ada/data/", "dms://"])
def test_what_is_fetched_or_planned_is_of_a_dataset(verb: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    with pytest.raises(BadInput) as told:
        run(f"{verb} {typed}", MOUNT)
    assert typed in told.value.sentence
    assert "Name a dataset" in told.value.next_step


def test_help_shows_what_takes_a_value_and_what_does_not() -> None:
    lines = [" ".join(line.split()) for line in dms.SPOKEN.help().splitlines()]
    assert "--refresh ask the archive now, whatever is known" in lines
    assert "--connections N requests at once" in lines


def test_a_folder_can_be_asked_for_anew() -> None:
    _, _, asked = run("ls raw/run --refresh", {}, entries("a"))
    assert asked.asked[0] == ("POST", "data/refresh", {"path": "raw/run"})
    assert asked.asked[1][1] == "data/files"


def test_tab_offers_transfers_and_nothing_where_the_server_is_silent() -> None:
    assert offered("%dms cancel ", {"transfers": [TRANSFER]}) == ["transfer-1"]
    assert offered("%dms mount ", {"datasets": [{"id": "raw"}]}) == ["raw"]
    assert offered("%dms fetch ra", Unavailable("No answer.")) == []
    assert offered("%dms st") == ["status"]
    assert offered("%dms fetch raw --l") == ["--limit"]


def test_help_names_every_verb_and_its_arguments() -> None:
    told = dms.SPOKEN.help()
    for verb in dms.VERBS:
        assert f"  {verb}" in told
    assert "--connections" in told
    assert isinstance(dms.SPOKEN.read("ls raw"), argparse.Namespace)


def test_n18_a_link_of_a_view_is_shown_with_where_it_leads() -> None:
    link = {"name": "a.nxs", "type": "file", "size": 4, "state": "cached", "target": "raw/2024A/a.nxs"}
    shown = folder_shown({"entries": [link], "next": None}, "raw/by-run/1")
    assert "a.nxs -> raw/2024A/a.nxs" in shown.text
