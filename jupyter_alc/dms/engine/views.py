"""Views of datasets: what of the archive lies where in them, asked of its listings each time (N18)."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import ArchiveUnreachable, Conflict, FileNotThere, IsFolder, ReadOnly
from jupyter_alc.core.views import looks_marked, marked, rule_of
from jupyter_alc.dms.engine.folders import Overlaid, Part
from jupyter_alc.dms.engine.names_values import link_number, showable
from jupyter_alc.dms.engine.views_walk import AsFound, Found, Place, Walk
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_alc.core.views import Rule
    from jupyter_alc.dms.engine.datasets import Datasets
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.engine.views_walk import Source

MOST_COMPARED: Final = 50_000  # names of one of a view's folders


class Views:
    """The views of the datasets of a session."""

    def __init__(self, datasets: Datasets, source: Source) -> None:
        self._datasets, self._source = datasets, source
        self._covered: set[tuple[str, str]] = set()  # datasets and views whose names the archive has, when last asked

    async def at(self, key: str, inner: str) -> Place | None:
        """What of a view a path names; None where it is none of a view's. Of a dataset without views nothing is asked.

        `ArchiveUnreachable` where nobody knows whether the archive has something of the view's name.
        """
        views = self._datasets.links[key].dataset.views
        if not views:
            return None
        first, *rest = inner.split("/")
        view = next((one for one in views if one.name == first), None)
        if view is None or await self._is_covered(key, first):
            return None
        rule = rule_of(view)
        return Place(key, rule, tuple(rest[: rule.depth]), "/".join(rest[rule.depth :]))

    def beside(self, key: str, pages: Pages) -> Pages:
        """The names at the top of a dataset, and behind them its views: by then it is known whether one is covered."""
        if not self._datasets.links[key].dataset.views:
            return pages

        async def both() -> AsyncIterator[list[Entry]]:
            while some := await pages.more():
                yield some
            yield await self.tops(key)

        return AsFound(both())

    async def tops(self, key: str) -> list[Entry]:
        """The folders of a dataset's views."""
        views = self._datasets.links[key].dataset.views
        covered = await asyncio.gather(*(self._is_covered(key, one.name) for one in views))
        return [_folder(one.name) for one, is_covered in zip(views, covered, strict=True) if not is_covered]

    async def info(self, place: Place) -> Entry:
        """What is at a place of a view."""
        if place.beyond:
            inner = await self.through(place)
            return replace(await self._source.real_info(place.key, inner), target=f"{place.key}/{inner}")
        if place.is_link:
            return await self._link(place)
        if not place.asked:
            return _folder(place.rule.view.name)
        async with aclosing(Walk(self._source, place).found(place.rule.needs(len(place.asked)))) as found:
            async for _ in found:
                return _folder(place.asked[-1])
        raise place.absent()

    async def through(self, place: Place) -> str:
        """Where in the archive a link leads, or what is named behind it would be; `IsFolder` for a view's folders."""
        if not place.is_link:
            raise IsFolder(f"{place.shown} is a folder.", next_step="Name a file in it.")
        _, inner = self._datasets.find((await self._link(place)).target)
        return f"{inner}/{place.beyond}" if place.beyond else inner

    async def pages(self, place: Place) -> Pages:
        """What is in a folder of a view."""
        if place.is_link:
            inner = await self.through(place)
            within = f"{place.key}/{inner}/"
            pages = await self._source.real_pages(place.key, inner)
            return Overlaid(pages, [], lambda one: replace(one, target=within + one.name))
        if place.asked:
            await self.info(place)
        return AsFound(self._links(place) if len(place.asked) == place.rule.depth - 1 else self._folders(place))

    async def part(self, place: Place, after: str, limit: int) -> Part:
        """At most `limit` names of a folder of a view behind `after`, in order."""
        pages, first = await self.pages(place), list[Entry]()
        while some := await pages.more():
            behind = (one for one in some if one.name > after)
            first = heapq.nsmallest(limit + 1, (*first, *behind), key=lambda one: one.name)
        shown = first[:limit]
        return Part(shown, shown[-1].name if len(first) > limit else None, coming=False)

    def named(self, key: str, view_index: int, path: str, entry: Entry) -> tuple[str, Entry] | None:
        """The link whose number tells the view and what it leads to; None where that is not in the view any more."""
        views = self._datasets.links[key].dataset.views
        rule = rule_of(views[view_index]) if view_index < len(views) else None
        names = rule.place(path) if rule is not None and rule.one_to_one else None
        if rule is None or names is None:
            return None
        link = replace(entry, name=names[-1], target=f"{key}/{path}", number=link_number(entry.number, view_index))
        return "/".join((key, rule.view.name, *names)), link

    def problem(self, key: str) -> dict[str, str] | None:
        """What is told of a dataset with a view that the archive's own names cover."""
        covered = [name for one, name in sorted(self._covered) if one == key]
        if not covered:
            return None
        return Conflict(
            f"The archive has a name {covered[0]} of its own, so the view of that name is not shown.",
            next_step="Ask the facility to give the view another name in the catalogue.",
        ).as_json()

    async def _is_covered(self, key: str, name: str) -> bool:
        """Whether the archive has something of a view's name, which then goes before the view.

        While the archive is silent, as it was last seen, be it an absence (N3).
        """
        question = asyncio.ensure_future(self._source.real_info(key, name))
        try:
            covered = None if await self._datasets.names[key].answers(question) else await self._was_covered(key, name)
            if covered is None or question.done():
                await question
                covered = True
        except FileNotThere:
            covered = False
        except ArchiveUnreachable:
            covered = await self._was_covered(key, name)
            if covered is None:
                raise
        finally:
            question.cancel()
        (self._covered.add if covered else self._covered.discard)((key, name))
        return covered

    async def _was_covered(self, key: str, name: str) -> bool | None:
        """The same, as last seen; None where nothing was."""
        known, entry = await self._source.last_real(key, name)
        return entry is not None if known else None

    async def _folders(self, place: Place) -> AsyncIterator[list[Entry]]:
        level, told = len(place.asked), set[str]()
        async for some in Walk(self._source, place).found(place.rule.needs(level + 1)):
            names = {place.rule.name(level, one.path, one.known) for one in some} - told
            told |= names
            if len(told) > MOST_COMPARED:
                raise place.too_wide(f"more than {MOST_COMPARED} folders")
            yield [_folder(one) for one in sorted(names) if showable(one)]

    async def _links(self, place: Place) -> AsyncIterator[list[Entry]]:
        rule, compared = place.rule, dict[str, list[Found]]()
        index = self._datasets.links[place.key].dataset.views.index(rule.view)
        count = 0
        async for some in Walk(self._source, place).found(len(rule.of)):
            if rule.one_to_one:
                yield [_link(place, one, one_name, index) for one in some if showable(one_name := _name(rule, one))]
                continue
            for one in some:
                compared.setdefault(_name(rule, one), []).append(one)
            count += len(some)
            if count > MOST_COMPARED:
                raise place.too_wide(f"more than {MOST_COMPARED} entries that could have one name")
        for name, same in compared.items():
            alone = len(same) == 1 and not looks_marked(name)
            named = ((one, name if alone else marked(name, one.path)) for one in same)
            yield [_link(place, one, shown, None) for one, shown in named if showable(name)]

    async def _link(self, place: Place) -> Entry:
        """The link of a place's last name."""
        *folder, name = place.asked
        if not place.rule.one_to_one and looks_marked(name):
            pages = await self.pages(place._replace(asked=tuple(folder), beyond=""))
            while links := await pages.more():
                with suppress(StopIteration):
                    return next(one for one in links if one.name == name)
            raise place.absent()
        same: list[Found] = []
        async with aclosing(Walk(self._source, place).found(len(place.rule.of))) as found:
            async for some in found:
                same += some
                if place.rule.one_to_one or len(same) > 1:
                    break
        if len(same) != 1 or not showable(name):  # of two each has its mark
            raise place.absent()
        views = self._datasets.links[place.key].dataset.views
        return _link(place, same[0], name, views.index(place.rule.view) if place.rule.one_to_one else None)


def refuse(place: Place) -> ReadOnly:
    """The error of who would change a view."""
    return ReadOnly(
        f"{place.shown} is of the view {place.rule.view.name}, which only shows where files are.",
        next_step="Make, rename or remove at the real path, which the target of a link tells.",
    )


def _name(rule: Rule, found: Found) -> str:
    return rule.name(rule.depth - 1, found.path, found.known)


def _folder(name: str) -> Entry:
    return Entry(name, "directory", 0, 0.0, '"folder"', view=True)


def _link(place: Place, found: Found, name: str, index: int | None) -> Entry:
    number = 0 if index is None else link_number(found.entry.number, index)
    return replace(found.entry, name=name, target=f"{place.key}/{found.path}", number=number)
