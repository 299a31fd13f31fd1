"""The main job, step by step. Each step looks at the real screens and at the archive, and keeps the figures it saw."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
from playwright.sync_api import expect

from day import probes
from day.archive_log import Kind, moved
from day.archives import sans_folder
from day.browser import PATIENCE, Person, sit_down, wait_for_kernel
from day.report import require
from jupyter_alc.core.sizes import size
from jupyter_alc.example.frame import touched
from jupyter_alc.magics.data_words import dataset_words
from jupyter_alc.magics.shown import framework_words

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

    from day.report import Report, Step
    from day.system import System

DATASETS = ["sans-examples", "results"]
KIB = 1024


class Day:
    """Two people and one system; run the steps in order."""

    def __init__(self, system: System, report: Report, chromium: Browser, pictures: Path) -> None:
        self.system = system
        self.report = report
        self.chromium = chromium
        self.pictures = pictures
        self.ada = self._person("ada")
        self.run_folder: Path | None = None
        self.first_machine = ""
        self.clicked = 0.0

    def _person(self, name: str, password: str | None = None) -> Person:
        known = password if password is not None else self.system.logins[name]
        return sit_down(self.chromium, self.system.address, name, known, self.pictures)

    def run(self) -> None:
        """Run every step; the first that is not true ends the day."""
        steps = {
            "the Hub lets ada in, and nobody with another's password": self.logging_in,
            "the form shows datasets and machines with live counts": self.form,
            "a machine of her own, data mounted and proved": self.spawn,
            "Lab shows the data, and almost nothing has moved": self.lab,
            "the notebook: a cluster, 54 files, one frame": self.notebook,
            "the panel and the Spark UI tell the same story": self.panel,
            "results written, the cluster stopped": self.finish_notebook,
            "brahe, at the same time, reaches nothing of hers": self.second_person,
            "stop my server: results in the archive, machine gone, pool refilled": self.stop,
            "a second spawn finds her notebook and her settings": self.come_back,
            "no page complained": self.no_complaints,
        }
        for name, step in steps.items():
            with self.report.step(name) as told:
                try:
                    step(told)
                except Exception:
                    self.ada.look("failed")
                    raise

    # -- the steps -----------------------------------------------------------------------------------------------------

    def logging_in(self, told: Step) -> None:
        thief = self._person("brahe", self.system.logins["ada"])
        try:
            require(not thief.log_in(), "ada's password opened brahe's account")
        finally:
            thief.context.close()
        require(self.ada.log_in(), "the Hub refused ada's own password")
        told.figures["people"] = sorted(self.system.logins)

    def form(self, told: Step) -> None:
        self.ada.open_form()
        page = self.ada.page
        for dataset in DATASETS:
            expect(page.locator(f"input[name=datasets][value='{dataset}']")).to_be_visible()
        counts = self._wait_for_pools()
        told.figures["ready_before"] = counts
        self.ada.choose("small", DATASETS)
        self.ada.look("form")

    def _wait_for_pools(self, seconds: float = 90) -> dict[str, str]:
        """Wait until the cards of both types say that a machine is ready; the page refreshes its counts by itself."""
        page = self.ada.page
        until = time.monotonic() + seconds
        while True:
            cards = {
                card.get_attribute("data-type") or "": card.locator(".alc-offer").inner_text()
                for card in page.locator(".alc-card").all()
            }
            if len(cards) >= 2 and all("ready" in words for words in cards.values()):
                return cards
            require(time.monotonic() < until, f"the pools did not fill: {cards}")
            page.wait_for_timeout(500)

    def spawn(self, told: Step) -> None:
        self.log_mark = self.system.archive.mark()
        self.clicked = time.monotonic()
        self.ada.start()
        self.ada.page.wait_for_timeout(700)
        self.ada.look("progress")
        self.ada.wait_for_lab()
        told.figures["click_to_lab_seconds"] = round(time.monotonic() - self.clicked, 2)
        machine = self.ada.get("jupyter-alc/v1/machine")
        told.figures["machine"] = machine
        told.figures["stages"] = self.system.allocations("ada")[0].get("stages")
        self.first_machine = self.system.allocations("ada")[0]["machine"]

    def lab(self, told: Step) -> None:
        page = self.ada.page
        page.locator(".jp-DirListing-item", has_text="data").first.dblclick(timeout=PATIENCE)
        for dataset in DATASETS:
            page.wait_for_selector(f".jp-DirListing-item:has-text('{dataset}')", timeout=PATIENCE)
        self.ada.look("lab")
        page.click(".jp-BreadCrumbs-home")
        asked = self.system.archive.since(self.log_mark)
        listings = [one for one in asked if one.kind is Kind.LISTING and one.status in {200, 207}]
        names = sum(self.system.archive.names_in(one) for one in listings)
        listing, proof = moved(asked, Kind.LISTING), moved(asked, Kind.READ)
        told.figures |= {"listing_bytes": listing, "names_listed": names, "proof_bytes": proof}
        require(listing <= KIB * max(names, 1), f"the listing moved {listing} bytes for {names} names")
        require(proof <= 256 * KIB, f"the proof moved {proof} bytes")
        require(all(one.kind is not Kind.WRITE for one in asked), "something was written")

    def notebook(self, told: Step) -> None:
        page = self.ada.page
        self.notebook_mark = self.system.archive.mark()
        page.locator(".jp-LauncherCard", has_text="Guinier").first.click(timeout=PATIENCE)
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=PATIENCE)
        wait_for_kernel(page)
        self._select_last_cell()
        started = time.monotonic()
        self.ada.menu("Run", "Run All Above Selected Cell")
        page.wait_for_timeout(2000)
        self.ada.wait_until_idle(420)
        told.figures["notebook_seconds"] = round(time.monotonic() - started, 1)
        self._save()
        self._require_no_cell_failed()
        self._show_a_plot()
        self.ada.look("notebook")
        asked = self.system.archive.since(self.notebook_mark)
        told.figures["bytes_moved"] = moved(asked, Kind.READ)
        told.figures["dataset_bytes"] = sum(f.stat().st_size for f in sans_folder().rglob("*") if f.is_file())
        frame = moved(asked, Kind.READ, "BAM_2D.h5")
        needed = touched(sans_folder() / "2d_data/BAM_2D.h5").total_bytes
        told.figures |= {"frame_bytes_moved": frame, "frame_bytes_needed": needed}
        require(0 < frame <= 1.5 * needed + 512 * KIB, f"the frame moved {frame} bytes; {needed} were touched")

    def _select_last_cell(self) -> None:
        page = self.ada.page
        page.locator(".jp-NotebookPanel .jp-Cell").first.click()
        page.keyboard.press("Escape")
        for _ in range(80):
            page.keyboard.press("ArrowDown")
        page.wait_for_timeout(300)

    def _show_a_plot(self) -> None:
        """Go up from the last cell until a plot is in sight; Lab draws only the cells near the screen."""
        page = self.ada.page
        for _ in range(20):
            page.keyboard.press("ArrowUp")
            page.wait_for_timeout(100)
            plots = page.locator(".jp-NotebookPanel .jp-OutputArea img")
            if plots.count():
                plots.first.scroll_into_view_if_needed()
                page.wait_for_timeout(500)
                return

    def _save(self) -> None:
        self.ada.page.keyboard.press("Control+s")
        self.ada.page.wait_for_timeout(1500)

    def _notebook_cells(self) -> list[dict[str, Any]]:
        content = self.ada.get("api/contents/sans_guinier.ipynb?content=1")["content"]
        return [cell for cell in content["cells"] if cell["cell_type"] == "code"]

    def _require_no_cell_failed(self) -> None:
        for cell in self._notebook_cells():
            for output in cell["outputs"]:
                source = "".join(cell["source"])[:60]
                said = f"{output.get('ename')}: {output.get('evalue')}"
                require(output["output_type"] != "error", f"the cell {source!r} failed: {said[:600]}")

    def panel(self, told: Step) -> None:
        page = self.ada.page
        self.ada.open_panel()
        panel = page.locator("[id='jupyter-alc:panel']")
        for words in ("General", "sans-examples", "results", "ready"):
            expect(panel).to_contain_text(words, timeout=PATIENCE)
        self._show_a_plot()
        self.ada.look("panel")
        clusters = self.ada.get("jupyter-alc/v1/piezo/clusters")["clusters"]
        live = [one for one in clusters if one["state"] == "ready"]
        require(len(live) == 1, f"one cluster should be ready: {clusters}")
        self._one_story(panel, live[0])
        told.figures["cluster"] = {key: live[0].get(key) for key in ("state", "version", "executors", "ready_seconds")}
        self._spark_ui(told, live[0]["id"])

    def _one_story(self, panel: Locator, cluster: dict[str, Any]) -> None:
        """What REST tells stands in the panel in the words of the magics."""
        story = self.ada.get("jupyter-alc/v1/machine")
        machine, state = story["machine"], story["allocation"]["state"]
        told = {machine["title"]: f"{state}.* of {size(machine['memory_bytes'])}"}
        told[cluster["name"]] = f"{framework_words(cluster)} · {cluster['state']}"
        told |= {one["id"]: dataset_words(one) for one in self.ada.get("jupyter-alc/v1/data")["datasets"]}
        for name, words in told.items():
            item = panel.locator(".jp-AlcPanel-item", has=self.ada.page.get_by_role("heading", name=name, exact=True))
            expect(item).to_contain_text(re.compile(words), timeout=PATIENCE)

    def _spark_ui(self, told: Step, cluster: str) -> None:
        """Open the jobs and executors pages; not one request may fail."""
        ui = self.ada.context.new_page()
        failed: list[str] = []
        count = [0]
        ui.on("response", lambda answer: (count.__setitem__(0, count[0] + 1), _note(failed, answer)))
        ui.on("requestfailed", lambda request: failed.append(f"failed {request.url}"))
        base = f"{self.ada.address}{self.ada.base}jupyter-alc/v1/piezo/clusters/{cluster}/ui"
        for page in ("jobs", "executors"):
            ui.goto(f"{base}/{page}/", wait_until="networkidle", timeout=PATIENCE)
            ui.screenshot(path=self.pictures / f"spark-{page}.png")
        expect(ui.locator("#active-executors-table tbody tr, #activeExecutorsTable tbody tr").first).to_be_visible()
        told.figures["spark_ui_requests"] = count[0]
        require(not failed, f"requests of the Spark UI failed: {failed[:5]}")
        ui.close()

    def finish_notebook(self, told: Step) -> None:
        page = self.ada.page
        page.locator(".jp-NotebookPanel .jp-Notebook").first.click(position={"x": 5, "y": 200})
        self._select_last_cell()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1500)
        self.ada.wait_until_idle(120)
        self._save()
        self._require_no_cell_failed()
        clusters = self.ada.get("jupyter-alc/v1/piezo/clusters")["clusters"]
        require(all(one["state"] == "gone" for one in clusters), f"a cluster is left: {clusters}")
        data = self.ada.get("jupyter-alc/v1/data")
        told.figures["data"] = [
            {key: one.get(key) for key in ("id", "needed_bytes", "moved_bytes", "unsent_files")}
            for one in data["datasets"]
        ]

        told.figures["notebook"] = self._bytes_of_the_notebook()

    def _bytes_of_the_notebook(self) -> dict[str, Any]:
        """What the data service counted for her notebook's kernel, under its uid and in its table of processes."""
        readers = self.ada.get("jupyter-alc/v1/data/notebooks")
        mine = next((one for one in readers["notebooks"] if one["path"].endswith(".ipynb")), None)
        require(mine is not None and mine["needed_bytes"] > 0, f"the notebook's bytes are not known: {readers}")
        assert mine is not None
        return dict(mine)

    def second_person(self, told: Step) -> None:
        if not self.system.isolates:
            told.applies = False
            told.figures["reason"] = "isolation: none (not root), so there is one person"
            return
        brahe = self._person("brahe")
        require(brahe.log_in(), "the Hub refused brahe's own password")
        brahe.open_form()
        brahe.choose("small", DATASETS)
        brahe.start()
        brahe.wait_for_lab()
        brahe.look("brahe")
        told.figures |= self._look_around(brahe)
        self._ask_for_hers(brahe)
        brahe.leave()

    def _look_around(self, brahe: Person) -> dict[str, Any]:
        hers = self.system.allocations("ada")[0]
        host = hers["url"].split("//")[1].split(":")[0].split("/")[0]
        places = [str(self.system.state), str(self.system.checkout), *self.system.archive.places]
        walk = brahe.ask(probes.WALK % {"other": "ada", "places": repr(places)})
        require(walk["homes"] == ["brahe"], f"brahe sees homes {walk['homes']}")
        require(not walk["foreign_environments"], "brahe reads another process's environment")
        seen = {place: names for place, names in walk["seen"].items() if names not in (["PermissionError"],)}
        require(not seen, f"brahe sees {seen}")
        targets = [(host, port) for port in (8888, 22, 80, 15002, 4040)]
        targets += [("127.0.0.1", port) for port in self.system.private_ports]
        targets += [(self.system.service_address, port) for port in self.system.private_ports]
        reached = brahe.ask(probes.REACH % {"targets": repr(targets)})
        require(not any(reached.values()), f"brahe reaches {[k for k, v in reached.items() if v]}")
        urls = self.system.archive.foreign_urls(self.system.archive_url)
        answers = brahe.ask(probes.FETCH % {"urls": repr(urls)})
        told = {code for codes in answers.values() for code in codes}
        require(told <= {400, 401, 403, 404}, f"the archive answered {answers}")
        vmm = f"{self.system.vmm_url}/v1/me/allocations/{hers['id']}"
        other = brahe.ask(probes.FETCH % {"urls": repr([vmm])})[vmm]
        require(other[0] in (401, 403, 404) and other[1] == 404, f"VMM answered {other} for her allocation")
        return {"walk": walk, "reached": reached, "archive": answers, "vmm": other}

    def _ask_for_hers(self, brahe: Person) -> None:
        """Ask for her pages with his browser: JupyterHub says no in its own words, ours say 404 or no."""
        for path in ("lab", "api/contents", "jupyter-alc/v1/data", "jupyter-alc/v1/piezo/clusters"):
            answer = brahe.context.request.get(f"{brahe.address}/user/ada/{path}", timeout=PATIENCE)
            kind = answer.headers.get("content-type", "")
            denied = answer.status in (401, 403, 404) or "/hub/" in answer.url
            require(denied and "sans-examples" not in answer.text(), f"{path}: {answer.status} {kind} {answer.url}")

    def stop(self, told: Step) -> None:
        self._leave_traces()
        page = self.ada.page
        self.ada.open_panel()
        page.locator("[id='jupyter-alc:panel']").get_by_role("button", name="Stop my server").first.click()
        page.locator(".jp-Dialog button.jp-mod-accept").click(timeout=PATIENCE)
        page.wait_for_url("**/hub/**", timeout=PATIENCE)
        self._wait_until_released()
        told.figures |= self._check_results()
        self.ada.open_form()
        told.figures["ready_after"] = self._wait_for_pools()
        self.ada.look("form-again")
        self._wait_until_gone(self.first_machine)

    def _leave_traces(self) -> None:
        """Change a setting and add a cell, to find them again."""
        self.ada.menu("Settings", "Theme", "JupyterLab Dark")
        self.ada.page.wait_for_selector("body[data-jp-theme-light='false']", state="attached", timeout=PATIENCE)
        self._wait_until_saved("lab/api/settings/@jupyterlab/apputils-extension:themes", "JupyterLab Dark")
        self.ada.page.wait_for_timeout(3000)
        self.ada.open_panel()
        self.ada.look("panel-dark")

    def _wait_until_saved(self, setting: str, value: str, seconds: float = 120) -> None:
        """Lab writes a setting a moment after it was chosen."""
        until = time.monotonic() + seconds
        while value not in self.ada.get(setting)["raw"]:
            require(time.monotonic() < until, f"Lab did not keep {value}")
            self.ada.page.wait_for_timeout(300)

    def _wait_until_released(self, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while True:
            states = [one["state"] for one in self.system.allocations("ada")]
            if all(state in ("released", "refused") for state in states):
                return
            require(time.monotonic() < until, f"her machine was not given back: {states}")
            time.sleep(0.5)

    def _wait_until_gone(self, machine: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while machine in (states := {one["key"]: one["state"] for one in self.system.machines()}):
            require(states[machine] not in ("ready", "claimed", "in-use"), f"her machine is {states[machine]} again")
            require(time.monotonic() < until, f"her machine is still {states[machine]}")
            time.sleep(0.3)

    def _check_results(self) -> dict[str, Any]:
        """Compare what the archive holds with what the manifest promised, and the science with what is known."""
        runs = sorted(self.system.archive.results("ada").glob("guinier-*"))
        require(runs, "no run reached the archive")
        run = self.run_folder = runs[-1]
        manifest = json.loads((run / "manifest.json").read_text())
        for one in manifest["results"]:
            digest = hashlib.sha256((run / one["file"]).read_bytes()).hexdigest()
            require(digest == one["sha256"], f"{one['file']} differs at the archive")
        table = pd.read_parquet(run / "rg.parquet")
        counts = manifest["counts"]
        require(counts["files"] == 54, f"{counts['files']} files instead of 54")
        require(counts["curves"] >= 294, f"{counts['curves']} curves instead of 294")
        require(counts["curves_with_radius"] >= 60, f"only {counts['curves_with_radius']} curves have a radius")
        without = table[table["rg"].isna()]
        require((without["reason"].str.len() > 0).all(), "a curve without a radius gives no reason")
        sphere = table[table["file"] == "100nmSpheresNodQ.txt"]["rg"].max()
        expected = math.sqrt(3 / 5) * 500
        require(abs(sphere / expected - 1) < 0.05, f"the 100 nm sphere measures {sphere} instead of {expected:.1f} Å")
        require(all(one["version"] for one in manifest["inputs"]), "an input has no version token")
        return {
            "run": run.name,
            "counts": counts,
            "sphere_rg": round(float(sphere), 2),
            "checksums": {one["file"]: one["sha256"] for one in manifest["results"]},
        }

    def come_back(self, told: Step) -> None:
        before = time.monotonic()
        self.ada.choose("small", DATASETS)
        self.ada.start()
        self.ada.wait_for_lab()
        told.figures["click_to_lab_seconds"] = round(time.monotonic() - before, 2)
        cells = self._notebook_cells()
        require(any(cell["outputs"] for cell in cells), "her notebook lost its outputs")
        self.ada.page.wait_for_selector("body[data-jp-theme-light='false']", state="attached", timeout=PATIENCE)
        require(self.system.allocations("ada")[0]["machine"] != self.first_machine, "an old machine was given again")
        listing = self.ada.get("api/contents/data/results?content=1")["content"]
        require(
            any(one["name"] == (self.run_folder and self.run_folder.name) for one in listing), "her run is not listed"
        )
        self.ada.look("second-spawn")

    def no_complaints(self, told: Step) -> None:
        told.figures["complaints"] = self.ada.complaints
        require(not self.ada.complaints, f"pages complained: {self.ada.complaints[:5]}")


def _note(failed: list[str], answer: Any) -> None:
    if answer.status >= 400:
        failed.append(f"{answer.status} {answer.url}")
