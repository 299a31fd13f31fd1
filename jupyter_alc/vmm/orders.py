"""What a machine is told to do, made from the rows when the agent asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_alc.vmm.claims import person_of
from jupyter_alc.vmm.rows import Allocation, Machine, find_allocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from jupyter_alc.vmm.timing import Timing
    from jupyter_alc.vmm.types import MachineType

SERVER_PORT = 8888


def order_json(
    connection: Connection, machine: Machine, types: Mapping[str, MachineType], vmm_url: str, timing: Timing
) -> dict[str, Any] | None:
    """Return the machine's newest order; None when there is nothing to do any more."""
    if machine.order_kind is None or machine.allocation is None:
        return None
    allocation = find_allocation(connection, machine.allocation)
    told: dict[str, Any] = {"kind": machine.order_kind, "allocation": allocation.id, "fence": machine.fence}
    if machine.order_kind == "release":
        return {**told, "flush_deadline_seconds": timing.flush_seconds}
    if allocation.secrets is None:  # her server answered already; nobody may read them again
        return None
    isolated = machine.isolation != "none"
    return {
        **told,
        "person": person_of(connection, allocation).as_json(isolated=isolated),
        "home": machine.home_path,
        "dms_volume": machine.dms_path,
        "data": allocation.secrets.get("data", {"datasets": []}),
        "server": _server(machine, allocation, types.get(machine.type), vmm_url, isolated=isolated),
        "deadlines": {
            "account": timing.account_seconds,
            "mount": timing.mount_seconds,
            "proof": timing.proof_seconds,
            "server": timing.server_seconds,
        },
    }


def _server(
    machine: Machine, allocation: Allocation, kind: MachineType | None, vmm_url: str, *, isolated: bool
) -> dict[str, Any]:
    start = (allocation.secrets or {}).get("server_start", {})
    about = {
        "key": machine.key,
        "type": machine.type,
        "title": kind.title if kind else machine.type,
        "cores": kind.cores if kind else None,
        "memory_bytes": kind.memory_bytes if kind else None,
        "isolation": machine.isolation,
        "limits": machine.limits,
        "allocation": allocation.id,
    }
    environment = {**start.get("environment", {}), "ALC_MACHINE": json.dumps(about), "ALC_VMM_URL": vmm_url}
    port = SERVER_PORT if isolated else 0  # 0: any free one, because the host's ports are shared
    return {"environment": environment, "args": start.get("args", []), "port": port}
