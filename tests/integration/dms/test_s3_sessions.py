"""Session keys on Ceph (W19): what they open and what not, how they are renewed, and who may renew them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadFile, BadInput, Denied
from jupyter_alc.core.written import as_yaml
from jupyter_alc.dms import following
from jupyter_alc.dms.adapters import s3_signing
from jupyter_alc.dms.adapters.s3 import S3Adapter
from jupyter_alc.dms.adapters.s3_sessions import policy, session_keys
from jupyter_alc.dms.catalogue import Catalogue
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.engines import get, put, running_engine

pytestmark = pytest.mark.ceph
KEYS = ("results/ada/mine", "results/brahe/his", "results/ada2/near", "shared/file")


@pytest.fixture(scope="session")
def broker(ceph):
    """The words of a broker, as an operator writes them."""
    return {**ceph.keys, "role": ceph.role("people"), "seconds": "900"}


@pytest.fixture
def bucket(ceph):
    bucket = ceph.bucket()
    for key in KEYS:
        ceph.client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


@pytest.fixture
def catalogue(ceph, bucket, broker, tmp_path):
    """A catalogue and its credentials; made into the datasets of a person."""
    at = f"?endpoint={ceph.state['endpoint']}&region={ceph.state['region']}"
    listed = [
        {"id": "shared", "title": "Shared", "url": f"s3://{bucket}/shared{at}", "readers": ["*"]},
        {"id": "results", "title": "Results", "url": f"s3://{bucket}/results/{{user}}{at}", "writers": ["*"]},
    ]
    common = {"adapter": "s3", "credentials": "ceph"}
    (tmp_path / "catalogue.yaml").write_text(as_yaml({"datasets": [one | common for one in listed]}))
    keys = tmp_path / "credentials.yaml"
    keys.touch(mode=0o600)
    keys.write_text(as_yaml({"ceph": {"*": broker}}))
    known = Catalogue.from_file(tmp_path / "catalogue.yaml")
    return lambda user: known.mounted_for(user, ["shared", "results"], keys)


async def refused(call):
    with pytest.raises(Denied):
        await call


async def test_w19_a_machine_gets_keys_for_its_persons_prefixes_and_nothing_of_the_broker(catalogue, broker):
    for one in catalogue("ada"):
        assert set(one.credentials) == {"access_key", "secret_key", "session_token", "expires"}
        assert not set(broker.values()) & set(one.credentials.values())
        left = datetime.fromisoformat(one.credentials["expires"]) - datetime.now(UTC)
        assert timedelta(seconds=800) < left < timedelta(seconds=1000)


async def test_w19_outside_the_prefix_everything_is_denied(catalogue, ceph, bucket, tmp_path):
    shared, results = catalogue("ada")
    source = tmp_path / "source"
    source.write_bytes(b"new")
    async with running_engine(tmp_path / "v", [shared, results]) as engine:
        assert await get(engine, "shared/file") == b"shared/file"
        assert await get(engine, "results/mine") == b"results/ada/mine"
        await put(engine, "results/new", b"new")
        assert await engine.flush(20) == []
    for prefix in ("results/brahe", "results/ada2", "results", "shared", ""):
        stranger = S3Adapter(ceph.url(bucket, prefix), results.credentials)
        file = next(key for key in KEYS if key.startswith(prefix) and "ada/" not in key).removeprefix(f"{prefix}/")
        await refused(stranger.listing(""))
        await refused(stranger.info(file))
        await refused(stranger.read_range(file, 0, 1, '"x"'))
        await refused(stranger.put("made", source, base=None, sent=lambda _size: None))
        await refused(stranger.upload("made", source, "1", lambda _size: None))
        await refused(stranger.delete(file, folder=False))
        await stranger.close()
    reader = S3Adapter(shared.url, shared.credentials)
    await refused(reader.put("made", source, base=None, sent=lambda _size: None))
    await refused(reader.delete("file", folder=False))
    await refused(reader.mkdir("made"))
    await reader.close()


class TestOnSessionKeys(AdapterContract):
    """The whole contract with keys for one prefix, to read and write."""

    @pytest.fixture
    def home(self, ceph):
        return ceph.bucket()

    @pytest.fixture
    def put(self, ceph, home):
        return lambda path, data: ceph.client.put_object(Bucket=home, Key=f"a b/ada/{path}", Body=data)

    @pytest.fixture
    async def adapter(self, ceph, home, broker):
        url = ceph.url(home, "a%20b/ada")
        adapter = S3Adapter(url, session_keys(broker, url, Access.WRITE, "ada"))
        yield adapter
        await adapter.close()


async def test_w19_new_keys_are_taken_while_files_are_open_and_what_was_refused_is_asked_again(
    catalogue, broker, tmp_path, monkeypatch
):
    [_, results] = catalogue("ada")
    ended = {**results.credentials, "secret_key": "old", "expires": "2020-01-01T00:00:00Z"}
    async with running_engine(tmp_path / "v", [results]) as engine:
        handle = await engine.open("results/waits", write=True, create=True)
        await engine.write(handle, 0, b"for keys")
        assert engine.renew({"results": ended, "other": {}}) == ["results"]
        await engine.close(handle)
        assert [one.path for one in await engine.flush(1)] == ["results/waits"]
        async with asyncio.timeout(10):
            while engine.unsent()[0].state != "waiting":  # it is tried again now and then
                await asyncio.sleep(0.01)
        with pytest.raises(Denied, match="have ended"):
            await get(engine, "results/mine")
        assert engine.renew({"results": results.credentials}) == ["results"]
        assert await engine.flush(20) == []
        handle = await engine.open("results/mine")
        assert engine.renew({"results": session_keys(broker, results.url, Access.WRITE, "ada")}) == ["results"]
        assert await engine.read(handle, 0, 7) == b"results"
        await engine.close(handle)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=700)

    async def renew():
        return session_keys(broker, results.url, Access.WRITE, "ada")

    monkeypatch.setattr(s3_signing, "datetime", Later)  # 900 s of which 700 are over: the end is near
    asked = []
    adapter = S3Adapter(results.url, results.credentials, lambda: asked.append(1) or renew())
    assert (await adapter.info("mine")).size == 16
    assert asked
    await adapter.close()


async def test_w19_who_keeps_the_daemon_renews_and_nobody_else_does(catalogue, tmp_path):
    [_, results] = catalogue("ada")
    ended = replace(
        results, credentials={**results.credentials, "secret_key": "old", "expires": "2020-01-01T00:00:00Z"}
    )
    person = 4711
    order = {
        "user": "ada",
        "socket": str(tmp_path / "dms.sock"),
        "volume": str(tmp_path / "volume"),
        "admit_uids": [os.getuid(), person],
        "files_uid": person,
        "files_gid": person,
        "datasets": [ended.as_json()],
    }
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    daemon = subprocess.Popen(
        [sys.executable, "-P", "-m", "jupyter_alc.dms.daemon"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        text=True,
    )
    try:
        daemon.stdin.write(json.dumps(order) + "\n")
        daemon.stdin.flush()
        assert json.loads(daemon.stdout.readline())["ready"]
        renewal = json.dumps({"datasets": {"results": dict(results.credentials)}})
        ask = "curl -s --unix-socket {} -o /dev/null -w %{{http_code}} http://dms/v1/credentials -d @-"
        words = ["setpriv", "--reuid", str(person), "--clear-groups", *ask.format(order["socket"]).split()]
        theirs = await asyncio.to_thread(subprocess.run, words, input=renewal, text=True, capture_output=True)
        assert theirs.stdout == "403"
        connector = aiohttp.UnixConnector(order["socket"])
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get("http://dms/v1/read?path=results/mine") as answer:
                assert answer.status == 403
            async with session.post("http://dms/v1/credentials", data=renewal) as answer:
                assert await answer.json() == {"renewed": ["results"]}
            async with session.get("http://dms/v1/read?path=results/mine") as answer:
                assert await answer.read() == b"results/ada/mine"
            async with session.get("http://dms/v1/status") as answer:
                assert results.credentials["session_token"] not in await answer.text()
    finally:
        daemon.terminate()
        daemon.wait(20)
        daemon.stdin.close()
        daemon.stdout.close()


async def test_w19_words_that_cannot_be_used_are_told_with_their_line(ceph, broker, tmp_path):
    dataset = "datasets: [{id: a, title: A, adapter: s3, url: 's3://b/p', readers: ['*'], credentials: c}]"
    (tmp_path / "catalogue.yaml").write_text(dataset)
    known, keys = Catalogue.from_file(tmp_path / "catalogue.yaml"), tmp_path / "keys.yaml"
    keys.touch(mode=0o600)
    for wrong in ({"secret_key": ""}, {"seconds": "60"}, {"rol": "x"}):
        keys.write_text(as_yaml({"c": {"*": {**broker, **wrong}}}))
        with pytest.raises(BadFile, match=r"keys\.yaml"):
            known.mounted_for("ada", ["a"], keys)
    with pytest.raises(BadInput):
        policy("bucket", "a*b", Access.READ)
    with pytest.raises(Denied):
        session_keys({**broker, "role": "arn:aws:iam:::role/none"}, ceph.url("b", "p"), Access.READ, "ada")


def test_a_dataset_shows_no_keys(catalogue):
    shown = repr([MountedDataset.from_json(one.as_json()) for one in catalogue("ada")])
    assert "session_token" not in shown


async def test_w19_a_process_without_a_data_service_renews_its_own_keys(catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "_KEYS_SECONDS", 0.05)
    followed = following.Followed(tmp_path / "catalogue.yaml", tmp_path / "credentials.yaml", "ada")
    first = {one.id: one.credentials for one in followed.datasets()}
    heard = asyncio.Queue()
    keeping = asyncio.create_task(followed.keep_keys(heard.put_nowait))
    await asyncio.sleep(0.3)
    assert heard.empty(), "they are fresh"
    with monkeypatch.context() as later:
        later.setattr(following.time, "time", lambda: datetime.now(UTC).timestamp() + 400)
        renewed = await asyncio.wait_for(heard.get(), 20)
    assert set(renewed) == {"shared", "results"}
    assert renewed["results"]["session_token"] != first["results"]["session_token"]
    keeping.cancel()
    async with running_engine(tmp_path / "v", followed.datasets()) as engine:
        assert set(engine.renew(renewed)) == {"shared", "results"}
        assert await get(engine, "shared/file") == b"shared/file"
