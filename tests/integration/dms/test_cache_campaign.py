"""A fast part of `python -m campaign kills flips service`: rules R5 and R6 of docs/semantics/dms.md."""

from __future__ import annotations

import pytest

from campaign import cache, killed

pytestmark = pytest.mark.integration


def test_r5_after_a_kill_only_right_bytes_are_read_and_what_readers_got_is_still_here(tmp_path):
    figures = cache.kills(tmp_path, 12, seed=20)
    assert figures.right, str(figures)
    assert figures.kept_blocks > 0


def test_r5_each_flipped_bit_is_found_counted_and_fetched_again(tmp_path):
    figures = cache.flips(tmp_path, 10, seed=20)
    assert figures.right, str(figures)
    assert figures.dropped == figures.flipped > 0


@pytest.mark.root
@pytest.mark.fuse
def test_r5_a_data_service_killed_below_its_mount_loses_nothing_that_programs_were_given(tmp_path):
    figures = killed.service(tmp_path, 2, seed=20)
    assert figures.right, str(figures)
    assert figures.kept_blocks > 0
