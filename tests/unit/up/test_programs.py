"""What `alc up` does with the logs of its programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.cli.instance.programs import keep_short

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_a_log_that_grew_large_begins_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"before\n" * 100)
        keep_short(log, most_bytes=1000)
        assert not (tmp_path / "hub.log.1").exists()
        writer.write(b"before\n" * 100)
        keep_short(log, most_bytes=1000)
        writer.write(b"after\n")
    assert log.read_text() == "after\n"
    assert (tmp_path / "hub.log.1").read_text() == "before\n" * 200
    keep_short(tmp_path / "none.log", most_bytes=1)
