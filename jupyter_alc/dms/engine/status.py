"""How datasets stand, in the words and figures that magics, panel and REST show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import Conflict, Unavailable
from jupyter_alc.core.states import FileState
from jupyter_alc.dms.engine.interface import DatasetStatus, Sending, Unsent

if TYPE_CHECKING:
    from jupyter_alc.core.errors import AlcError
    from jupyter_alc.dms.engine.accounts import Accounts
    from jupyter_alc.dms.engine.cache import Cache
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.staged import StagedFile
    from jupyter_alc.dms.engine.staging import Staging

_SENDING = {FileState.UPLOADING, FileState.VERIFYING}


def unsent(file: StagedFile, *, here: bool = True) -> Unsent:
    """One unsent file; `here` says whether its dataset is one of this session's."""
    return Unsent(f"{file.dataset}/{file.path}", file.state, file.size, file.problem if here else _elsewhere(file))


def _elsewhere(file: StagedFile) -> dict[str, str]:
    return Unavailable(
        f"{file.dataset} was not chosen for this session, so {file.path} waits on your data volume.",
        next_step=f"Start a server with {file.dataset} to send it.",
    ).as_json()


def of_dataset(
    link: Link, staging: Staging, cache: Cache, accounts: Accounts, trouble: AlcError | None
) -> DatasetStatus:
    """One dataset; `trouble` is what is wrong with the volume, which concerns all that is written."""
    dataset, files = link.dataset, staging.all(link.dataset.id)
    sending = next((one for one in files if one.state in _SENDING), None)
    writable = dataset.access is Access.WRITE
    return DatasetStatus(
        id=dataset.id,
        title=dataset.title,
        where=dataset.where,
        access=str(dataset.access),
        size_bytes=dataset.size_bytes,
        needed_bytes=link.needed_bytes,
        moved_bytes=link.moved_bytes,
        from_cache_bytes=accounts.from_cache_bytes(dataset.id),
        cached_bytes=cache.bytes_of(dataset.id),
        requests=link.requests,
        unsent_files=len(files),
        unsent_bytes=sum(one.size for one in files),
        sending=Sending(f"{dataset.id}/{sending.path}", sending.sent, sending.size) if sending else None,
        state=_state(link, files, sending),
        problem=trouble.as_json() if trouble is not None and writable else _problem(link, files, staging),
        guarantee=link.adapter.capabilities.guarantee if writable else "",
    )


def _state(link: Link, files: list[StagedFile], sending: StagedFile | None) -> str:
    if not link.reachable:
        return "unreachable"
    if sending is not None:
        return "sending"
    return "unsent" if files else "ok"


def _problem(link: Link, files: list[StagedFile], staging: Staging) -> dict[str, str] | None:
    if link.problem is not None:
        return link.problem.as_json()
    told = next((one.problem for one in files if one.problem is not None), None)
    notice = staging.last_notice(link.dataset.id)
    if told is not None or notice is None:
        return told
    path, beside = notice
    return Conflict(
        f"{path} was changed in the archive by somebody else; yours is {beside}.",
        next_step="Compare the two and keep what is right.",
    ).as_json()
