"""A bar under each cell that runs Spark queries; it closes when the cell does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.core.sizes import size
from jupyter_alc.magics.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.magics.progress import Progress
    from jupyter_alc.piezo.frameworks import Progress as Query


class CellProgress:
    """Hears of every query, and of the end of every cell; one bar for all queries of a cell."""

    def __init__(self, new_bar: Callable[[], Progress]) -> None:
        self._new_bar = new_bar
        self._bar: Progress | None = None
        self._queries: dict[str, Query] = {}

    def hear(self, query: Query) -> None:
        """Take what a query told; a query without a task draws nothing."""
        if not query.tasks and query.operation not in self._queries:
            return
        known = self._queries.get(query.operation)
        self._queries[query.operation] = known if known is not None and not query.tasks and query.done else query
        if self._bar is None:
            self._bar = self._new_bar()
        line, done, total = self._sum()
        self._bar.show(line, done, total)

    def cell_ends(self, result: Any = None) -> None:
        """Close the bar of the cell that ended: full when it went well, else with what did not."""
        bar, self._bar = self._bar, None
        if bar is not None:
            line, _, _ = self._sum()
            ill = self._ill(result)
            bar.end(f"{line}: {ill}" if ill else line, well=not ill)
        self._queries.clear()

    def _ill(self, result: Any) -> str:
        error = result and (result.error_in_exec or result.error_before_exec)
        if isinstance(error, KeyboardInterrupt):
            return "interrupted"
        if error:
            return "the cell failed"
        return "a query failed" if any(one.failed for one in self._queries.values()) else ""

    def _sum(self) -> tuple[str, int, int]:
        queries = self._queries.values()
        done, total = sum(one.tasks_done for one in queries), sum(one.tasks for one in queries)
        line = f"Spark: {done} of {plural(total, 'task')}"
        if read := sum(one.bytes_read for one in queries):
            line += f", {size(read)} read"
        return line, done, total
