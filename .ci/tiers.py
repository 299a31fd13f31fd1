"""Run the test tiers, lightest first, within a budget, and close with a table.

TIERS=unit,contract       only these
TIERS=all                 all of them, the long tests too, whatever the time
ALC_TEST_BUDGET=55        minutes for all tiers together
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from xml.etree import ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
HOST = TOP / "build/env/host/bin"
REPORTS = TOP / "build/test"
MARKS = (
    "unit",
    "contract",
    "integration",
    "ceph",
    "hub",
    "spark",
    "browser",
)  # lightest first; a test belongs to its heaviest mark
EXPECTED_SECONDS = {  # on two cores that others use as well
    "front end": 60,
    "unit": 180,
    "contract": 240,
    "integration": 900,
    "ceph": 180,
    "hub": 400,
    "spark": 600,
    "browser": 300,
}


@dataclass
class Outcome:
    tier: str
    word: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: tuple[str, ...] = ()


def pytest_command(tier: str, report: pathlib.Path) -> list[str]:
    heavier = MARKS[MARKS.index(tier) + 1 :]
    without = heavier if os.environ.get("TIERS") == "all" else (*heavier, "long")
    chosen = " and ".join([tier, *(f"not {mark}" for mark in without)])
    return [str(HOST / "python"), "-m", "pytest", "-q", "-m", chosen, f"--junitxml={report}", "-p", "no:cacheprovider"]


def reasons(report: pathlib.Path) -> tuple[str, ...]:
    """Why tests were skipped, each reason once."""
    told = (one.get("message", "") for one in ElementTree.parse(report).getroot().iter("skipped"))
    return tuple(dict.fromkeys(reason for reason in told if reason))


def counts(report: pathlib.Path) -> tuple[int, int, int]:
    """Passed, failed, skipped, as the report says."""
    passed = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        out = int(suite.get("skipped", 0))
        passed, failed, skipped = passed + int(suite.get("tests", 0)) - bad - out, failed + bad, skipped + out
    return passed, failed, skipped


def run_tier(tier: str) -> Outcome:
    print(f"\n== {tier} ==", flush=True)
    started = time.monotonic()
    environment = os.environ | {"PATH": f"{HOST}:{os.environ['PATH']}"}
    if tier == "front end":
        code = subprocess.run(
            [str(HOST / "npm"), "--prefix", "labextension", "run", "--silent", "test"],
            cwd=TOP,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
        return Outcome(
            tier,
            "ran" if code == 0 else "FAILED",
            time.monotonic() - started,
            failed=int(code != 0),
            passed=int(code == 0),
        )
    report = REPORTS / f"{tier}.xml"
    report.unlink(missing_ok=True)
    code = subprocess.run(
        pytest_command(tier, report), cwd=TOP, env=environment, stdin=subprocess.DEVNULL, check=False
    ).returncode
    passed, failed, skipped = counts(report) if report.exists() else (0, 1, 0)
    seconds = time.monotonic() - started
    if code == 5 or (code == 0 and passed == 0 and skipped == 0):
        return Outcome(tier, "FAILED: no test found", seconds, failed=1)
    if code:
        return Outcome(tier, "FAILED", seconds, passed, max(failed, 1), skipped)
    why = reasons(report)
    return Outcome(tier, "ran" if passed else "skipped", seconds, passed, failed, skipped, why)


def move_in(scratch: pathlib.Path) -> None:
    """Give the tests a home of their own: they read no settings of this account's, and all they leave goes with it."""
    home = pathlib.Path.home()
    cache = os.environ.get("ALC_CACHE") or f"{os.environ.get('XDG_CACHE_HOME') or home / '.cache'}/jupyter-alc"
    for name in list(os.environ):
        if name.startswith(("XDG_", "JUPYTER", "IPYTHON", "ALC_")) and name != "ALC_TEST_BUDGET":
            del os.environ[name]
    (scratch / "home").mkdir(mode=0o700)
    os.environ |= {"HOME": str(scratch / "home"), "TMPDIR": str(scratch), "ALC_CACHE": cache}


def run_tiers(chosen: list[str], budget: float) -> list[Outcome]:
    """Run one after the other what still fits into `budget` seconds."""
    started = time.monotonic()
    outcomes = []
    for tier in chosen:
        left = budget - (time.monotonic() - started)
        if left < EXPECTED_SECONDS[tier]:
            outcomes.append(
                Outcome(tier, f"left out: about {EXPECTED_SECONDS[tier]} s, {left:.0f} s of the budget left")
            )
            continue
        outcomes.append(run_tier(tier))
    return outcomes


def main() -> int:
    os.chdir(TOP)
    REPORTS.mkdir(parents=True, exist_ok=True)
    every = ["front end", *MARKS]
    wish = os.environ.get("TIERS", "")
    chosen = every if wish in {"", "all"} else [w.strip() for w in wish.split(",")]
    unknown = set(chosen) - set(every)
    if unknown:
        sys.exit(f"No such tier: {', '.join(sorted(unknown))}. There are {', '.join(every)}, and all.")
    with tempfile.TemporaryDirectory(prefix="alc-test-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        pathlib.Path(scratch).chmod(0o711)  # some tests let another uid into a folder of theirs
        move_in(pathlib.Path(scratch))
        outcomes = run_tiers(chosen, float("inf") if wish else 60 * float(os.environ.get("ALC_TEST_BUDGET", "55")))
    print(f"\n{'tier':<12} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}  outcome")
    for o in outcomes:
        print(f"{o.tier:<12} {o.passed:>7} {o.failed:>7} {o.skipped:>8} {o.seconds:>8.0f}  {o.word}")
        for reason in o.reasons:
            print(f"{'':<12} skipped: {reason}")
    passed, failed, skipped = (sum(getattr(o, word) for o in outcomes) for word in ("passed", "failed", "skipped"))
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if wish != "all":
        print("Whole suites of others, and what else takes minutes, run with TIERS=all.")
    return 1 if any(o.failed for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
