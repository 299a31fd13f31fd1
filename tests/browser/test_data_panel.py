"""The panel's Data section in real Chromium and a real Lab, in both themes and narrow, by mouse and by keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from playwright.sync_api import expect

from day.browser import PATIENCE, wait_for_kernel
from tests.browser.lab import in_the_dark, item, lab_server, like, look, page_of, panel, pictures_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.integration.server.conftest import Running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
CONFIG = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from played_parts import parts
from jupyter_alc.server.app import AlcExtension
AlcExtension.make_parts = staticmethod(parts)
c.AlcExtension.data_seconds = 1.0
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with lab_server(tmp_path_factory.mktemp("lab"), CONFIG) as running:
        told = {"path": "work/guinier.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        assert running.ask("POST", "api/sessions", told).status == 201
        yield running


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_of(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def lab(server: Running) -> Iterator[tuple[Page, list[str]]]:
    with page_of(server) as found:
        yield found


def test_every_state_of_a_dataset_is_told(lab: Any, pictures: Path) -> None:
    page, _ = lab
    sans = item(page, "sans-examples")
    expect(sans).to_contain_text("12 MB needed · 8.6 MB moved · 3.9 MB from cache · 37 MB in all", timeout=PATIENCE)
    expect(item(page, "results")).to_contain_text("1 file unsent")
    tomo = item(page, "tomo-2410")
    expect(tomo).to_contain_text("out of reach")
    expect(tomo).to_contain_text("waiting, 240 of 740 MB · goes on by itself")
    beamtime = item(page, "rb2410023")
    expect(beamtime).to_contain_text("failed, 30 of 90 MB · 2 files failed")
    expect(beamtime).to_contain_text("The archive has it no more.Fetch its folder again.")
    look(page, pictures, "data-states")


def test_a_fetch_from_its_plan_to_its_end_by_keyboard_alone(lab: Any, pictures: Path) -> None:
    page, _ = lab
    sans = item(page, "sans-examples")
    sans.get_by_role("button", name="Fetch all…: sans-examples").press("Enter")
    expect(sans).to_contain_text("54 files · 37 MB · 8.7 MB here already · 41 requests · about 14 s", timeout=PATIENCE)
    look(page, pictures, "data-plan")
    fetch = sans.get_by_role("button", name="Fetch 28 MB")
    for _ in range(12):
        if fetch.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    bar = sans.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", like(r"moving, .* of 37 MB, 2 MB/s, \d+ s left"), timeout=PATIENCE)
    look(page, pictures, "data-moving")
    sans.get_by_role("button", name="Cancel: sans-examples").press("Enter")
    expect(sans).to_contain_text(like(r"cancelled, .* of 37 MB"), timeout=PATIENCE)
    look(page, pictures, "data-cancelled")
    sans.get_by_role("button", name="Resume: sans-examples").press("Enter")
    expect(sans).to_contain_text("done, 37 MB · 28 MB moved", timeout=PATIENCE)
    look(page, pictures, "data-done")


def test_nothing_flickers_while_a_transfer_moves(lab: Any) -> None:
    """The elements that show it stay the same ones; only their words change, and the panel never gets shorter."""
    page, _ = lab
    beamtime = item(page, "rb2410023")
    beamtime.get_by_role("button", name="Resume: rb2410023/raw and 1 more").click()
    expect(beamtime).to_contain_text(like(r"moving, .* of 90 MB"), timeout=PATIENCE)
    beamtime.locator(".jp-AlcPanel-transfer").evaluate(
        """one => { window.kept = [one, one.querySelector('[role=progressbar]'), one.querySelector('button')];
                    window.heights = new Set();
                    window.watching = setInterval(() => window.heights.add(one.offsetHeight), 20); }"""
    )
    page.wait_for_timeout(4000)
    kept, heights = page.evaluate("[window.kept.every(one => one.isConnected), [...window.heights]]")
    page.evaluate("clearInterval(window.watching)")
    assert kept
    assert len(heights) == 1, heights
    beamtime.get_by_role("button", name="Cancel: rb2410023/raw and 1 more").click()
    expect(beamtime).to_contain_text("cancelled", timeout=PATIENCE)


def test_files_tell_where_they_are_and_folders_are_gone_into(lab: Any, pictures: Path) -> None:
    page, _ = lab
    sans = item(page, "rb2410023")
    sans.get_by_role("button", name="Show files: rb2410023").click()
    expect(sans.locator("tbody")).to_contain_text("raw/", timeout=PATIENCE)
    sans.get_by_role("button", name="raw/").click()
    expect(sans.locator("tbody")).to_contain_text("partly, 30 of 90 MB", timeout=PATIENCE)
    look(page, pictures, "data-files")
    sans.get_by_role("button", name="Up").click()
    expect(sans.locator("tbody")).to_contain_text("raw/", timeout=PATIENCE)
    sans.get_by_role("button", name="Hide files: rb2410023").click()
    expect(sans.locator("table")).to_have_count(0)


def test_bytes_per_notebook_are_told_on_demand(lab: Any, pictures: Path) -> None:
    page, _ = lab
    panel(page).get_by_role("button", name="Bytes per notebook").click()
    rows = panel(page).locator(".jp-AlcPanel-readers li")
    expect(rows.first).to_contain_text(
        "guinier.ipynb8.1 MB needed · 5.2 MB moved · 2.9 MB from cache", timeout=PATIENCE
    )
    expect(rows.last).to_contain_text("bash1 MB needed · 1 MB moved")
    look(page, pictures, "data-notebooks")


def test_a_dataset_leaves_and_comes_back(lab: Any, pictures: Path) -> None:
    page, _ = lab
    results = item(page, "results")
    results.get_by_role("button", name="Unmount: results").click()
    expect(results).to_contain_text("not in the folder", timeout=PATIENCE)
    look(page, pictures, "data-unmounted")
    results.get_by_role("button", name="Mount: results").click()
    expect(results).not_to_contain_text("not in the folder", timeout=PATIENCE)


def test_it_reads_in_the_dark_and_where_there_is_little_room(lab: Any, server: Running, pictures: Path) -> None:
    page, _ = lab
    in_the_dark(page, server)
    beamtime = item(page, "rb2410023")
    beamtime.get_by_role("button", name="Show files: rb2410023").click()
    beamtime.get_by_role("button", name="raw/").click()
    expect(beamtime.locator("tbody")).to_contain_text("partly, ", timeout=PATIENCE)
    look(page, pictures, "data-dark")
    shown, wide = panel(page).evaluate("one => [one.clientWidth, one.scrollWidth - one.clientWidth]")
    assert shown <= 250, "as narrow as Lab lets a sidebar be"
    assert wide <= 0, "nothing sticks out"


def test_the_magics_show_the_same_in_a_notebook_with_a_bar_that_moves(
    lab: Any, server: Running, pictures: Path
) -> None:
    page, _ = lab
    cells = [
        "%load_ext jupyter_alc\n%dms status",
        "%dms plan rb2410023",
        "%dms fetch rb2410023",
        "%dms ls rb2410023/raw",
        "%dms notebooks",
        "%dms history",
    ]
    told = nbformat.writes(
        nbformat.v4.new_notebook(
            metadata={"kernelspec": KERNEL}, cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
    )
    saved = server.ask("PUT", "api/contents/work/fetch.ipynb", {"type": "notebook", "content": json.loads(told)})
    assert saved.status == 201
    page.goto(f"{server.url}lab/tree/work/fetch.ipynb?reset", wait_until="domcontentloaded", timeout=PATIENCE)
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE)
    book = page.locator(".jp-NotebookPanel")
    wait_for_kernel(page)
    page.click(".lm-MenuBar-itemLabel:text-is('Run')")
    page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    expect(book.locator(".jupyter-widgets .progress-bar")).to_be_visible(timeout=PATIENCE)
    expect(book).to_contain_text(like(r"rb2410023: moving, .* of 90 MB, 2 MB/s, \d+ s left"), timeout=PATIENCE)
    book.screenshot(path=pictures / "notebook-moving.png")
    expect(book).to_contain_text("rb2410023: done, 90 MB, 60 MB moved", timeout=PATIENCE)
    expect(book.locator(".jupyter-widgets .progress-bar")).to_have_count(0)
    expect(book.locator("progress")).to_have_attribute("value", "90000000", timeout=PATIENCE)
    expect(book).to_contain_text("fetched", timeout=PATIENCE)
    book.screenshot(path=pictures / "notebook-done.png")


def test_no_page_complained(lab: Any) -> None:
    _, complaints = lab
    assert complaints == []
