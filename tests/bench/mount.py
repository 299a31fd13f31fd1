"""Quick figures of the mount beside the same bytes in a plain local file; only the ratios mean something elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.quiet import calm
from bench.sitting import ada_in_lab

if TYPE_CHECKING:
    from pathlib import Path

READ = """
import json, os, pathlib, random, shutil, time
root = pathlib.Path.home() / "data/sans-examples"
def walk(top):
    return sorted(p for p in top.rglob("*") if p.is_file())
def whole(paths):
    began = time.perf_counter()
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(1 << 20):
                total += len(block)
    return total, time.perf_counter() - began
def scattered(path, count=%(count)d):
    file = os.open(path, os.O_RDONLY)
    places = [random.Random(7).randrange(0, os.fstat(file).st_size - 4096) for _ in range(count)]
    random.Random(8).shuffle(places)
    began = time.perf_counter()
    for place in places:
        os.pread(file, 4096, place)
    took = time.perf_counter() - began
    os.close(file)
    return count / took
began = time.perf_counter()
paths = walk(root)
names = time.perf_counter() - began
told = {"files": len(paths), "walk_seconds": names}
total, cold = whole(paths)
_, again = whole(paths)
copy = pathlib.Path.home() / "copy"
for path in paths:
    same = copy / path.relative_to(root)
    same.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, same)
local = walk(copy)
whole(local)
_, plain = whole(local)
biggest = max(paths, key=lambda p: p.stat().st_size)
same = copy / biggest.relative_to(root)
told |= {"bytes": total, "cold": total / cold / 2**20, "cached": total / again / 2**20, "plain": total / plain / 2**20}
told |= {"random": scattered(biggest), "random plain": scattered(same), "biggest": biggest.stat().st_size}
shutil.rmtree(copy)
print(json.dumps(told))
"""


def measure(_rounds: int, pictures: Path) -> dict[str, Any]:
    """Read the whole dataset cold and again, then 4 KiB here and there, one reader."""
    with ada_in_lab(pictures) as (_, person):
        left = calm()
        told = person.ask(READ % {"count": 20_000}, seconds=300)
    return {
        "files": told["files"],
        "bytes": told["bytes"],
        "all names, cold, seconds": round(told["walk_seconds"], 2),
        "whole dataset, MiB/s": {name: round(told[name], 1) for name in ("cold", "cached", "plain")},
        "random 4 KiB, 1/s": {"mount": round(told["random"]), "plain": round(told["random plain"])},
        "plain / cached mount": round(told["plain"] / told["cached"], 2),
        "plain / mount, random 4 KiB": round(told["random plain"] / told["random"], 2),
        "busy before": left,
    }
