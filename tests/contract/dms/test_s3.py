"""The S3 adapter: the shipped contract on moto and on Ceph, and what keys can hold that names cannot (N7 to N9)."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Denied, Exists, FileNotThere, NotEmpty, NotFolder
from jupyter_alc.dms.adapters import s3_signing
from jupyter_alc.dms.adapters.s3 import S3Adapter
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.faulty_adapters import FaultyAdapterContract
from labs.moto import Moto

pytestmark = pytest.mark.contract


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    with Moto(tmp_path_factory.mktemp("moto") / "lab") as lab:
        yield lab


async def all_raise(error, adapter):
    asked = adapter.info("file"), adapter.listing(""), adapter.read_range("file", 0, 1, '"x"')
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in told] == [error] * 3


class OnS3(AdapterContract, FaultyAdapterContract):
    """What holds on every S3 server; `store` is the lab."""

    @pytest.fixture
    def bucket(self, store):
        return store.bucket()

    @pytest.fixture
    def plant(self, store, bucket):
        def plant(key, data=b""):
            store.client.put_object(Bucket=bucket, Key=key, Body=data)

        return plant

    @pytest.fixture
    def put(self, plant):
        return lambda path, data: plant(f"top/{path}", data)

    @pytest.fixture
    async def adapter(self, store, bucket):
        adapter = S3Adapter(store.url(bucket, "top"), store.keys)
        yield adapter
        await adapter.close()

    @pytest.fixture
    def archive_at(self, store):
        return "127.0.0.1", int(store.state["endpoint"].rpartition(":")[2])

    @pytest.fixture
    def adapter_at(self, store, bucket):
        return lambda at: S3Adapter(store.url(bucket, "top", f"http://{at}"), store.keys)

    async def names(self, adapter, path=""):
        return sorted((one.name, one.kind) for one in await adapter.listing(path))

    async def test_n7_a_folder_is_what_keys_lie_below_or_a_marker_stands_for(self, adapter, plant):
        plant("top/made/")
        plant("top/implied/deep/file")
        assert await self.names(adapter) == [("implied", "directory"), ("made", "directory")]
        assert await adapter.listing("made") == []
        assert (await adapter.info("made")).is_folder
        assert (await adapter.info("implied/deep")).is_folder
        with pytest.raises(FileNotThere):
            await adapter.info("mad")
        with pytest.raises(NotFolder):
            await adapter.listing("implied/deep/file")

    async def test_n7_a_marker_that_holds_bytes_is_a_folder_and_is_not_lost_with_it(
        self, adapter, plant, store, bucket
    ):
        def held(key):
            return store.client.get_object(Bucket=bucket, Key=key)["Body"].read()

        plant("top/noted/", b"what somebody put there")
        plant("top/noted/file", b"x")
        plant("top/", b"the top's own")
        assert await self.names(adapter) == [("noted", "directory")]
        assert await self.names(adapter, "noted") == [("file", "file")]
        assert (await adapter.info("noted")).is_folder
        for ask in (adapter.info("noted/"), adapter.listing("noted/"), adapter.read_range("noted/", 0, 4, '"x"')):
            with pytest.raises(FileNotThere):
                await ask
        await adapter.move("noted", "moved", replace=False)
        assert held("top/moved/") == b"what somebody put there"
        await adapter.delete("moved/file", folder=False)
        assert await adapter.listing("moved") == []
        with pytest.raises(Exists):
            await adapter.mkdir("moved")
        assert held("top/moved/") == b"what somebody put there"
        with pytest.raises(NotEmpty, match="holds bytes") as told:
            await adapter.delete("moved", folder=True)
        assert "top/moved/" in told.value.next_step
        assert held("top/moved/") == b"what somebody put there"
        assert held("top/") == b"the top's own"

    async def test_n7_the_top_is_a_folder_also_when_nothing_is_there(self, adapter):
        assert (await adapter.info("")).is_folder
        assert await adapter.listing("") == []

    async def test_n7_a_file_and_a_folder_of_one_name_are_the_folder(self, adapter, plant):
        plant("top/run", b"hidden")
        plant("top/run-1", b"1")
        plant("top/run/42.nxs", b"42")
        assert await self.names(adapter) == [("run", "directory"), ("run-1", "file")]
        assert (await adapter.info("run")).is_folder
        assert await self.names(adapter, "run") == [("42.nxs", "file")]

    async def test_n7_what_is_at_a_name_is_told_however_many_lie_between_it_and_what_is_below(self, adapter, plant):
        for number in range(12):
            plant(f"top/run-{number:02}", b"between")
        with pytest.raises(FileNotThere):
            await adapter.info("run")
        plant("top/run", b"file")
        assert (await adapter.info("run")).size == 4
        assert (await adapter.info("run-00")).size == 7
        plant("top/run/42.nxs", b"42")
        assert (await adapter.info("run")).is_folder

    async def test_n8_keys_that_can_be_no_names_are_left_out_and_never_reached(self, adapter, plant):
        for key in ("top//empty", "top/a//b", "top/../up", "top/./here", f"top/{'n' * 256}", "top/a/.alc-upload-1"):
            plant(key, b"x")
        plant("up", b"not ours")
        plant("top/a/b", b"ours")
        assert await self.names(adapter) == [("a", "directory")]
        assert await self.names(adapter, "a") == [("b", "file")]
        for path in ("..", "../up", "a/../b", ".", "a//b", "/a", "n" * 256, os.fsdecode(b"\xff")):
            with pytest.raises(FileNotThere):
                await adapter.info(path)

    async def test_a_listing_comes_in_pages_and_none_is_lost(self, adapter, put, plant, monkeypatch):
        monkeypatch.setattr("jupyter_alc.dms.adapters.s3_bucket._PAGE", 3)
        for number in range(8):
            put(f"many/a-{number}", b"x")
        put("many/a", b"hidden by the folder, which comes some pages later")
        put("many/a/file", b"y")
        pages = [told async for told in adapter.listing_pages("many")]
        assert len(pages) >= 3
        names = [one.name for told in pages for one in told]
        assert sorted(names) == ["a", *(f"a-{number}" for number in range(8))]
        assert next(one for told in pages for one in told if one.name == "a").is_folder

    async def test_empty_objects_are_empty_files(self, adapter, put):
        put("empty", b"")
        seen = await adapter.info("empty")
        assert (seen.size, seen.kind) == (0, "file")
        assert await adapter.read_range("empty", 0, 0, seen.token) == b""

    async def test_another_version_of_the_same_size_is_another(self, adapter, put):
        put("file", b"one")
        first = (await adapter.info("file")).token
        put("file", b"two")
        assert (await adapter.info("file")).token != first

    async def test_a_stream_goes_from_its_start_to_the_end(self, adapter, put):
        data = os.urandom(3_000_001)
        put("file", data)
        token = (await adapter.info("file")).token
        for start in (0, 1, 2_999_999):
            assert b"".join([piece async for piece in adapter.open_stream("file", start, token)]) == data[start:]

    async def test_a_bucket_that_is_not_there_is_told(self, store):
        adapter = S3Adapter(store.url("no-such-bucket", "top"), store.keys)
        with pytest.raises(FileNotThere, match="bucket"):
            await adapter.listing("")
        await adapter.close()


class TestMoto(OnS3):
    unspeakable = "\n"  # moto finds no way to such a key

    @pytest.fixture
    def store(self, moto):
        return moto


@pytest.mark.ceph
class TestCeph(OnS3):
    @pytest.fixture
    def store(self, ceph):
        return ceph

    @pytest.fixture
    def credentials(self, ceph):
        return ceph.keys, {**ceph.keys, "secret_key": "wrong"}

    async def test_n8_names_of_every_legal_byte_are_themselves(self, adapter, plant):
        odd = [
            "a%2Fb",
            "%",
            "%zz",
            "a+b",
            "a b",
            " ",
            "~",
            "é",
            "e\u0301",
            "E",
            "e",
            "*?;#&=",
            "'\"<>",
            "\\",
            "…",
            "n" * 255,
        ]
        odd += ["a\tb", "a\nb", "\x01", "\x7f", "🐟", "a:b", "-", "..."]
        for name in odd:
            plant(f"top/odd/{name}", name.encode())
        listed = {one.name: one for one in await adapter.listing("odd")}
        assert sorted(listed) == sorted(odd)
        for name in odd:
            seen = await adapter.info(f"odd/{name}")
            assert seen == listed[name]
            assert await adapter.read_range(f"odd/{name}", 0, seen.size, seen.token) == name.encode()

    async def test_wrong_keys_are_denied_and_never_an_absence(self, ceph, bucket, plant):
        plant("top/file", b"x")
        stranger = ceph.user(f"stranger-{bucket}")
        for keys in ({**ceph.keys, "secret_key": "wrong"}, {"access_key": "a", "secret_key": "b"}, {}, stranger):
            adapter = S3Adapter(ceph.url(bucket, "top"), keys)
            await all_raise(Denied, adapter)
            await adapter.close()

    async def test_keys_are_renewed_once_when_they_are_refused_or_about_to_end(self, ceph, bucket, plant):
        plant("top/file", b"x")
        asked = []

        async def renew():
            asked.append(1)
            return ceph.keys

        soon = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
        for old in ({"access_key": "old", "secret_key": "old"}, {**ceph.keys, "expires": soon}):
            adapter = S3Adapter(ceph.url(bucket, "top"), old, renew)
            assert (await adapter.listing(""))[0].name == "file"
            assert (await adapter.info("file")).size == 1
            await adapter.close()
        assert len(asked) == 2

    async def test_a_clock_that_is_wrong_by_a_year_is_noticed(self, ceph, bucket, plant, monkeypatch):
        plant("top/file", b"x")

        class Wrong(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) - timedelta(days=365)

        monkeypatch.setattr(s3_signing, "datetime", Wrong)
        adapter = S3Adapter(ceph.url(bucket, "top"), ceph.keys)
        assert (await adapter.info("file")).size == 1
        await adapter.close()

    async def test_sixteen_streams_of_parts_are_one_file(self, adapter, store, bucket):
        data = os.urandom(24 << 20)
        store.client.put_object(Bucket=bucket, Key="top/big", Body=data)
        seen = await adapter.info("big")
        step = 4 << 20
        parts = await asyncio.gather(
            *(adapter.read_range("big", at, at + step, seen.token) for at in range(0, seen.size, step))
        )
        assert b"".join(parts) == data


@pytest.mark.parametrize("url", ["s3://", "http://b/p", "s3://b/p?endpont=http://x", "s3://b?endpoint=nowhere"])
def test_an_address_that_is_none_is_bad_input(url):
    with pytest.raises(BadInput):
        S3Adapter(url, {})


async def test_a_port_where_nobody_listens_is_unreachable():
    adapter = S3Adapter("s3://bucket?endpoint=http://127.0.0.1:9", {"access_key": "a", "secret_key": "s"})
    await all_raise(ArchiveUnreachable, adapter)
    await adapter.close()
