"""The polling wait is put in place only where it is known to be safe, and ends when told to."""

import os
import threading

import pytest
import trio
import trio.testing

from jupyter_alc.dms.fuse import wait

pytestmark = pytest.mark.unit


@pytest.fixture
def pyfuse3(monkeypatch):
    module = wait.pyfuse3
    shipped = module._wait_fuse_readable
    monkeypatch.setattr(module, "_wait_fuse_readable", shipped)
    return module


def test_an_untested_version_waits_as_shipped(pyfuse3, monkeypatch):
    """The name that is replaced is not a promise of pyfuse3's."""
    shipped = pyfuse3._wait_fuse_readable
    monkeypatch.setattr(wait, "device_of_session", lambda: 5)
    monkeypatch.setattr(pyfuse3, "__version__", "99.0")
    assert wait.install() is None
    assert pyfuse3._wait_fuse_readable is shipped


def test_it_can_be_switched_off(pyfuse3, monkeypatch):
    """By whoever mounts, or by the environment."""
    monkeypatch.setattr(wait, "device_of_session", lambda: 5)
    assert wait.install(wanted=False) is None
    monkeypatch.setenv("ALC_DMS_POLLING_WAIT", "off")
    assert wait.install() is None


def test_without_exactly_one_device_it_stays_away(pyfuse3):
    """Nothing is mounted in this process."""
    assert wait.install() is None


def test_while_nothing_else_is_to_be_done_it_waits_a_moment_without_the_loop(monkeypatch):
    """What is asked within that moment costs no turn of the loop; while others wait for theirs, nobody lingers."""
    reader, writer = os.pipe()
    monkeypatch.setattr(wait, "_LINGER_MILLISECONDS", 60_000)
    busy = False

    async def main():
        nonlocal busy
        polling = wait.PollingWait(reader, quiet=lambda: not busy)
        turns = []

        async def other():
            while True:
                turns.append(1)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.lowlevel.checkpoint()
            asker = threading.Timer(0.05, os.write, (writer, b"x"))
            asker.start()
            before = len(turns)
            assert await polling.wait()
            assert len(turns) == before
            os.read(reader, 1)
            busy = True
            asker = threading.Timer(0.05, os.write, (writer, b"y"))
            asker.start()
            assert await polling.wait()
            assert len(turns) > before
            nursery.cancel_scope.cancel()

    try:
        trio.run(main)
    finally:
        os.close(reader)
        os.close(writer)


def test_it_answers_at_once_parks_when_idle_and_ends_when_closing():
    """Ready: True without a pause. Idle: parked till a byte comes. Closing: False, for the parked as well."""
    reader, writer = os.pipe()

    async def main():
        polling = wait.PollingWait(reader)
        os.write(writer, b"x")
        assert await polling.wait()
        os.read(reader, 1)
        answers = []

        async def worker():
            answers.append(await polling.wait())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            await trio.testing.wait_all_tasks_blocked()
            os.write(writer, b"y")
        assert answers == [True]
        os.read(reader, 1)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(worker)
            await trio.testing.wait_all_tasks_blocked()
            polling.closing = True
            trio.lowlevel.notify_closing(reader)
        assert answers == [True, False, False, False]

    try:
        trio.run(main)
    finally:
        os.close(reader)
        os.close(writer)
