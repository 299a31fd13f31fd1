"""Whose request goes next to one archive (R14). Pure: tickets and times in, tickets that may go out."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Final

QUIET_SECONDS: Final = 2.0
"""A request that has brought nothing for so long no longer holds up what somebody waits for."""
_MOST: Final = 4  # times as many requests as are welcome, when the others are quiet


@dataclass(eq=False, slots=True)
class Ticket:
    """One request, about the file `of`. `waited`: somebody waits for it; `moved`: when it last brought something."""

    waited: bool = True
    of: str = ""
    moved: float = field(default=0.0, compare=False)


class Turns:
    """The requests that are under way, and those that wait for their turn, of an archive that welcomes `parallel`.

    - what somebody waits for goes before what is fetched ahead, in the order of asking; of those that are waited for
      one whose file has fewest under way goes first;
    - what is fetched ahead goes while a quarter of the turns stays free (of three or two one), and nothing else waits;
    - one that has been quiet for two seconds does not keep what is waited for from going.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = max(parallel, 1)
        self._for_ahead = self._parallel - max(self._parallel // 4, min(self._parallel - 1, 1))
        self._waited: OrderedDict[Ticket, None] = OrderedDict()
        self._ahead: OrderedDict[Ticket, None] = OrderedDict()
        self._going: set[Ticket] = set()

    @property
    def going(self) -> int:
        """How many are under way."""
        return len(self._going)

    @property
    def held_up(self) -> bool:
        """Whether something that somebody waits for has not gone."""
        return bool(self._waited)

    def ask(self, ticket: Ticket) -> None:
        """Stand in line; once."""
        (self._waited if ticket.waited else self._ahead)[ticket] = None

    def hurry(self, ticket: Ticket) -> None:
        """Somebody waits for it now."""
        ticket.waited = True
        if ticket in self._ahead:
            del self._ahead[ticket]
            self._waited[ticket] = None

    def leave(self, ticket: Ticket) -> None:
        """It has come back, or does not want to go any more."""
        self._waited.pop(ticket, None)
        self._ahead.pop(ticket, None)
        self._going.discard(ticket)

    def go(self, now: float) -> list[Ticket]:
        """Those whose turn it is; they are under way from `now` on."""
        gone: list[Ticket] = []
        while ticket := self._next(now):
            ticket.moved = now
            self._going.add(ticket)
            gone.append(ticket)
        return gone

    def _next(self, now: float) -> Ticket | None:
        if self._waited:
            quiet = sum(now - one.moved >= QUIET_SECONDS for one in self._going)
            if len(self._going) - quiet < self._parallel and len(self._going) < _MOST * self._parallel:
                return self._fair()
        elif self._ahead and len(self._going) < self._for_ahead:
            return self._ahead.popitem(last=False)[0]
        return None

    def _fair(self) -> Ticket:
        beside = Counter(one.of for one in self._going)
        ticket = min(self._waited, key=lambda one: beside[one.of])  # the first of equals
        del self._waited[ticket]
        return ticket
