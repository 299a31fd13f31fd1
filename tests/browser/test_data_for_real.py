"""The panel's Data section with nothing played: a data service, a notebook that reads, an archive on a slow line.

Rules of docs/semantics/dms.md are quoted by their number.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from day.browser import PATIENCE
from jupyter_alc.core.dataset import Access
from jupyter_alc.core.views import View
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.faults import FaultyProxy
from tests.browser.lab import in_the_dark, item, lab_server, like, look, page_of, panel, pictures_of
from tests.integration.server.test_notebooks import Notebook
from tests.integration.server.test_spark import remove_sockets, short_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.integration.server.conftest import Running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

MIB = 1 << 20
LINE = 5 * MIB  # bytes a second
SLOW = MIB  # for what is to be seen while it lasts
BY_FRAME = View("by-frame", "frames/{number:digits}.bin", "{number}/frame.bin")


@dataclass
class Real:
    """All of it, for one module."""

    server: Running
    service: DataService
    archive: Path
    line: FaultyProxy
    notebook: Notebook
    page: Page
    complaints: list[str]

    def moved(self, dataset: str) -> int:
        """The bytes of a dataset that came from the archive."""
        told = self.server.alc("GET", "data").json["datasets"]
        return next(int(one["moved_bytes"]) for one in told if one["id"] == dataset)

    def read(self, path: str, most: int = -1) -> None:
        """Let the notebook read a file to its end, or `most` bytes of it, through the folder where there is one."""
        mounted = self.service.mount is not None and self.service.first_word["mounted"]
        opened = f"open({str(self.service.mount / path)!r}, 'rb')" if mounted else f"fsspec.open('dms://{path}')"
        reading = "while f.read(1 << 18): pass" if most < 0 else f"f.read({most})"
        reply, _ = self.notebook.run(f"import fsspec\nwith {opened} as f:\n    {reading}")
        assert reply["status"] == "ok", reply


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    folder, short = tmp_path_factory.mktemp("real"), short_folder()
    (folder / "archive").mkdir()
    archive = ArchiveService(folder / "archive")
    archive.start()
    (archive.results() / "raw" / "frames").mkdir(parents=True)
    (archive.results() / "mine").mkdir()
    (archive.results() / "huge").mkdir()
    for number in range(4):
        (archive.results() / "raw" / "frames" / f"{number}.bin").write_bytes(os.urandom(6 * MIB))
    (archive.results() / "raw" / "log.bin").write_bytes(os.urandom(8 * MIB))
    with (archive.results() / "huge" / "all.bin").open("wb") as file:
        file.truncate(200 * MIB)
    service: DataService | None = None
    try:
        with FaultyProxy("127.0.0.1", archive.port, round_trip_seconds=0.02, bytes_per_second=LINE) as line:
            whole = archive.dataset(access=Access.READ, published=True)
            raw, mine, huge = (
                replace(whole, id=id, title=title, url=f"http://{line.address}/results/ada/{id}", **more)
                for id, title, more in (
                    ("raw", "A beamtime", {"size_bytes": 32 * MIB, "views": (BY_FRAME,)}),
                    ("mine", "My results", {"access": Access.WRITE, "published": False}),
                    ("huge", "More than fits", {"size_bytes": 200 * MIB}),
                )
            )
            service = DataService(short, [raw, mine, huge], mount=folder / "mnt", extra={"quota_bytes": 100 * MIB})
            service.start()
            config = "c.AlcExtension.data_seconds = 0.5\n"
            with lab_server(folder, config, ALC_DMS_SOCKET=str(service.socket)) as server:
                notebook = Notebook(server, "work/reading.ipynb")
                with page_of(server) as (page, complaints):
                    yield Real(server, service, archive.results(), line, notebook, page, complaints)
                notebook.close()
    finally:
        if service is not None:
            service.stop()
        archive.stop()
        remove_sockets(short)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_of(tmp_path_factory.mktemp("pictures"))


def test_what_is_needed_and_moved_runs_along_while_a_notebook_reads(real: Real, pictures: Path) -> None:
    """S1, S2."""
    raw = item(real.page, "raw")
    expect(raw).to_contain_text("34 MB in all", timeout=PATIENCE)
    raw.evaluate(
        """one => { window.told = new Set();
                    const needed = () => /[\\d.]+ .?B needed/.exec(one.textContent)?.[0];
                    window.watching = setInterval(() => window.told.add(needed()), 50); }"""
    )
    real.line.bytes_per_second = SLOW
    real.read("raw/log.bin")
    real.line.bytes_per_second = LINE
    expect(raw).to_contain_text("8.4 MB needed · 8.4 MB moved", timeout=PATIENCE)
    seen = real.page.evaluate("clearInterval(window.watching), [...window.told].filter(Boolean)")
    assert len(seen) >= 2, seen
    reply, _ = real.notebook.run("import fsspec\nlen(fsspec.filesystem('dms').cat_file('raw/log.bin'))")
    assert reply["status"] == "ok", reply
    expect(raw).to_contain_text("17 MB needed · 8.4 MB moved · 8.4 MB from cache", timeout=PATIENCE)
    look(real.page, pictures, "real-read")


def test_bytes_of_the_notebook_are_the_same_in_the_panel_and_in_the_notebook(real: Real, pictures: Path) -> None:
    """S1, S4."""
    panel(real.page).get_by_role("button", name="Bytes per notebook").click()
    row = panel(real.page).locator(".jp-AlcPanel-readers li").first
    expect(row).to_contain_text("reading.ipynb17 MB needed · 8.4 MB moved · 8.4 MB from cache", timeout=PATIENCE)
    shown = real.notebook.shown("%load_ext jupyter_alc\n%dms notebooks")["text/plain"]
    assert like(r"work/reading.ipynb +17 MB +8.4 MB +8.4 MB").search(shown), shown
    look(real.page, pictures, "real-notebooks")
    panel(real.page).get_by_role("button", name="Hide bytes per notebook").click()


def test_a_plan_then_a_fetch_with_cancel_and_resume_and_it_moves_what_was_planned(real: Real, pictures: Path) -> None:
    """T2, T7, T8."""
    raw, before = item(real.page, "raw"), real.moved("raw")
    raw.get_by_role("button", name="Fetch all…: raw").click()
    expect(raw).to_contain_text(
        like(r"5 files · 34 MB · 8.4 MB here already · \d+ requests · about \d+ s"), timeout=PATIENCE
    )
    look(real.page, pictures, "real-plan")
    real.line.bytes_per_second = SLOW
    raw.get_by_role("button", name="Fetch 25 MB").click()
    bar = raw.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", like(r"moving, .* of 34 MB, .*B/s, \d+ s left"), timeout=PATIENCE)
    look(real.page, pictures, "real-moving")
    raw.get_by_role("button", name="Cancel: raw").click()
    expect(raw).to_contain_text(like(r"cancelled, .* of 34 MB"), timeout=PATIENCE)
    assert real.moved("raw") - before < 24 * MIB
    look(real.page, pictures, "real-cancelled")
    real.line.bytes_per_second = LINE
    raw.get_by_role("button", name="Resume: raw").click()
    expect(raw).to_contain_text("done, 34 MB · 25 MB moved", timeout=PATIENCE)
    assert real.moved("raw") - before == 24 * MIB
    look(real.page, pictures, "real-done")
    raw.get_by_role("button", name="Fetch all…: raw").click()
    expect(raw).to_contain_text("34 MB · all here already", timeout=PATIENCE)
    raw.get_by_role("button", name="Close").click()


def test_files_tell_where_they_are_and_a_refresh_asks_the_archive(real: Real, pictures: Path) -> None:
    """S5, N15."""
    raw = item(real.page, "raw")
    raw.get_by_role("button", name="Show files: raw").click()
    raw.get_by_role("button", name="frames/").click()
    expect(raw.locator("tbody")).to_contain_text("0.bin6.3 MBcached", timeout=PATIENCE)
    (real.archive / "raw" / "frames" / "new.bin").write_bytes(os.urandom(MIB))
    raw.get_by_role("button", name="Refresh: raw/frames").click()
    expect(raw.locator("tbody")).to_contain_text("new.bin1 MBarchive", timeout=PATIENCE)
    real.read("raw/frames/new.bin", 10)
    expect(raw.locator("tbody")).to_contain_text(like(r"new.bin1 MBpartly, .* of 1 MB"), timeout=PATIENCE)
    look(real.page, pictures, "real-files")


def test_a_view_is_a_folder_whose_files_are_where_their_bytes_are(real: Real, pictures: Path) -> None:
    """N18, S5."""
    raw = item(real.page, "raw")
    raw.get_by_role("button", name="Up").click()
    raw.get_by_role("button", name="by-frame/").click()
    expect(raw.locator("tbody")).to_contain_text("0/1/2/3/", timeout=PATIENCE)
    look(real.page, pictures, "real-view")
    raw.get_by_role("button", name="2/").click()
    expect(raw.locator("tbody")).to_contain_text("frame.bin → raw/frames/2.bin6.3 MBcached", timeout=PATIENCE)
    look(real.page, pictures, "real-view-file")


def test_what_does_not_fit_is_refused_with_its_next_step(real: Real, pictures: Path) -> None:
    """T5."""
    huge = item(real.page, "huge")
    huge.get_by_role("button", name="Fetch all…: huge").click()
    expect(huge).to_contain_text("1 file · 210 MB", timeout=PATIENCE)
    huge.get_by_role("button", name="Fetch 210 MB").click()
    expect(huge).to_contain_text("210 MB do not fit: the cache can hold 105 MB.Fetch a part of them", timeout=PATIENCE)
    look(real.page, pictures, "real-refused")
    assert real.moved("huge") == 0


def test_an_archive_that_is_away_is_told_and_a_transfer_goes_on_when_it_is_back(real: Real, pictures: Path) -> None:
    """R7, T2."""
    (real.archive / "mine" / "result.bin").write_bytes(os.urandom(4 * MIB))
    real.server.alc("POST", "data/refresh", {"path": "mine"})
    mine = item(real.page, "mine")
    real.line.down = True
    assert real.server.alc("POST", "data/transfers", {"paths": ["mine"]}).status == 201
    expect(mine).to_contain_text("goes on by itself", timeout=PATIENCE)
    expect(mine).to_contain_text("out of reach", timeout=PATIENCE)
    look(real.page, pictures, "real-away")
    real.line.down = False
    mine.get_by_role("button", name="Try now: mine").click()
    expect(mine).to_contain_text("done, 4.2 MB · 4.2 MB moved", timeout=PATIENCE)
    expect(mine).not_to_contain_text("out of reach", timeout=PATIENCE)


def test_it_reads_in_the_dark_and_nothing_sticks_out(real: Real, pictures: Path) -> None:
    in_the_dark(real.page, real.server)
    expect(item(real.page, "raw")).to_contain_text("from cache", timeout=PATIENCE)
    item(real.page, "raw").get_by_role("button", name="Show files: raw").click()
    item(real.page, "raw").get_by_role("button", name="frames/").click()
    expect(item(real.page, "raw").locator("tbody")).to_contain_text("cached", timeout=PATIENCE)
    look(real.page, pictures, "real-dark")
    assert panel(real.page).evaluate("one => one.scrollWidth - one.clientWidth") <= 0
    assert real.complaints == []
