"""What Tab offers after a magic: its words, then paths, datasets and transfers as the user's server tells them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from jupyter_alc.core.errors import AlcError
from jupyter_alc.magics.dms import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.parsing import Spoken

MOST_OFFERED = 500
_LAST = "\U0010ffff"
PATIENCE_SECONDS = 3.0  # whoever pressed Tab waits


def matcher_of(spoken: Mapping[str, Spoken], alc: Callable[[], Alc]) -> Any:
    """An IPython matcher for the magics of `spoken`; it asks the server only where a name can stand."""

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython is not typed for us
    def alc_matcher(context: Any) -> dict[str, Any]:
        name, gap, line = context.text_until_cursor.lstrip().partition(" ")
        known = spoken.get(name.lstrip("%"))
        if known is None or not gap or not name.startswith("%"):
            return {"completions": []}
        line = line.lstrip()
        words = [*known.offers(line), *(_names(line, alc) if name == "%dms" else [])]
        found = [SimpleCompletion(word, type="magic") for word in words]
        return {"completions": found, "suppress": bool(found)}

    return alc_matcher


def _names(line: str, alc: Callable[[], Alc]) -> list[str]:
    """The names that may come next after a verb of `%dms`; none where the server does not tell them."""
    before, _, begun = line.rpartition(" ")
    verb = VERBS.get(before.split(" ", 1)[0]) if before else None
    if verb is None or not verb.offers or begun.startswith("-"):
        return []
    try:
        found = _OFFERS[verb.offers](alc(), begun)
    except AlcError:
        return []
    typed = before.split()
    return [one for one in found if one.startswith(begun) and one not in typed and shlex.quote(one) == one]


def _paths(alc: Alc, begun: str) -> list[str]:
    folder, slash, name = begun.rpartition("/")
    within = f"{folder}{slash}"
    told = alc.dms.files(folder, _just_before(name), MOST_OFFERED, deadline_seconds=PATIENCE_SECONDS)
    return [f"{within}{one['name']}{'/' * (one['type'] == 'directory')}" for one in told["entries"]]


def _just_before(name: str) -> str:
    """The last name that stands before all that begin with `name`."""
    return f"{name[:-1]}{chr(ord(name[-1]) - 1)}{_LAST}" if name and ord(name[-1]) else ""


def _datasets(alc: Alc, begun: str) -> list[str]:
    return [one["id"] for one in alc.dms.status()["datasets"]]


def _transfers(alc: Alc, begun: str) -> list[str]:
    return [one["id"] for one in alc.dms.transfers()]


_OFFERS: Mapping[str, Callable[[Alc, str], list[str]]] = {
    "paths": _paths,
    "datasets": _datasets,
    "transfers": _transfers,
}
