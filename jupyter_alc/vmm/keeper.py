"""The loop that makes cloud and store agree: observe, decide, act. Decisions are in `plan`, calls in threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError, IllegalMove, NotFound
from jupyter_alc.core.states import MachineState
from jupyter_alc.vmm import plan
from jupyter_alc.vmm.acts import Acts
from jupyter_alc.vmm.rows import BOOTING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from jupyter_alc.core.clock import IdMaker
    from jupyter_alc.vmm.sight import Cloud
    from jupyter_alc.vmm.store import Rows, Store
    from jupyter_alc.vmm.types import MachineType

log = logging.getLogger(__name__)
_M = MachineState

_WORKERS = 6
_TIDY_SECONDS = 30.0
_LAST_MOMENT_SECONDS = 3.0
_CHANGING = BOOTING | {_M.DELETING, _M.FAILED}


class Keeper:
    """Keeps the pools; `start` once, `wake` when something may have changed, `stop` before the loop ends.

    `woken` is called (on the event loop) with the key of each machine that has a new order.
    """

    def __init__(
        self,
        store: Store,
        cloud: Cloud,
        types: Mapping[str, MachineType],
        *,
        machine_url: str,
        ids: IdMaker,
        woken: Callable[[str], None] = lambda key: None,
    ) -> None:
        self._store = store
        self._cloud = cloud
        self._types = types
        self._woken = woken
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="vmm-cloud")
        self._acts = Acts(store, cloud, types, machine_url, ids)
        self._view: plan.View | None = None
        self._previous: plan.View | None = None
        self._last_good: plan.View | None = None
        self._strangers: dict[str, plan.Sighting] = {}
        self._busy: set[str] = set()
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._since = store.now()
        self._closing_since: float | None = None
        self.cloud_problem: AlcError | None = None
        self._alarmed = ""

    def start(self) -> None:
        """Begin to keep."""
        for work in (self._observing(), self._deciding(), self._tidying()):
            self._spawn(work)

    def wake(self, *, look: bool = False) -> None:
        """Decide again now, because a claim, a report or an answer changed something; `look` at the cloud first."""
        if look:
            self._look.set()
        self._wake.set()

    @property
    def closing(self) -> bool:
        """Say whether nothing is made any more and everything ended."""
        return self._closing_since is not None

    def close(self) -> float:
        """Make nothing more, release and end everything; return since when that is so."""
        if self._closing_since is None:
            self._closing_since = self._store.now()
        self.wake()
        return self._closing_since

    async def stop(self) -> None:
        """Stop deciding; calls to the cloud get a moment to end, of the others the rows know."""
        self._stopping.set()
        self.wake(look=True)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_LAST_MOMENT_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- observe ---

    async def _observing(self) -> None:
        while not self._stopping.is_set():
            try:
                eager = await self._observe()
            except Exception:  # the top of a loop: whatever it was, the next pass looks again
                log.exception("a look at the cloud failed")
                eager = False
            timing = self._store.timing
            pause = timing.eager_seconds if eager or self.closing else timing.calm_seconds
            if self._stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), pause)
            self._look.clear()

    async def _observe(self) -> bool:
        """List the cloud once; say whether a change is expected soon."""
        asked_at = self._store.now()
        try:
            seen = await self._in_thread(self._cloud.machines)
        except AlcError as error:
            if self.cloud_problem is None:
                log.warning("the cloud does not answer: %s; nothing is made or ended meanwhile", error)
            self.cloud_problem, self._view = error, None
            return True
        if self.cloud_problem is not None:
            log.info("the cloud answers again")
            self.cloud_problem = None
        view = plan.View(asked_at, {one.key: one for one in seen})
        self._previous, self._view, self._last_good = self._last_good, view, view
        rows = await asyncio.to_thread(self._store.rows)
        self._strangers = plan.strangers_of(self._strangers, rows, view, self._store.now())
        self.wake()
        return bool(self._strangers) or any(
            one.state in _CHANGING or (one.state is _M.READY and one.isolation is None) for one in rows.machines
        )

    async def _tidying(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TIDY_SECONDS)
            try:
                await asyncio.to_thread(self._store.tidy)
            except Exception:  # the top of a loop: an untidy store works on
                log.exception("the store could not be tidied")

    # --- decide ---

    async def _deciding(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                await self._decide()
            except Exception:  # the top of a loop: whatever it was, the next pass decides anew from the rows
                log.exception("a pass of the keeper failed")
            if self._stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._store.timing.eager_seconds)

    async def _decide(self) -> None:
        rows = await asyncio.to_thread(self._store.rows)
        for action in plan.decide(self._world(rows)):
            try:
                await self._do(action)
            except (IllegalMove, NotFound) as error:  # somebody else moved it since the rows were read
                log.info("%s is out of date: %s", action, error)
            except AlcError as error:
                log.warning("%s: %s", action, error)

    def _world(self, rows: Rows) -> plan.World:
        return plan.World(
            rows=rows,
            view=self._view,
            previous=self._previous,
            types=self._types,
            timing=self._store.timing,
            now=self._store.now(),
            since=max(self._since, self._store.deaf_at),
            busy=frozenset(self._busy),
            strangers=self._strangers,
            closing=self.closing,
        )

    # --- act ---

    async def _do(self, action: plan.Action) -> None:
        if isinstance(action, plan.Create):
            key = await asyncio.to_thread(self._acts.new_row, action.type)
            if key is not None:
                self._begin(key[0], lambda: self._acts.create(key[0], key[1], action.type))
        elif isinstance(action, plan.Prepare):
            self._begin(action.key, lambda: self._acts.prepare(action.key, action.allocation))
        elif isinstance(action, plan.Destroy):
            self._begin(action.key, lambda: self._acts.destroy(action.key))
        elif isinstance(action, plan.DestroyStranger):
            self._begin(action.key, lambda: self._acts.destroy_stranger(action.key))
        elif isinstance(action, plan.Alarm):
            if action.sentence != self._alarmed:
                log.error("%s", action.sentence)
            self._alarmed = action.sentence
        elif await asyncio.to_thread(self._acts.quick, action):
            self.wake()
            if isinstance(action, plan.Retry | plan.Release):
                self._wake_machines()

    def _begin(self, key: str, work: Callable[[], object]) -> None:
        """Run one slow call in a worker thread; nothing else is done with this key meanwhile."""
        if key not in self._busy:
            self._busy.add(key)
            self._spawn(self._run(key, work))

    async def _run(self, key: str, work: Callable[[], object]) -> None:
        try:
            await self._in_thread(work)
        except Exception:  # a worker's end: the row says what to do next
            log.exception("a call for machine %s failed", key)
        finally:
            self._busy.discard(key)
            self._woken(key)
            self._look.set()
            self.wake()

    def _wake_machines(self) -> None:
        self._woken("")

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
