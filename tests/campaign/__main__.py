"""Run campaigns and print their figures, one JSON object a line; ends with 1 if anything went wrong.

python -m campaign                          all of them, three beside each other: a quarter to half an hour
python -m campaign engine mount --seed 7    some of them; with --points fewer or more than they take by themselves
python -m campaign --to FILE --resume       FILE gets the figures; what stands there, right, is not run again
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign import away, cache, faults, killed, mounted

if TYPE_CHECKING:
    from collections.abc import Callable

_ALL: dict[str, tuple[Callable[[Path, int, int], object], int]] = {
    "away": (away.away, 600),
    "service": (killed.service, 300),
    "kills": (cache.kills, 300),
    "flips": (cache.flips, 300),
    "hung": (away.hung, 200),
    "engine": (faults.engine, 9_000),
    "mount": (mounted.mount, 1_500),
    "grep": (away.grep, 10_000),
}
"""Each with its points: seconds, kills, kills, rounds of flips, reads, faults, faults, files."""
_LANES = (("away",), ("service", "kills", "flips", "hung"), ("engine", "mount", "grep"))


def _known(file: Path | None, asked: dict[str, Any]) -> str | None:
    """The line that stands in `file` for what is `asked`, if it was right."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    fitting = [line for line in lines if asked.items() <= json.loads(line).items() and json.loads(line)["right"]]
    return fitting[-1] if fitting else None


def _run(name: str, points: int, seed: int) -> str:
    """One campaign, in a folder of its own; its figures as a line."""
    began = time.monotonic()
    told: dict[str, Any] = {"campaign": name, "size": points, "seed": seed}
    try:
        with tempfile.TemporaryDirectory(prefix="alc-c-") as place:
            told |= json.loads(str(_ALL[name][0](Path(place), points, seed)))
    except Exception:  # noqa: BLE001  (told, and the others are run all the same)
        traceback.print_exc()
        told |= {"right": False, "wrong": ["it broke off"]}
    return json.dumps(told | {"seconds": round(time.monotonic() - began, 1)})


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        prog="campaign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *_ALL], metavar="|".join(_ALL))
    parser.add_argument("--points", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args()
    if asked.to is not None and not asked.resume:
        asked.to.parent.mkdir(parents=True, exist_ok=True)
        asked.to.unlink(missing_ok=True)
    right = True
    if not asked.names:
        return _beside_each_other(sys.argv[1:] if asked.resume or asked.to is None else [*sys.argv[1:], "--resume"])
    for name in asked.names:
        points = asked.points or _ALL[name][1]
        known = _known(asked.to, {"campaign": name, "size": points, "seed": asked.seed})
        line = known or _run(name, points, asked.seed)
        print(line, flush=True)
        if asked.to is not None and known is None:
            with asked.to.open("a") as file:
                file.write(line + "\n")
        right = right and json.loads(line)["right"]
    return 0 if right else 1


def _beside_each_other(words: list[str]) -> int:
    """All of them: 1 if one ended otherwise than with 0."""
    lanes = [subprocess.Popen([sys.executable, "-P", "-m", "campaign", *names, *words]) for names in _LANES]
    ended = [one.wait() for one in lanes]
    return int(any(ended))


sys.exit(main())
