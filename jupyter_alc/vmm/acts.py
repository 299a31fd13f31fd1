"""What the keeper does, each act blocking and in a worker thread: row first, then the cloud, then the row again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jupyter_alc.core.errors import AlcError, IllegalMove, Missing, Unavailable
from jupyter_alc.core.states import MachineState
from jupyter_alc.vmm import plan
from jupyter_alc.vmm.tokens import new_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.core.clock import IdMaker
    from jupyter_alc.vmm.sight import Cloud
    from jupyter_alc.vmm.store import Store
    from jupyter_alc.vmm.types import MachineType

log = logging.getLogger(__name__)
_M = MachineState

DMS_VOLUME = "/var/lib/alc-dms"
_ATTACH_TRIES = 3


class Acts:
    """The acts of the plan's actions. Each may be repeated after a crash."""

    def __init__(
        self, store: Store, cloud: Cloud, types: Mapping[str, MachineType], machine_url: str, ids: IdMaker
    ) -> None:
        self._store = store
        self._cloud = cloud
        self._types = types
        self._machine_url = machine_url
        self._ids = ids

    def new_row(self, type_id: str) -> tuple[str, str] | None:
        """Commit the row of a new machine; return its key and one-use token, or None at the type's cap."""
        key, token = self._ids("machine"), new_secret()
        if not self._store.add_machine(key, type_id, token, self._types[type_id].max_total):
            return None
        log.info("machine %s (%s): requested", key, type_id)
        return key, token

    def create(self, key: str, token: str, type_id: str) -> None:
        """Ask the cloud for the machine of this row; nothing of any person goes into the user data."""
        user_data = {"vmm_url": self._machine_url, "machine_key": key, "enrolment_token": token}
        try:
            self._cloud.create(key, self._types[type_id], user_data)
        except Unavailable as error:
            log.warning("machine %s: the cloud did not say whether it took the order: %s", key, error)
            return
        except AlcError as error:
            self._store.fail_machine(key, error.line, error)
            return
        try:
            self._store.move(key, _M.BUILDING, "the cloud took the order")
        except IllegalMove:
            log.debug("machine %s enrolled before the cloud's answer", key)

    def prepare(self, key: str, allocation_id: str) -> None:
        """Attach the person's volumes and give the order."""
        allocation, machine = self._store.allocation(allocation_id), self._store.machine(key)
        if machine.state is not _M.CLAIMED:
            return
        person = self._store.person(allocation)
        uids = person.uids(isolated=machine.isolation != "none")
        try:
            home = self._cloud.attach(key, "home", person.account, uids["uid"], person.home)
            dms = self._cloud.attach(key, "dms", person.account, uids["dms_uid"], DMS_VOLUME)
        except AlcError as error:
            self._not_attached(key, allocation_id, machine.attach_tries + 1, error)
            return
        if self._store.order_claim(key, allocation_id, home, dms):
            log.info("machine %s: order for allocation %s given", key, allocation_id)

    def _not_attached(self, key: str, allocation_id: str, tries: int, error: AlcError) -> None:
        log.warning("machine %s: volumes not attached, try %d: %s", key, tries, error)
        if isinstance(error, Unavailable) and tries < _ATTACH_TRIES:
            self._store.change(key, attach_tries=tries, tried_at=self._store.now())
            return
        problem = type(error)(f"Your home could not be attached: {error}", next_step=error.next_step)
        self._store.fail_allocation(allocation_id, problem)

    def destroy(self, key: str) -> None:
        """Ask the cloud to end a machine; the list will say when it is gone."""
        try:
            self._cloud.destroy(key)
        except AlcError as error:
            tries = self._store.machine(key).destroy_tries + 1
            log.warning("machine %s: not ended, try %d: %s", key, tries, error)
            self._store.change(key, destroy_tries=tries, tried_at=self._store.now())
            return
        self._store.change(key, destroy_tries=0, tried_at=self._store.now())

    def destroy_stranger(self, key: str) -> None:
        """End a machine that has no row."""
        log.warning("machine %s is in the cloud without a living row: ended", key)
        try:
            self._cloud.destroy(key)
        except AlcError as error:
            log.warning("machine %s: leaked and not ended: %s", key, error)

    def quick(self, action: plan.Action) -> bool:
        """Do what only touches the store; True when something changed."""
        store = self._store
        if isinstance(action, plan.Note):
            seen = action.seen
            store.change(action.key, address=seen.address, isolation=seen.isolation, limits=dict(seen.limits))
            if action.built:
                store.move(action.key, _M.BUILDING, "the cloud's list shows it")
        elif isinstance(action, plan.Fail):
            problem = Unavailable(
                f"Your machine was lost: {action.why}.",
                next_step="Start your server again; what you saved is on your volume and is sent then.",
            )
            store.fail_machine(action.key, action.why, problem)
        elif isinstance(action, plan.End):
            store.move(action.key, _M.DELETING, action.why)
        elif isinstance(action, plan.Gone):
            store.move(action.key, _M.GONE, "the cloud's list no longer shows it")
        elif isinstance(action, plan.Retry):
            store.order_release(action.key)
        elif isinstance(action, plan.Release):
            store.release(action.allocation, action.why)
        elif isinstance(action, plan.Finish):
            store.finish(action.allocation)
        elif isinstance(action, plan.GiveUp):
            store.fail_allocation(action.allocation, self._no_boot(action.type))
        elif isinstance(action, plan.HandOver):
            return bool(store.hand_over())
        return True

    def _no_boot(self, type_id: str) -> AlcError:
        fault = plan.boots(self._store.rows(), type_id).fault
        return Missing(
            f"Machines of the type {self._types[type_id].title!r} do not start: {fault}",
            next_step="Choose another type, or tell the operator.",
        )
