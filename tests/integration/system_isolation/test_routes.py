"""Every route of every service, asked by nobody and by brahe; the archive asked past the data service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

import jupyter_alc

if TYPE_CHECKING:
    from integration.system_isolation.two_people import Someone, TwoPeople

pytestmark = [pytest.mark.hub, pytest.mark.root, pytest.mark.fuse, pytest.mark.timeout(400)]

PACKAGE = Path(jupyter_alc.__file__).parent
VERBS = {"get", "post", "put", "patch", "delete", "head"}
NEVER_REFUSED = {("get", "/v1/health")}
# what a script on brahe's own machine asks, directly and not through the proxy
ASK = """
import json, urllib.error, urllib.request
asked = %(asked)s
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def answer(verb, url, headers, body):
    told = urllib.request.Request(url, method=verb, headers=headers, data=body.encode() if body else None)
    try:
        with opener.open(told, timeout=30) as got:
            return [got.status, got.read(500).decode(errors='replace')]
    except urllib.error.HTTPError as error:
        return [error.code, error.read(500).decode(errors='replace')]
    except OSError as error:
        return [0, str(error)]
tell([answer(*one) for one in asked])
"""


def routes(openapi: Path, values: dict[str, str]) -> list[tuple[str, str]]:
    """Every verb and path of an OpenAPI file, its parameters filled in."""
    told = yaml.safe_load(openapi.read_text())
    found = [(verb, path) for path, verbs in told["paths"].items() for verb in verbs if verb in VERBS]
    assert len(found) > 5
    return [(verb, re.sub(r"\{(\w+)\}", lambda name: values[name.group(1)], path)) for verb, path in found]


def ask_from(who: Someone, asked: list[tuple[str, str, dict[str, str], str]]) -> list[tuple[int, str]]:
    """Send these requests from the person's own machine."""
    told = who.tells(ASK % {"asked": json.dumps(asked)}, seconds=300)
    return [(int(status), str(body)) for status, body in told]


@pytest.fixture(scope="module")
def cluster(two: TwoPeople) -> str:
    """The id a cluster of ada's would have; whether it runs makes no difference to a stranger."""
    return "c-ada"


def server_routes(cluster: str) -> list[tuple[str, str]]:
    values = {"id": cluster, "page": "jobs/", "name": "sans_guinier"}
    return [(verb, f"jupyter-alc/v1{path}") for verb, path in routes(PACKAGE / "server/openapi.yaml", values)] + [
        (verb, path) for verb in ("get", "post") for path in JUPYTER
    ]


JUPYTER = (
    "api/contents",
    "api/contents/data/results",
    "api/kernels",
    "api/sessions",
    "api/terminals",
    "api/events/subscribe",
    "files/.bashrc",
    "lab/api/settings",
    "lab/api/workspaces",
    "nbconvert/python/sans_guinier.ipynb",
)


@pytest.mark.parametrize("who", ["nobody", "brahe"])
def test_her_server_answers_no_route_to_others(two: TwoPeople, cluster: str, who: str) -> None:
    headers = two.brahe.proof if who == "brahe" else {}
    for verb, path in server_routes(cluster):
        url = f"{two.system.address}/user/ada/{path}"
        answer = requests.request(verb, url, headers=headers, json={}, allow_redirects=False, timeout=60)
        refused = answer.status_code in {403, 404, 405} or (
            answer.status_code == 302 and "/hub/" in answer.headers["Location"]
        )
        assert refused, (verb, path, answer.status_code, answer.text[:300])
        assert "sans_guinier" not in answer.text.replace(path, "")


def test_her_own_token_opens_the_same_routes(two: TwoPeople) -> None:
    for path in ("health", "machine", "data", "piezo/clusters"):
        assert two.ada.mine("GET", f"jupyter-alc/v1/{path}").status_code == 200, path


def test_brahe_cannot_open_her_kernels_channel(two: TwoPeople) -> None:
    import websocket

    place = two.system.address.replace("http", "ws", 1)
    for headers in ({}, two.brahe.proof):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(
                f"{place}/user/ada/api/kernels/{two.ada.kernel}/channels", header=headers, timeout=30
            )
        assert refused.value.status_code in {302, 403, 404}


@pytest.mark.parametrize("who", ["nobody", "brahe", "brahe's machine"])
def test_vmm_answers_nobody_what_is_not_theirs(two: TwoPeople, who: str) -> None:
    token = two.brahe.token
    if who == "brahe's machine":
        token = str(two.brahe.tells("import os\ntell(os.environ['JUPYTERHUB_API_TOKEN'])"))
    headers = {} if who == "nobody" else {"Authorization": f"token {token}"}
    asked = routes(PACKAGE / "vmm/openapi.yaml", {"id": two.ada.allocation["id"]})
    answers = ask_from(two.brahe, [(verb.upper(), two.system.vmm_url + path, headers, "{}") for verb, path in asked])
    for (verb, path), (status, body) in zip(asked, answers, strict=True):
        if (verb, path) in NEVER_REFUSED:
            assert status == 200
        elif who != "nobody" and path in {"/v1/me/machine-types", "/v1/me/allocations"}:
            assert status == 200
            assert two.ada.allocation["id"] not in body
        elif who != "nobody" and path.startswith("/v1/me/"):
            assert (status, json.loads(body)["code"]) == (404, "not_found"), (verb, path, body)
        elif path == "/v1/agent/enrol":
            assert status == 422, (verb, path, status)  # no proof but the token, which an empty object lacks
        else:
            assert (status, json.loads(body)["code"]) == (403, "denied"), (verb, path, status, body)
    assert two.ada.allocation["state"] == "ready"


def test_an_unknown_claim_and_hers_look_the_same(two: TwoPeople) -> None:
    url = f"{two.system.vmm_url}/v1/me/allocations/"
    hers, none = (
        requests.get(url + ident, headers=two.brahe.proof, timeout=30)
        for ident in (two.ada.allocation["id"], "there-is-none")
    )
    assert (hers.status_code, hers.json()) == (none.status_code, none.json())


def test_guessed_proofs_are_refused(two: TwoPeople) -> None:
    key = two.ada.machine["key"]
    guesses = [
        "hub ", "hub x", "Hub token", f"machine {key} x", f"machine {key} ", "machine", "token", "token x",
        "basic eA==", f"hub {two.brahe.token}", f"machine {key} {two.brahe.token}", "token None", "hub None",
    ]  # fmt: skip
    paths = [("GET", "/v1/machines"), ("GET", "/v1/agent/orders?after=0"), ("GET", "/v1/me/allocations")]
    asked = [
        (verb, two.system.vmm_url + path, {"Authorization": guess}, "") for guess in guesses for verb, path in paths
    ]
    asked += [
        ("POST", f"{two.system.vmm_url}/v1/agent/enrol", {}, json.dumps({"key": key, "token": guess}))
        for guess in ("x", "None", two.brahe.token)
    ]
    assert {status for status, _ in ask_from(two.brahe, asked)} == {403}
    assert two.ada.allocation["state"] == "ready"


HUB_ROUTES: tuple[tuple[str, str], ...] = (
    ("GET", "users"), ("POST", "users"), ("GET", "users/ada"), ("PATCH", "users/ada"), ("DELETE", "users/ada"),
    ("POST", "users/eve"), ("POST", "users/ada/server"), ("DELETE", "users/ada/server"),
    ("POST", "users/ada/servers/x"), ("DELETE", "users/ada/servers/x"), ("GET", "users/ada/server/progress"),
    ("GET", "users/ada/tokens"), ("POST", "users/ada/tokens"), ("POST", "users/ada/activity"),
    ("GET", "users/ada/shares"), ("GET", "users/ada/shared"), ("GET", "shares/ada/"), ("POST", "shares/ada/"),
    ("POST", "share-codes/ada/"), ("GET", "groups"), ("POST", "groups/x"), ("GET", "services"), ("GET", "services/vmm"),
    ("GET", "proxy"), ("POST", "proxy"), ("PATCH", "proxy"), ("GET", "info"), ("POST", "shutdown"),
)  # fmt: skip


@pytest.mark.parametrize("who", ["nobody", "brahe", "brahe's machine"])
def test_the_hub_lets_nobody_at_ada_or_at_itself(two: TwoPeople, who: str) -> None:
    token = two.brahe.token
    if who == "brahe's machine":
        token = str(two.brahe.tells("import os\ntell(os.environ['JUPYTERHUB_API_TOKEN'])"))
    headers = {} if who == "nobody" else {"Authorization": f"token {token}"}
    base = f"http://{two.system.service_address}:{two.system.facts['ports']['HUB_PORT']}/hub/api/"
    answers = ask_from(two.brahe, [(verb, base + path, headers, "{}") for verb, path in HUB_ROUTES])
    for (verb, path), (status, body) in zip(HUB_ROUTES, answers, strict=True):
        if status == 200:  # lists hold what the asker may know: nothing, or himself
            assert path in {"users", "services", "groups"}, (verb, path, body)
            assert "ada" not in body, body
        else:
            assert status in {401, 403, 404, 405}, (verb, path, status, body)
    assert two.ada.allocation["state"] == "ready"


def test_the_token_in_her_machine_makes_no_other_token_and_no_server(two: TwoPeople) -> None:
    token = str(two.ada.tells("import os\ntell(os.environ['JUPYTERHUB_API_TOKEN'])"))
    base = f"{two.system.address}/hub/api/"
    for verb, path in (
        ("POST", "users/ada/tokens"),
        ("POST", "users/ada/server"),
        ("PATCH", "users/ada"),
        ("GET", "users"),
        ("GET", "proxy"),
        ("POST", "shutdown"),
    ):
        answer = requests.request(verb, base + path, headers={"Authorization": f"token {token}"}, json={}, timeout=30)
        assert answer.status_code in {401, 403, 404}, (verb, path, answer.status_code)


def test_a_page_of_brahe_cannot_ride_on_adas_cookies(two: TwoPeople) -> None:
    """Without the XSRF token, and with a wrong one, her session changes nothing."""
    url = f"{two.system.address}/hub/api/users/ada/tokens"
    for headers in ({}, {"X-XSRFToken": "guess"}, {"Origin": "http://elsewhere.example"}):
        assert two.ada.session.post(url, json={}, headers=headers, timeout=30).status_code in {403, 404}
    mine = f"{two.system.address}/user/ada/api/kernels"
    assert two.ada.session.post(mine, json={}, timeout=30, allow_redirects=False).status_code in {302, 403}


# -- the archive and her own data service ------------------------------------------------------------------------------


def test_the_archive_refuses_her_whatever_name_she_gives(two: TwoPeople) -> None:
    import base64

    def basic(name: str, password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}

    login = two.system.logins["ada"]
    proofs: list[dict[str, str]] = [{}, basic("ada", ""), basic("ada", "ada"), basic("ada", login), basic("", "")]
    proofs += [basic("brahe", "brahe"), basic("ada", two.ada.token), {"Authorization": f"token {two.ada.token}"}]
    places = ("/", "/sans-examples/", "/results/ada/", "/results/brahe/", "/results/", "/sans-examples/../results/ada/")
    asked = [
        (verb, two.system.archive_url + place, proof, "")
        for place in places
        for proof in proofs
        for verb in ("GET", "PROPFIND", "PUT", "DELETE")
    ]
    answers = ask_from(two.ada, asked)
    assert {status for status, _ in answers} <= {400, 401, 403, 404}, answers
    inside = [
        status
        for (_, url, _, _), (status, _) in zip(asked, answers, strict=True)
        if "/results/ada/" in url and ".." not in url
    ]
    assert set(inside) == {401}


SOCKET = """
import http.client, json, os, socket
class Line(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect('/run/alc/dms/dms.sock')
def ask(verb, path, body=None):
    line = Line('dms')
    line.request(verb, path, body)
    answer = line.getresponse()
    told = answer.read(1 << 20).decode(errors='replace')
    line.close()
    return [answer.status, told]
"""


def test_her_data_service_tells_no_credentials_and_leads_nowhere_else(two: TwoPeople) -> None:
    outside = ["..", "../etc/passwd", "results/../../etc/passwd", "/etc/passwd", "results/%2e%2e/x", "results/./../x"]
    outside += ["results\\..\\x", "results/x%00y", ".", "brahe/x", "results/../sans-examples/x", "//etc/passwd"]
    asked: list[tuple[Any, ...]] = [("GET", "/v1/status"), ("GET", "/v1/ls?path="), ("GET", "/v1/nothing")]
    asked += [("GET", f"/v1/{verb}?path={path}") for verb in ("read", "info", "ls") for path in outside]
    asked += [("PUT", f"/v1/file?path={path}", "x") for path in (*outside, "sans-examples/x", "new-dataset/x", "x")]
    asked += [("DELETE", f"/v1/file?path={path}") for path in (*outside, "sans-examples/1d_data/apoferritin.txt")]
    asked += [
        ("POST", "/v1/move", json.dumps({"from": "results/x", "to": to})) for to in ("../x", "sans-examples/x", "/etc")
    ]
    answers = two.ada.tells(SOCKET + f"tell([ask(*one) for one in {asked!r}])")
    secrets = {name: word for name, word in two.secrets().items() if "archive" in name}
    for one, (status, body) in zip(asked, answers, strict=True):
        assert not [name for name, word in secrets.items() if word in body], one
        assert "password" not in body.lower(), one
        assert "root:" not in body, one
        if one[1] not in {"/v1/status", "/v1/ls?path="}:
            assert 400 <= status < 500, (one, status, body)
    listing = json.loads(answers[1][1])
    assert {entry["name"] for entry in listing["entries"]} == {"sans-examples", "results"}


def test_her_data_service_answers_no_other_uid_and_shows_her_files_to_none(two: TwoPeople) -> None:
    code = f"{SOCKET}\nprint(ask('GET', '/v1/status'))"
    hers = int(two.ada.tells("import os\ntell(os.getuid())"))
    others = {uid: two.ada.inside(["/usr/bin/python3", "-c", code], uid) for uid in (hers + 2, 65534)}
    for said in others.values():
        assert "[403," in said, said
        assert "denied" in said
    look = two.ada.inside(["/bin/ls", "/home/ada", "/home/ada/data", "/run/alc/user/ada", "/var/lib/alc-dms"], hers + 2)
    assert look.count("Permission denied") == 4, look


def test_neither_link_nor_folder_of_hers_leads_the_machines_root_astray(two: TwoPeople) -> None:
    """Her mount point is taken by the mount; the log her server writes is opened as herself."""
    told = two.ada.tells("""
import os
def tried(act, *words):
    try:
        act(*words)
        return 'done'
    except OSError as error:
        return error.strerror
tell([
    tried(os.rename, '/home/ada/data', '/home/ada/elsewhere'), tried(os.rmdir, '/home/ada/data'),
    tried(os.symlink, '/etc/passwd', '/home/ada/data/link'), tried(os.mknod, '/home/ada/device', 0o20666, 0x103),
    tried(os.link, '/etc/passwd', '/home/ada/linked'), tried(os.chown, '/home/ada', 0, 0),
])
""")
    assert "done" not in told, told
