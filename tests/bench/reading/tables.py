"""The results as Markdown: the bars first, then each row with everybody's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.reading.bars import judge
from bench.reading.rows import ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from bench.reading.bars import Results, Verdict

BEGIN: Final = "<!-- what `make bench PART=reading` writes begins here -->"
END: Final = "<!-- and ends here -->"


def page(told: dict[str, Any]) -> str:
    """All of it: the circumstances, the bars, the rows."""
    results: Results = told["rows"]
    lines = [_circumstances(told), "", *_bars(results)]
    lines += [f"\n**{name} could not be measured**: {why.splitlines()[0]}" for name, why in told["failed"].items()]
    for row in ROWS:
        if row.name in results:
            lines += ["", f"**{row.title}**, +{row.round_trip * 1000:.0f} ms", "", *_row(results[row.name])]
    return "\n".join(lines)


def put_into(file: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no place for the tables: it lacks the line {BEGIN} or {END}")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _circumstances(told: dict[str, Any]) -> str:
    where, proxy = told["computer"], told["proxy"]
    who = "as root" if where["root"] else "as an ordinary user"
    return (
        f"Measured {told['when']}, {told['runs']} runs, in {told['minutes']} minutes: {where['cores']} cores "
        f"({where['processor']}), {where['memory_gib']} GiB, Linux {where['kernel']}, {who}; {told['versions']}. "
        f"The proxy alone passes on {proxy['MiB/s']:,.0f} MiB/s for {proxy['CPU-s per GiB']:.2f} CPU-s per GiB."
    )


def _bars(results: Results) -> list[str]:
    lines = ["| work | ours, median | must reach | that is | reached |", "|---|---|---|---|---|"]
    for one in judge(results):
        aim = " (aim)" if one.bar.aim else ""
        wanted = f"{'at least' if one.bar.more else 'at most'} {one.bar.says}{aim}"
        cells = f"{one.bar.row}: {one.bar.figure}", _number(one.ours), wanted, _number(one.wanted), _word(one)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _word(one: Verdict) -> str:
    if one.reached:
        return "yes"
    return f"**no**: {one.share:.2f} of it" if one.bar.more else f"**no**: {one.share:.2f} times as much"


def _row(clients: dict[str, dict[str, Any]]) -> list[str]:
    everybody = {name: figures for name, figures in clients.items() if name != "busy before"}
    figures = list(dict.fromkeys(figure for told in everybody.values() for figure in told))
    lines = [f"| | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
    for name in sorted(everybody, key=lambda client: client != "ours"):
        cells = (_spread(everybody[name].get(figure)) for figure in figures)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _spread(told: dict[str, Any] | None) -> str:
    if told is None:
        return ""
    if told["low"] == told["high"]:
        return _number(told["median"])
    return f"{_number(told['median'])} ({_number(told['low'])} to {_number(told['high'])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
