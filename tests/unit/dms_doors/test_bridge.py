"""From trio to asyncio and back: bounded, with deadlines, errors unharmed."""

import asyncio
import threading

import pytest
import trio
import trio.testing

from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, TooLate
from jupyter_alc.dms.fuse.bridge import Bridge

pytestmark = pytest.mark.unit


async def end_all():
    """Cancel what a test left waiting."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture
def loop():
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    asyncio.run_coroutine_threadsafe(end_all(), running).result(10)
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


async def never():
    await asyncio.Event().wait()


def test_an_answer_and_an_error_come_back(loop):
    """What the engine raises is what the mount hears."""

    async def fails():
        raise FileNotThere("x")

    async def main():
        bridge = Bridge(loop)
        assert await bridge.ask(asyncio.sleep(0, 42)) == 42
        with pytest.raises(FileNotThere):
            await bridge.ask(fails())
        assert bridge.waiting == 0

    trio.run(main)


def test_a_deadline_ends_the_wait_of_a_look(loop):
    """No handler waits for ever, and what nobody waits for is given up."""
    given_up = threading.Event()

    async def noticed():
        try:
            await never()
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def main():
        with pytest.raises(TooLate):
            await Bridge(loop).ask(noticed(), seconds=0.05)

    trio.run(main)
    assert given_up.wait(10)


def test_a_change_goes_on_past_its_deadline(loop):
    """A write is never torn: the caller hears that it took too long, the work is finished all the same."""
    go, done = asyncio.Event(), threading.Event()

    async def change():
        await go.wait()
        done.set()

    async def main():
        with pytest.raises(TooLate):
            await Bridge(loop).change(change(), seconds=0.05)

    trio.run(main)
    loop.call_soon_threadsafe(go.set)
    assert done.wait(10)


def test_only_so_many_may_wait(loop):
    """The next one hears at once that the archive does not keep up; somebody always reads the device."""

    async def main():
        bridge = Bridge(loop, most_waiting=3)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(_quietly, bridge)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ArchiveUnreachable):
                await bridge.ask(asyncio.sleep(0))
            nursery.cancel_scope.cancel()
        assert bridge.waiting == 0

    async def _quietly(bridge):
        await bridge.ask(never(), seconds=30)

    trio.run(main)


def test_at_the_end_who_only_looks_is_answered_at_once_and_changes_are_still_done(loop):
    go = asyncio.Event()

    async def changed():
        await go.wait()
        return "changed"

    async def main():
        bridge, heard = Bridge(loop), []

        async def looking():
            with pytest.raises(ArchiveUnreachable, match="ending"):
                await bridge.ask(never())
            heard.append("looked")

        async def changing():
            heard.append(await bridge.change(changed()))

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(looking)
                nursery.start_soon(changing)
                await trio.testing.wait_all_tasks_blocked()
                bridge.end()
                loop.call_soon_threadsafe(go.set)
            await looking()
        assert heard == ["looked", "changed", "looked"]

    trio.run(main)
