"""A person at a browser: real Chromium, one context each, every complaint of the page collected."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from day.report import NotTrue, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds; two busy cores need it
expect.set_options(timeout=PATIENCE)

RUN_CODE = """
async ({base, code, seconds}) => {
  const xsrf = (document.cookie.match(/(?:^|; )_xsrf=([^;]+)/) || [])[1] || '';
  const headers = {'X-XSRFToken': decodeURIComponent(xsrf), 'Content-Type': 'application/json'};
  const made = await fetch(base + 'api/kernels', {method: 'POST', headers, body: JSON.stringify({name: 'python3'})});
  if (!made.ok) throw new Error('no kernel: ' + made.status);
  const kernel = await made.json();
  const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + base + `api/kernels/${kernel.id}/channels`);
  const id = crypto.randomUUID();
  const out = {text: '', error: ''};
  try {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('the kernel did not answer in time')), seconds * 1000);
      socket.onerror = () => reject(new Error('the kernel channel broke'));
      socket.onopen = () => socket.send(JSON.stringify({
        channel: 'shell', buffers: [], parent_header: {}, metadata: {},
        header: {msg_id: id, msg_type: 'execute_request', username: '', session: crypto.randomUUID(), version: '5.3',
                 date: new Date().toISOString()},
        content: {code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false}
      }));
      socket.onmessage = event => {
        const message = JSON.parse(event.data);
        if ((message.parent_header || {}).msg_id !== id) return;
        if (message.msg_type === 'stream') out.text += message.content.text;
        if (message.msg_type === 'execute_result') out.text += message.content.data['text/plain'];
        if (message.msg_type === 'error') out.error = message.content.ename + ': ' + message.content.evalue;
        if (message.msg_type === 'execute_reply') { clearTimeout(late); setTimeout(resolve, 300); }
      };
    });
  } finally {
    socket.close();
    await fetch(base + 'api/kernels/' + kernel.id, {method: 'DELETE', headers});
  }
  return out;
}
"""


@dataclass
class Person:
    """One person and what their browser complained about."""

    name: str
    password: str
    address: str
    context: BrowserContext
    page: Page
    pictures: Path
    complaints: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The path of this person's own server."""
        return f"/user/{self.name}/"

    def look(self, name: str) -> None:
        """Keep a picture of the screen."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}", wait_until="domcontentloaded", timeout=PATIENCE)

    def log_in(self) -> bool:
        """Give name and password; say whether the Hub let this person in."""
        self.open("/hub/login")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", self.password)
        with self.page.expect_response(_is_login, timeout=PATIENCE) as answer:
            self.page.click("#login_submit", no_wait_after=True)
        if answer.value.status not in (302, 303):
            return False
        self.page.wait_for_selector("#logout", state="attached", timeout=PATIENCE)
        return True

    def open_form(self) -> None:
        self.open("/hub/spawn")
        self.page.wait_for_selector("#spawn_form", timeout=PATIENCE)

    def choose(self, machine_type: str, datasets: list[str]) -> None:
        for dataset in datasets:
            self.page.check(f"#spawn_form input[name=datasets][value='{dataset}']")
        self.page.check(f"#spawn_form input[name=machine_type][value='{machine_type}']")

    def start(self) -> None:
        self.page.click("#spawn_form [type=submit]", no_wait_after=True)

    def wait_for_lab(self) -> None:
        """Wait until Lab can be used: its splash is gone and something to click is there."""
        self.page.wait_for_url(f"**{self.base}lab**", timeout=PATIENCE)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=PATIENCE)
        self.page.wait_for_selector(".jp-Launcher, .jp-NotebookPanel", timeout=PATIENCE)

    def get(self, path: str) -> Any:
        """Ask this person's own server for JSON, as the page does."""
        answer = self.context.request.get(f"{self.address}{self.base}{path}", timeout=PATIENCE)
        require(answer.ok, f"GET {path} answered {answer.status}: {answer.text()[:300]}")
        return answer.json()

    def run(self, code: str, seconds: int = 120) -> str:
        """Run code in a fresh kernel of this person's and return what it printed."""
        said = self.page.evaluate(RUN_CODE, {"base": self.base, "code": code, "seconds": seconds})
        if said["error"]:
            raise NotTrue(f"the kernel of {self.name} said {said['error']}")
        return str(said["text"])

    def ask(self, code: str, seconds: int = 120) -> Any:
        """Run code whose last printed line is JSON, and return that."""
        return json.loads(self.run(code, seconds).strip().splitlines()[-1])

    def menu(self, *path: str) -> None:
        """Choose an entry of Lab's menu bar by its words."""
        self.page.click(f".lm-MenuBar-itemLabel:text-is('{path[0]}')")
        for entry in path[1:]:
            self.page.click(f".lm-Menu-itemLabel:text-is('{entry}')")

    def open_panel(self) -> None:
        panel = self.page.locator("[id='jupyter-alc:panel']")
        if not panel.is_visible():
            self.page.click("li[data-id='jupyter-alc:panel']")
        panel.wait_for(state="visible", timeout=PATIENCE)

    def leave(self) -> None:
        """Stop the server on the Hub's page, wait until it has ended, and close the browser."""
        self.open("/hub/home")
        self.page.click("#stop", timeout=PATIENCE)
        self.page.wait_for_selector("#start:text-is('Start a machine')", timeout=PATIENCE)
        self.context.close()

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until the open notebook's kernel has nothing left to do."""
        until = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < until:
            state = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator").first
            quiet = quiet + 1 if state.get_attribute("data-status") == "idle" else 0
            if quiet >= 4:
                return
            self.page.wait_for_timeout(500)
        raise NotTrue(f"the notebook was still running after {seconds:.0f} s")


def wait_for_kernel(page: Page) -> None:
    """Wait until the open notebook's kernel takes code.

    Lab drops a run that comes before its kernel, while the notebook's own indicator already says idle.
    """
    page.locator("#jp-main-statusbar").get_by_text("(ipykernel) | Idle").wait_for(timeout=PATIENCE)


def _is_login(answer: Response) -> bool:
    return answer.request.method == "POST" and "/hub/login" in answer.url


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium with a home of its own, which goes with it, and end it; its socket lies there, so it is short."""
    short = TemporaryDirectory(prefix="alc-browser-", dir="/tmp", ignore_cleanup_errors=True)
    with short as home, sync_playwright() as playwright:
        kept = {name: word for name, word in os.environ.items() if not name.startswith("XDG_")}
        environment: dict[str, str | float | bool] = {**kept, "HOME": home, "TMPDIR": home}
        running = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS, env=environment)
        try:
            yield running
        finally:
            running.close()


def sit_down(running: Browser, address: str, name: str, password: str, pictures: Path) -> Person:
    """Give a person a browser of their own, and listen to what its pages complain about."""
    context = running.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    person = Person(name, password, address.rstrip("/"), context, page, pictures)
    context.on("page", lambda opened: _listen(person, opened))
    _listen(person, page)
    return person


def _listen(person: Person, page: Page) -> None:
    page.on("pageerror", lambda error: person.complaints.append(f"page error: {error}"))
    page.on("console", lambda said: _heard(person, said.type, said.text, said.location.get("url", "")))
    page.on("response", lambda answer: _answered(person, answer.status, answer.url))


def _heard(person: Person, kind: str, text: str, url: str) -> None:
    if kind == "error":
        person.complaints.append(f"console: {text} {url}")


def _answered(person: Person, status: int, url: str) -> None:
    if status >= 500:
        person.complaints.append(f"{status} {url}")
