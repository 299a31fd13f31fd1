"""How long VMM waits for what; each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, handed in so that tests need not wait."""

    launch_seconds: float = 240.0  # from the row to the agent's "ready"; a busy host needs tens of seconds
    lease_seconds: float = 300.0  # ten of the Hub's polls
    orders_seconds: float = 25.0  # a long poll; below the minute after which proxies cut
    drain_retry_seconds: float = 30.0  # between two tries to send what is left
    flush_seconds: float = 60.0  # what the agent may use for one try
    drain_work_seconds: float = 60.0  # what ending her processes may take besides; then the order is given again
    drain_silent_seconds: float = 300.0  # a draining machine without a word; its volume keeps what is staged
    warm_silent_seconds: float = 120.0  # a warm machine without a word: four long polls missed
    leak_grace_seconds: float = 30.0  # from the first sighting of an unknown machine to its end
    destroy_retry_seconds: float = 5.0  # the first pause after a refused end; doubles up to five minutes
    boot_retry_seconds: float = 4.0  # the first pause after a bad boot; doubles up to five minutes
    surplus_seconds: float = 300.0  # how long a warm machine above the minimum may idle
    calm_seconds: float = 10.0  # between two lists when nothing is expected
    eager_seconds: float = 1.0  # between two lists while a change is expected
    account_seconds: float = 30.0  # deadlines of the stages, for the agent
    mount_seconds: float = 60.0
    proof_seconds: float = 60.0
    server_seconds: float = 120.0
