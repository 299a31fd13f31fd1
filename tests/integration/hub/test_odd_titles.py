"""Titles, places and descriptions of any kind, in a real browser: text stays text, and the form keeps its shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from alc_spawners.form import FormContent, render_form
from day.browser import browser
from jupyter_alc.core.dataset import Dataset
from jupyter_alc.core.errors import Unavailable

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

STATIC = Path(__file__).parents[3] / "hub_config/static"
MARKUP = "<img src=x onerror=window.caught=1><script>window.caught=2</script>\"'> {{7*7}} &amp; "
ODD = {
    "markup": MARKUP,
    "words": "A long title of many words " * 11,
    "unbroken": "x" * 300,
    "right-to-left": "מדידות של פיזור ناتج القياس 2026",
    "emoji": "👩\u200d🔬🧪 at 5 °C",
}


def form() -> str:
    datasets = [
        Dataset(
            id=ident, title=title, adapter="webdav", url="http://h", where=title, description=title, labels={"t": title}
        )
        for ident, title in ODD.items()
    ]
    machines = [
        {
            "id": ident,
            "title": title,
            "description": title,
            "cores": 1,
            "memory_bytes": 10**9,
            "environment": "python",
            "isolation": "sandbox",
            "limits_note": title,
            "lacks_note": "",
            "offer": {"state": "ready", "words": title, "seconds": 1},
        }
        for ident, title in ODD.items()
    ]
    problems = [Unavailable(ODD["unbroken"], next_step=MARKUP)]
    return render_form(FormContent("ada", machines, datasets, {}, problems))


def page_of(inside: str) -> str:
    style = "*, ::before, ::after { box-sizing: border-box } body { margin: 0 }" + (STATIC / "alc.css").read_text()
    scripts = "".join(f"<script>{(STATIC / name).read_text()}</script>" for name in ("alc_stages.js", "alc_form.js"))
    return f"""<!doctype html><meta charset="utf-8"><style>{style}</style>
    <main class="alc-page"><h1>Start a machine</h1><p class="alc-lead"></p>
    <form id="spawn_form">{inside}<div class="alc-bar"><p id="alc-summary"></p>
    <button type="submit" class="btn alc-start">Start</button></div></form>
    <section class="alc-box" id="alc-starting" hidden>
    <ol id="alc-stages"></ol><div><div id="alc-bar"></div></div></section>
    </main><script id="alc-form" type="application/json">{{"user": "ada", "hub": "/hub/"}}</script>{scripts}"""


def test_odd_titles_stay_text_and_stay_in_their_place() -> None:
    complaints: list[str] = []
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_content(page_of(form()))
        for one in page.locator("[name=datasets]").all()[:3]:
            one.check()
        page.wait_for_timeout(200)
        for width in (1400, 800, 400):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} in a window of {width}"
        assert page.evaluate("window.caught") is None
        assert page.locator("#spawn_form :is(img, script)").count() == 0
        shown = page.locator(".alc-data label").all_inner_texts()
        assert [one.strip() for one in shown] == [one.strip() for one in ODD.values()]
        assert "{{7*7}} &amp;" in page.inner_text("#alc-summary")
    assert not complaints
