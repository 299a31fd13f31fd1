"""Bytes that moved, by the archive's own log, while the whole day is lived once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.running import instance
from day.browser import browser
from day.report import Report, require
from day.steps import Day

if TYPE_CHECKING:
    from pathlib import Path

WANTED = {
    "listing_bytes": "listing",
    "proof_bytes": "proof of the mount",
    "frame_bytes_needed": "frame, stored bytes of its chunks",
    "frame_bytes_moved": "frame, moved",
    "bytes_moved": "whole notebook, moved",
    "dataset_bytes": "dataset",
    "notebook_seconds": "notebook, seconds",
    "click_to_lab_seconds": "second spawn, seconds",
}


def measure(_rounds: int, pictures: Path) -> dict[str, Any]:
    """Live the day and keep its figures."""
    report = Report(pictures / "day.json", lambda line: None)
    with instance() as system, browser() as chromium:
        Day(system, report, chromium, pictures).run()
    require(report.ok, "the day was not as promised")
    seen: dict[str, Any] = {}
    for step in report.steps:
        seen |= step.figures
    return {words: seen[name] for name, words in WANTED.items()}
