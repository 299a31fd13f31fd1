"""JupyterLab in real Chromium with our panel open, and how its parts are found."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from day.browser import PATIENCE, browser
from tests.integration.server.conftest import jupyter_environment, start_server, stop_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.integration.server.conftest import Running

BUILT = Path(__file__).resolve().parents[2] / "jupyter_alc" / "labextension"
CONFIG = """
c.ServerApp.jpserver_extensions = {"jupyter_alc": True, "jupyterlab": True}
c.LabApp.news_url = None
"""
DARK = "JupyterLab Dark"


@contextmanager
def lab_server(folder: Path, config: str = "", **environment: str) -> Iterator[Running]:
    """A Jupyter server with Lab and our panel; `config` is added to its configuration."""
    assert (BUILT / "package.json").exists(), "make env builds the panel"
    (folder / "path" / "labextensions").mkdir(parents=True)
    (folder / "path" / "labextensions" / "jupyter-alc").symlink_to(BUILT)
    (folder / "work").mkdir()
    given = jupyter_environment(folder, JUPYTER_PATH=str(folder / "path"), **environment)
    (folder / "config" / "jupyter_server_config.py").write_text(config + CONFIG)
    running = start_server(folder, given)
    try:
        yield running
    finally:
        stop_server(running)


@contextmanager
def page_of(server: Running) -> Iterator[tuple[Page, list[str]]]:
    """A page with the panel open, and what it complains of."""
    complaints: list[str] = []
    with browser() as chromium:
        page = chromium.new_context(viewport={"width": 1100, "height": 1500}).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        open_panel(page, server)
        yield page, complaints


def open_panel(page: Page, server: Running) -> None:
    """Load Lab and show the panel."""
    page.goto(f"{server.url}lab?token={server.token}", wait_until="domcontentloaded", timeout=PATIENCE)
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE)
    page.wait_for_selector(".jp-Launcher", timeout=PATIENCE)
    page.wait_for_function("!!document.activeElement?.closest('.jp-Launcher')", timeout=PATIENCE)  # it takes the focus
    if not panel(page).is_visible():
        page.click("li[data-id='jupyter-alc:panel']", timeout=PATIENCE)


def in_the_dark(page: Page, server: Running) -> None:
    """Load Lab again with its dark theme."""
    settings = "lab/api/settings/@jupyterlab/apputils-extension:themes"
    assert server.ask("PUT", settings, {"raw": f'{{"theme": "{DARK}"}}'}).status == 204
    open_panel(page, server)
    page.wait_for_selector(f"body[data-jp-theme-name='{DARK}']", state="attached", timeout=PATIENCE)


def panel(page: Page) -> Locator:
    """The panel."""
    return page.locator("[id='jupyter-alc:panel']")


def item(page: Page, dataset: str) -> Locator:
    """What the panel shows of a dataset."""
    return panel(page).locator(".jp-AlcPanel-item", has=page.locator(f"h3:text-is('{dataset}')"))


def look(page: Page, place: Path, name: str) -> None:
    """Take a picture of the panel."""
    panel(page).screenshot(path=place / f"{name}.png")


def pictures_of(place: Path) -> Path:
    """Where pictures go; PICTURES keeps them for people."""
    kept = Path(os.environ.get("PICTURES") or place)
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def like(pattern: str) -> Any:
    """Words of which some run."""
    return re.compile(pattern)
