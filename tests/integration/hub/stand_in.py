"""A small VMM for the Hub's tests: the same REST, and a machine is a real `jupyterhub-singleuser` on loopback.

Rows live in a file and servers in sessions of their own, so both outlive it, as VMM's do. Run by the Hub as its
managed service; it ends with the Hub.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlparse

from aiohttp import ClientSession, web

STATE = Path(os.environ["ALC_STATE"]) / "vmm"
PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"].rstrip("/")
SECRET = Path(os.environ["ALC_HUB_SECRET_FILE"]).read_text()
STAGES = ("claimed", "account", "mount", "proof", "server")
PAUSE = float(os.environ.get("STAND_IN_PAUSE", "0.3"))  # seconds a stage takes


def rows() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in STATE.glob("alloc-*.json")}


def keep(row: dict) -> dict:
    draft = STATE / f"{row['id']}.new"
    draft.write_text(json.dumps(row))
    draft.rename(STATE / f"{row['id']}.json")
    return row


def lives(row: dict) -> bool:
    try:
        os.kill(row["pid"], 0)
    except (OSError, TypeError):
        return False
    return Path(f"/proc/{row['pid']}/stat").read_text().split()[2] != "Z"


def show(row: dict) -> dict:
    done = row["done"]
    stages = []
    for number, name in enumerate(STAGES):
        state = "done" if number < done else "now" if number == done and row["state"] != "failed" else "waiting"
        if row["state"] == "failed" and number == done:
            state = "failed"
        stages.append({"name": name, "state": state, "seconds": 0.3 if state == "done" else None, "usual_seconds": 0.4})
    return {key: value for key, value in {**row, "stages": stages}.items() if key not in {"done", "pid"}}


async def claim(request: web.Request) -> web.Response:
    asked = await request.json()
    told = json.dumps([asked["user"], asked["server"], asked["spawn"]])
    ident = "alloc-" + hashlib.sha256(told.encode()).hexdigest()[:20]
    if ident in rows():
        return web.json_response(show(rows()[ident]))
    if asked["machine_type"] == "full":
        said = {"code": "pool_exhausted", "message": "All machines are in use.", "next_step": "Try another type."}
        return web.json_response(said, status=409)
    row = {
        **{key: asked[key] for key in ("user", "server", "machine_type")},
        "id": ident,
        "machine": "m-1",
        "state": "claimed",
        "url": None,
        "problem": None,
        "done": 1,
        "pid": None,
        "created": f"{time.time():020.6f}",
    }
    (STATE / f"{ident}.asked").write_text(json.dumps(asked))
    request.app["work"].add(asyncio.ensure_future(start(keep(row), asked)))
    return web.json_response(show(row), status=201)


async def start(row: dict, asked: dict) -> None:
    for done, state in ((2, "mounting"), (3, "mounting"), (4, "starting")):
        await asyncio.sleep(PAUSE)
        if rows()[row["id"]]["state"] in {"releasing", "released"}:
            return
        row = keep({**row, "done": done, "state": state})
    if asked["machine_type"] == "broken":
        problem = {"code": "unavailable", "message": "The archive is silent.", "next_step": "Start without its data."}
        keep({**row, "done": 3, "state": "failed", "problem": problem})
        return
    if row["pid"] is None:
        row = keep({**row, **serve(asked["server_start"]["environment"], STATE / f"{row['id']}.home")})
    async with ClientSession() as session:
        while True:
            try:
                async with session.get(
                    row["server_url"] + asked["server_start"]["environment"]["JUPYTERHUB_SERVICE_PREFIX"]
                ):
                    break
            except OSError:
                await asyncio.sleep(0.2)
    if rows()[row["id"]]["state"] not in {"releasing", "released"}:
        keep({**row, "done": 5, "state": "ready", "url": row["server_url"]})


def serve(environment: dict, home: Path) -> dict:
    home.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    path = urlparse(environment["JUPYTERHUB_SERVICE_URL"]).path
    told = {**environment, "JUPYTERHUB_SERVICE_URL": url + path, "HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "jupyterhub.singleuser", *(["--allow-root"] if os.geteuid() == 0 else [])]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=told, cwd=home, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    return {"pid": server.pid, "server_url": url}


async def tell(request: web.Request) -> web.Response:
    row = rows().get(request.match_info["id"])
    if row is None:
        said = {"code": "not_found", "message": "No such allocation.", "next_step": "Start again."}
        return web.json_response(said, status=404)
    if row["state"] == "ready" and not lives(row):
        row = keep({**row, "state": "failed"})
    return web.json_response(show(row))


async def release(request: web.Request) -> web.Response:
    row = rows()[request.match_info["id"]]
    keep({**row, "state": "releasing"})
    if row["pid"] and lives(row):
        os.kill(row["pid"], signal.SIGTERM)
        while lives(row):
            await asyncio.sleep(0.1)
    return web.json_response(show(keep({**row, "state": "released", "url": None})), status=202)


async def find(request: web.Request) -> web.Response:
    wanted = dict(request.query)
    found = sorted(rows().values(), key=lambda row: row["created"], reverse=True)
    mine = [show(row) for row in found if all(row[key] == value for key, value in wanted.items())]
    return web.json_response({"allocations": mine})


async def types(request: web.Request) -> web.Response:
    told = [("small", "General"), ("large", "Python only"), ("full", "Big memory"), ("broken", "Broken")]
    offers = {"full": {"state": "soon", "words": "about 70 s", "seconds": 70}}
    ready = {"state": "ready", "words": "3 ready now", "seconds": 3}
    common = {"description": "Python, the scientific libraries", "cores": 2, "memory_bytes": 3 * 10**9}
    common |= {"environment": "spark", "isolation": "namespaces", "limits_note": "", "counts": {}}
    return web.json_response(
        {
            "machine_types": [
                {"id": one, "title": title, **common, "offer": offers.get(one, ready)} for one, title in told
            ]
        }
    )


@web.middleware
async def admit(request: web.Request, handler: object) -> web.StreamResponse:
    if not request.path.endswith("/health") and request.headers.get("Authorization") != f"hub {SECRET}":
        return web.json_response({"code": "denied", "message": "No.", "next_step": "Ask the Hub."}, status=403)
    return await handler(request)


async def health(request: web.Request) -> web.Response:
    return web.json_response({})


async def go_on(app: web.Application) -> None:
    app["work"] = set()
    for row in rows().values():
        if row["state"] in {"claimed", "mounting", "starting"}:
            asked = json.loads((STATE / f"{row['id']}.asked").read_text())
            app["work"].add(asyncio.ensure_future(start(row, asked)))


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(0)


def main() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    app = web.Application(middlewares=[admit])
    app.on_startup.append(go_on)
    app.add_routes(
        [
            web.get(f"{PREFIX}/v1/health", health),
            web.get(f"{PREFIX}/v1/machine-types", types),
            web.post(f"{PREFIX}/v1/allocations", claim),
            web.get(f"{PREFIX}/v1/allocations", find),
            web.get(f"{PREFIX}/v1/allocations/{{id}}", tell),
            web.delete(f"{PREFIX}/v1/allocations/{{id}}", release),
        ]
    )
    address = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
    web.run_app(app, host=address.hostname, port=address.port, print=None)


if __name__ == "__main__":
    main()
