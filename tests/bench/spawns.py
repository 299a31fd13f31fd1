"""From the click on Start to a usable Lab, and from the Hub's REST to a server that answers: ours beside plain."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.figures import ratio, spread
from bench.plain_hub import plain_hub
from bench.quiet import calm
from bench.running import instance, wait_for_pools, wait_until_nothing_is_held
from day.browser import PATIENCE, Person, browser, sit_down
from day.report import require
from day.steps import DATASETS
from day.system import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

    from day.system import System

LIST = "api/contents/data/sans-examples?content=1"
# looks at every drawn frame, because a driver that asks from outside would see it up to half a second late
WATCH = """
document.addEventListener('submit', () => {
  sessionStorage.clear();
  sessionStorage.clicked = Date.now();
}, true);
if (location.pathname.includes('/lab')) {
  sessionStorage.page = performance.timeOrigin + performance.getEntriesByType('navigation')[0].responseStart;
  const look = () => {
    const found = selector => document.querySelector(selector);
    if (!found('#jupyterlab-splash') && found('.jp-Launcher') && found('.jp-DirListing-item')) {
      sessionStorage.usable = Date.now();
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
}
"""
TOKEN = """
async () => {
  const headers = {'X-XSRFToken': window.jhdata.xsrf_token, 'Content-Type': 'application/json'};
  const made = await fetch(`/hub/api/users/${window.jhdata.user}/tokens`, {method: 'POST', headers, body: '{}'});
  return (await made.json()).token;
}
"""


@dataclass
class Side:
    """One Hub: how a person gets to Start there, and what was measured."""

    name: str
    address: str
    password: str
    chromium: Browser
    pictures: Path
    choose: Callable[[Person], None]
    options: dict[str, Any]
    settle: Callable[[], None]
    token: str = ""
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, figure: str, seconds: float) -> None:
        self.figures.setdefault(figure, []).append(seconds)

    def sit_down(self) -> Person:
        """Log ada in with a browser that has seen nothing yet."""
        person = sit_down(self.chromium, self.address, "ada", self.password, self.pictures)
        person.context.add_init_script(WATCH)
        require(person.log_in(), f"{self.name}: ada could not log in")
        return person

    def get_token(self) -> None:
        person = self.sit_down()
        person.open("/hub/token")
        self.token = str(person.page.evaluate(TOKEN))
        person.context.close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Ask the Hub or her server with her token."""
        request = urllib.request.Request(
            f"{self.address}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"token {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> None:
        """End her server and wait until the Hub knows no more of it."""
        until = time.monotonic() + 120
        while True:
            with suppress(OSError):
                self.ask("DELETE", "/hub/api/users/ada/server")
                if not json.loads(self.ask("GET", "/hub/api/users/ada")[1]).get("servers"):
                    break
            require(time.monotonic() < until, f"{self.name}: ada's server does not end")
            time.sleep(0.5)
        self.settle()


def click_to_lab(side: Side, person: Person, kind: str) -> None:
    """Press Start and wait until Lab can be used, then ask for the dataset's listing as Lab does."""
    person.open_form()
    side.choose(person)
    person.start()
    person.page.wait_for_url(f"**{person.base}lab**", timeout=PATIENCE)
    person.page.wait_for_function("sessionStorage.usable", timeout=PATIENCE)
    clicked, page, usable = person.page.evaluate(
        "['clicked', 'page', 'usable'].map(name => Number(sessionStorage[name]) / 1000)"
    )
    asked = time.monotonic()
    require(person.get(LIST)["content"], "the dataset is empty")
    listed = time.monotonic() - asked
    side.note(f"click to Lab, {kind} browser", usable - clicked)
    side.note(f"click to Lab's page, {kind} browser", page - clicked)
    side.note(f"Lab's page to Lab, {kind} browser", usable - page)
    side.note(f"dataset's listing, {kind} browser", listed)


def rest_to_ready(side: Side) -> None:
    """Ask the Hub's REST for a server and wait until Lab's page answers."""
    asked = time.monotonic()
    status, said = side.ask("POST", "/hub/api/users/ada/server", side.options)
    require(status in (201, 202), f"{side.name}: the Hub answered {status}: {said[:300]!r}")
    until = asked + 120
    while not json.loads(side.ask("GET", "/hub/api/users/ada")[1])["servers"].get("", {}).get("ready"):
        require(time.monotonic() < until, f"{side.name}: the server did not get ready")
        time.sleep(0.05)
    require(side.ask("GET", "/user/ada/lab")[0] == 200, f"{side.name}: Lab did not answer")
    side.note("REST to ready", time.monotonic() - asked)


def one_round(side: Side) -> None:
    """Once by a browser that is new here, once by the same browser again, once by REST."""
    side.settle()
    person = side.sit_down()
    for kind in ("new", "known"):
        side.note("busy before", calm())
        click_to_lab(side, person, kind)
        person.open("/hub/home")
        side.stop()
    person.context.close()
    side.note("busy before", calm())
    rest_to_ready(side)
    side.stop()


def measure(rounds: int, pictures: Path) -> dict[str, Any]:
    """Alternate between ours and plain, `rounds` times each."""
    with instance() as system, plain_hub(CHECKOUT / "build/env/spark") as (address, password), browser() as chromium:

        def settle() -> None:
            wait_until_nothing_is_held(system, "ada")
            wait_for_pools(system)

        ours = Side(
            "ours",
            system.address,
            system.logins["ada"],
            chromium,
            pictures,
            choose=lambda person: person.choose("small", DATASETS),
            options={"machine_type": "small", "datasets": DATASETS},
            settle=settle,
        )
        plain = Side(
            "plain", address, password, chromium, pictures, choose=lambda _: None, options={}, settle=lambda: None
        )
        for side in (ours, plain):
            side.get_token()
        for _ in range(rounds):
            for side in (ours, plain):
                one_round(side)
        stages = _stages(system)
    told = {side.name: {name: spread(values) for name, values in side.figures.items()} for side in (ours, plain)}
    both = {name: ratio(told["plain"][name], told["ours"][name]) for name in told["ours"] if name != "busy before"}
    return {**told, "plain / ours": both, "claim": stages}


def _stages(system: System) -> dict[str, Any]:
    """What VMM kept of each stage of every claim, and the time from the claim to the proof of the mount."""
    claims = [
        {stage["name"]: float(stage["seconds"]) for stage in one["stages"] if stage["state"] == "done"}
        for one in system.allocations("ada")
    ]
    whole = [claim for claim in claims if "server" in claim]
    proof = [sum(claim[name] for name in ("claimed", "account", "mount", "proof")) for claim in whole]
    return {
        "claim to proof of the mount": spread(proof),
        **{f"stage {name}": spread(claim[name] for claim in whole) for name in whole[0]},
    }
