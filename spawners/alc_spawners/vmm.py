"""The spawner: a person's server runs on a machine that VMM gives, holds and takes back.

VMM knows the truth. Nothing of one start is kept here but the allocation's id, so a Hub that was killed finds its
servers again by their owner, and every browser tab is told the same. Could-not-ask is never not-there: while VMM is
silent a server counts as running.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from jupyterhub.spawner import Spawner
from jupyterhub.utils import url_escape_path, url_path_join
from traitlets import Float, List, Unicode, default

from alc_spawners.data import datasets_for, plan_for
from alc_spawners.form import FormContent, render_form
from alc_spawners.full_disk import tell_of_full_disk
from alc_spawners.options import Choice, WrongOptions, check_options, options_from_form
from alc_spawners.refusals import Refused
from alc_spawners.stages import alive, progress_event, took
from jupyter_alc.core.errors import AlcError, Denied, NotFound, Unavailable
from jupyter_alc.dms.renewal import Sessions
from jupyter_alc.vmm.client import HubClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from datetime import datetime

    from jupyter_alc.core.dataset import Dataset

LOOK_EVERY = 0.25  # seconds between two questions while a start is under way
FAILED = 1  # what poll() says of a server that is no more
_FOREGROUND = 3.0  # seconds that poll() and pages wait for VMM
_PATIENT = 20.0
tell_of_full_disk()


class VmmSpawner(Spawner):  # type: ignore[misc]
    """Start servers on VMM's machines. Entry point: `alc-vmm`."""

    vmm_url = Unicode(
        config=True, help="Address of VMM's REST service with its prefix, as the Hub reaches it. No default."
    )
    hub_secret_file = Unicode(
        config=True, help="File with the secret that Hub and VMM share, mode 0600. VMM believes whoever knows it."
    )
    catalogue = Unicode("", config=True, help="YAML file of datasets. Empty: no datasets are offered.")
    credentials_file = Unicode(
        "", config=True, help="YAML file of the archives' credentials by person, mode 0600. Empty: archives need none."
    )
    template_folders = List(
        Unicode(), config=True, help="Where the form's template is looked for. Default: the ones that are shipped."
    )
    stop_deadline = Float(
        60.0,
        config=True,
        help=(
            "Seconds that stopping a server waits for its unsent results to reach the archive. After that VMM goes on "
            "sending by itself; the machine is kept until it is done."
        ),
    )

    allocation = Unicode("")
    machine_title = Unicode("")
    choice: Choice | None = None

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._sessions = Sessions()
        self._chosen = dict(self.user_options)  # what the Hub remembers from before this start

    @default("env_keep")
    def _no_environment_of_the_hub(self) -> list[str]:
        return []

    @default("options_form")
    def _form(self) -> Callable[[VmmSpawner], Coroutine[Any, Any, str]]:
        return VmmSpawner.render_options_form

    @default("options_from_form")
    def _from_form(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        return options_from_form

    @default("apply_user_options")
    def _apply(self) -> Callable[[VmmSpawner, Mapping[str, Any]], Coroutine[Any, Any, None]]:
        return VmmSpawner.choose

    # -- the form and the choice ---------------------------------------------------------------------------------------

    async def render_options_form(self) -> str:
        """Render the form with counts as of now; a service that is silent is named in it."""
        problems: list[AlcError] = []
        machine_types: list[dict[str, Any]] = []
        datasets: list[Dataset] = []
        try:
            machine_types = await self._machine_types()
        except AlcError as error:
            problems.append(error)
        try:
            datasets = await datasets_for(self.catalogue, self.user.name)
        except AlcError as error:
            problems.append(error)
        chosen = self.user_options or self.orm_spawner.user_options or {}
        content = FormContent(self.user.name, machine_types, datasets, chosen, problems)
        return render_form(content, self.template_folders)

    async def choose(self, options: Mapping[str, Any]) -> None:
        """Check what was chosen, from the form or straight from REST; raise `Refused` with every problem at once."""
        self.choice = None
        try:
            machine_types = await self._machine_types()
            datasets = await datasets_for(self.catalogue, self.user.name)
            self.choice = check_options(options, machine_types, [one.id for one in datasets])
        except WrongOptions as wrong:
            self.orm_spawner.user_options = self._chosen  # an empty choice means the last one that could be used
            raise Refused(wrong.problems) from wrong
        except AlcError as error:
            raise Refused([error]) from error
        self.machine_title, self._chosen = self.choice.title, dict(options)

    # -- a server's life -----------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Claim a machine and return the server's URL when it answers.

        May be cancelled at any await: the claim is finished first and then given back, and asking again is harmless.
        Raises `Refused` with VMM's own reason.
        """
        try:
            wanted = await self._wanted()
            found = await self._claimed(wanted)
            while found["state"] != "ready":
                self._check_alive(found)
                await asyncio.sleep(LOOK_EVERY)
                found = await self._seen(wanted)
            await self._answers(str(found["url"]))
        except AlcError as error:
            raise Refused([error]) from error
        return str(found["url"])

    async def poll(self) -> int | None:
        """Say None while the server runs, and whenever VMM cannot tell; a failed one is given back here."""
        try:
            found = await self._find_at_last()
            if found is None:
                return None if self._starting() else FAILED
            if alive(found):
                await self._renew_sessions(found)
                return None
            if found["state"] == "failed":
                await self._release_by_id(str(found["id"]))
        except AlcError:
            return None
        except Exception:  # the Hub drops a server for ever when this raises
            self.log.exception("Could not understand what VMM says of %s", self._log_name)
            return None
        return FAILED

    async def _renew_sessions(self, found: Mapping[str, Any]) -> None:
        """Send new session keys when a third of the old ones' time is over; what fails is tried at the next look."""
        if found["state"] != "ready" or time.time() < self._sessions.due:
            return
        ids = self.choice.datasets if self.choice else [str(one) for one in self._chosen.get("datasets", ())]
        plan = await plan_for(self.catalogue, self.credentials_file, self.user.name, ids)
        if renewed := self._sessions.seen(plan, time.time()):
            async with self._vmm() as vmm:
                await vmm.renew(str(found["id"]), renewed)

    async def stop(self, now: bool = False) -> None:
        """Give the machine back; wait until its results are sent, at most `stop_deadline`, or not at all when `now`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.stop_deadline
        asked: str | None = None
        while True:
            try:
                asked = asked or await self._release()
                gone = asked is None or (await self._allocation(asked))["state"] in {"released", "refused"}
            except NotFound:
                gone = True
            except AlcError:
                gone = False
            if gone or (now and asked):
                return
            if loop.time() > until:
                self.log.warning("%s: VMM still sends results of %s, or is silent", self._log_name, asked)
                return
            await asyncio.sleep(LOOK_EVERY)

    async def get_url(self) -> str:
        """Ask VMM where the server is; wait for a start that a killed Hub left half done."""
        while True:
            try:
                found = await self._find(_FOREGROUND)
                if found is not None and found["state"] == "ready":
                    await self._answers(str(found["url"]))
                    return str(url_path_join(str(found["url"]), self.server.base_url))
                if found is None or not alive(found):
                    return str(await super().get_url())
            except AlcError:
                if self.server.ip:  # known from before; VMM's silence must not keep anybody from a running server
                    return str(await super().get_url())
            await asyncio.sleep(1)

    # -- what is kept, and what is shown -------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """The allocation's id, nothing else."""
        return {**super().get_state(), **({"allocation": self.allocation} if self.allocation else {})}

    def load_state(self, state: dict[str, Any]) -> None:
        """Read `get_state` back."""
        super().load_state(state)
        self.allocation = str(state.get("allocation", ""))

    def clear_state(self) -> None:
        """Forget the allocation: the next start makes another."""
        super().clear_state()
        self.allocation = ""

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Tell each stage with its time; one generator per browser tab, all of them told by VMM."""
        last: dict[str, Any] | None = None
        while self._starting():
            found: dict[str, Any] | None = None
            with contextlib.suppress(AlcError):
                found = await self._find(_FOREGROUND)
            event = progress_event(found)
            if event != last and (found or last is None):
                last = event
                yield event
            await asyncio.sleep(LOOK_EVERY)

    async def progress_now(self) -> dict[str, Any]:
        """What the progress page shows before its first event, and without a script."""
        found: dict[str, Any] | None = None
        with contextlib.suppress(AlcError):
            found = await self._find(_FOREGROUND)
        event = progress_event(found)
        stages = [{**stage, "took": took(stage)} for stage in event["stages"]]
        return {**event, "stages": stages, "title": self.machine_title or "your machine"}

    def stop_path(self) -> str:
        """The Hub's REST path that stops this very server, also a named one."""
        which = f"servers/{url_escape_path(self.name)}" if self.name else "server"
        return str(url_path_join(self.hub.base_url, "api/users", self.user.escaped_name, which))

    # -- asking VMM ----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _vmm(self, deadline: float = _PATIENT) -> AsyncIterator[HubClient]:
        """A client for one question: there are few, and none of its connections can outlive the loop."""
        try:
            secret = await asyncio.to_thread(Path(self.hub_secret_file).read_text)
        except OSError as error:
            said = "The Hub's secret for the machine service cannot be read."
            raise Denied(said, next_step="Tell the operator.") from error
        client = HubClient(self.vmm_url, secret.strip(), deadline_seconds=deadline)
        try:
            yield client
        finally:
            await client.close()

    async def _machine_types(self) -> list[dict[str, Any]]:
        async with self._vmm(_FOREGROUND) as vmm:
            return await vmm.machine_types(self.user.name)

    async def _allocation(self, ident: str, deadline: float = 5.0) -> dict[str, Any]:
        async with self._vmm(deadline) as vmm:
            return await vmm.allocation(ident)

    async def _release_by_id(self, ident: str) -> None:
        with contextlib.suppress(NotFound):
            async with self._vmm(5.0) as vmm:
                await vmm.release(ident)

    def _starting(self) -> bool:
        return bool(self._spawn_pending or self._start_pending)

    def _spawn_number(self) -> str:
        """Name this start as the Hub noted it beforehand, so that a claim repeated by whomever is the same claim."""
        started: datetime | None = self.orm_spawner.started
        return started.isoformat() if started else "0"

    async def _wanted(self) -> dict[str, Any]:
        choice = self.choice
        if choice is None:
            raise Unavailable("Nothing was chosen.", next_step="Start again from the form.")
        plan = await plan_for(self.catalogue, self.credentials_file, self.user.name, choice.datasets)
        self._sessions.seen(plan, time.time())
        return {
            "user": self.user.name,
            "server": self.name,
            "spawn": self._spawn_number(),
            "machine_type": choice.machine_type,
            "datasets": [one.as_json() for one in plan],
            "environment": self.get_env(),
            "args": self.get_args(),
        }

    async def _ask_for_one(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        async with self._vmm() as vmm:
            return await vmm.claim(**wanted)

    async def _claimed(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Claim to the end even when cancelled: a claim on its way would else be nobody's until its lease is over."""
        claim = asyncio.ensure_future(self._ask_for_one(wanted))
        try:
            found = await asyncio.shield(claim)
        except asyncio.CancelledError:
            with contextlib.suppress(AlcError):
                late = await claim
                self.allocation = str(late["id"])
                await self._release_by_id(self.allocation)
            raise
        self.allocation = str(found["id"])
        return found

    async def _seen(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Look at the allocation; a VMM that was away is told the claim again, because it may have lost the plan."""
        try:
            return await self._allocation(self.allocation)
        except Unavailable:
            await asyncio.sleep(LOOK_EVERY)
        try:
            return await self._claimed(wanted)
        except Unavailable:
            return {"id": self.allocation, "state": "claimed"}  # the start's own deadline ends this

    def _check_alive(self, found: Mapping[str, Any]) -> None:
        if alive(found):
            return
        told = found.get("problem") or {}
        raise Unavailable(
            str(told.get("message") or "The machine was given back before it was ready."),
            next_step=str(told.get("next_step") or "Start again."),
        )

    async def _find(self, deadline: float) -> dict[str, Any] | None:
        """The allocation of this server: by its id, else the newest of its owner's that still holds a machine."""
        if self.allocation:
            with contextlib.suppress(NotFound):
                return await self._allocation(self.allocation, deadline)
            return None
        async with self._vmm(deadline) as vmm:
            owned = await vmm.allocations(self.user.name, self.name)
        found = next(filter(alive, owned), None)  # the newest is the first
        if found is not None:
            self.allocation = str(found["id"])
        return found

    async def _find_at_last(self) -> dict[str, Any] | None:
        """As `_find`; a Hub that comes back looks for its servers before VMM, which it starts itself, can answer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENT
        while True:
            try:
                return await self._find(_FOREGROUND)
            except Unavailable:
                if not self._check_pending or loop.time() > until:
                    raise
            await asyncio.sleep(2 * LOOK_EVERY)

    async def _release(self) -> str | None:
        """Ask VMM to take the machine back; return the allocation's id, None when there is none."""
        found = await self._find(5)
        if found is None:
            return None
        await self._release_by_id(str(found["id"]))
        return str(found["id"])

    async def _answers(self, url: str) -> None:
        """Wait until the server answers HTTP. The Hub's own probe has no limit on one request; this one has 2 s."""
        probe = url_path_join(url, self.server.base_url, "api")
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(probe, allow_redirects=False):
                        return
                await asyncio.sleep(LOOK_EVERY)
