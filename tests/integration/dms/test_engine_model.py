"""Staged writes against a plain model: any order of changes, restarts and flushes ends with the archive as it is."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.engine.engine import DmsEngine, Tuning
from jupyter_alc.testing.engines import get

pytestmark = pytest.mark.integration

NAMES = ["a", "b", "d/a", "d/c"]


class WriteMachine(RuleBasedStateMachine):
    names = st.sampled_from(NAMES)

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="alc-model-"))
        (self.place / "archive" / "d").mkdir(parents=True)
        self.model: dict[str, bytearray] = {}
        self.handles: dict[str, object] = {}
        self.loop = asyncio.new_event_loop()
        self.start()

    def do(self, call):
        return self.loop.run_until_complete(asyncio.wait_for(call, 30))

    def start(self):
        dataset = MountedDataset("ds", "Data", "local", f"file://{self.place}/archive", Access.WRITE)
        self.engine = DmsEngine(self.place / "volume", [dataset], user="ada", tuning=Tuning(settle_seconds=0))
        self.do(self.engine.start())

    @rule(name=names, offset=st.integers(0, 50), data=st.binary(min_size=1, max_size=60), truncate=st.booleans())
    def write_and_close(self, name, offset, data, truncate):
        handle = self.do(self.engine.open(f"ds/{name}", write=True, create=True, truncate=truncate))
        if truncate or name not in self.model:
            self.model[name] = bytearray()
        self.do(self.engine.write(handle, offset, data))
        self.do(self.engine.close(handle))
        text = self.model[name]
        text.extend(bytes(max(0, offset + len(data) - len(text))))
        text[offset : offset + len(data)] = data

    @precondition(lambda self: self.model)
    @rule(data=st.data(), size=st.integers(0, 100))
    def truncate(self, data, size):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.do(self.engine.truncate(f"ds/{name}", size))
        text = self.model[name]
        self.model[name] = bytearray(bytes(text[:size]) + bytes(max(0, size - len(text))))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), new=names)
    def rename(self, data, new):
        old = data.draw(st.sampled_from(sorted(self.model)))
        self.do(self.engine.rename(f"ds/{old}", f"ds/{new}"))
        self.model[new] = self.model.pop(old)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def unlink(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        self.do(self.engine.unlink(f"ds/{name}"))
        del self.model[name]

    @rule()
    def let_it_send(self):
        self.do(asyncio.sleep(0.005))

    @rule()
    def flush(self):
        assert self.do(self.engine.flush(20)) == []
        there = {
            str(path.relative_to(self.place / "archive")): path.read_bytes()
            for path in (self.place / "archive").rglob("*")
            if path.is_file()
        }
        assert there == {name: bytes(text) for name, text in self.model.items()}

    @rule()
    def restart(self):
        self.do(self.engine.stop())
        self.start()

    @invariant()
    def everything_reads_as_written(self):
        listed = {one.name: one.size for one in self.do(self.engine.ls("ds")) if not one.is_folder}
        listed |= {f"d/{one.name}": one.size for one in self.do(self.engine.ls("ds/d"))}
        assert listed == {name: len(text) for name, text in self.model.items()}
        for name, text in self.model.items():
            assert self.do(get(self.engine, f"ds/{name}")) == bytes(text)

    def teardown(self):
        try:
            self.flush()
        except AlcError as error:
            raise AssertionError(error.line) from error
        finally:
            self.do(self.engine.stop())
            self.loop.close()
            shutil.rmtree(self.place)


TestWriteMachine = WriteMachine.TestCase
TestWriteMachine.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
