"""What went wrong, in our words, from what a Spark process wrote before it ended. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, Missing, NoSpace, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

ROLES: Final = {"master": "Spark's master", "connect": "The Connect server"}

_NO_MEMORY: Final = (
    "OutOfMemoryError",
    "insufficient memory",
    "Cannot allocate memory",
    "Could not reserve enough space",
    "Not enough memory",
)
_PORT_TAKEN: Final = ("java.net.BindException", "Address already in use")
_OLD_JAVA: Final = ("UnsupportedClassVersionError", "Unrecognized option")
_FULL: Final = ("No space left on device", "Disk quota exceeded")


def role_words(role: str) -> str:
    """How a process is called in a sentence."""
    return ROLES.get(role) or f"Worker {role.rpartition('-')[2]}"


def port_was_taken(log: str) -> bool:
    """Whether the process ended because another program had its port; then a new attempt with new ports is right."""
    return any(word in log for word in _PORT_TAKEN)


def why_it_ended(role: str, exit_code: int | None, log: str, log_file: Path) -> AlcError:
    """Explain the end of the process `role` from the end of its log."""
    who = role_words(role)
    look = f"Its log is {log_file}."
    if any(word in log for word in _FULL):
        return NoSpace(
            f"{who} found the disk full.", next_step="Delete files you do not need, then start a cluster again."
        )
    if exit_code == -9 or any(word in log for word in _NO_MEMORY):
        return Unavailable(
            f"{who} was ended: there was not enough memory, or somebody killed it.",
            next_step="Choose less memory_per_worker or one worker, and start a cluster again.",
        )
    if any(word in log for word in _OLD_JAVA):
        return Missing(
            "This machine's Java is older than Spark needs.", next_step="Ask your operator for Java 17 or newer."
        )
    if port_was_taken(log):
        return Unavailable(
            f"{who} found its port taken by another program, several times.", next_step="Start a cluster again."
        )
    code = "" if exit_code is None else f" with code {exit_code}"
    return Unavailable(f"{who} ended unexpectedly{code}.", next_step=f"Start a cluster again. {look}")


def waiting_words(master: bool, workers: int, wanted: int, connect: bool) -> str:
    """The reason for waiting while a cluster starts."""
    if not master:
        return "waiting for Spark's master"
    connect_words = "Connect up, waiting for the first query" if connect else "Connect starting"
    return f"master up, {workers} of {wanted} workers, {connect_words}"
