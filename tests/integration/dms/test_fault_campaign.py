"""A fast part of `python -m campaign engine mount`: rules R1, R4, R7 and N3 of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio

import pytest

from campaign import faults, mounted
from campaign.archives import OnS3, archive, lacking

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["plain", "tail", "wsgidav", "http"])
def test_faults_between_archive_and_engine_give_no_wrong_answer(name, tmp_path):
    if why := lacking(name):
        pytest.skip(why)
    figures = faults.engine(tmp_path, 200, seed=7, names=[name])
    assert figures.right, str(figures)
    assert figures.faults >= 200


@pytest.mark.ceph
def test_faults_between_ceph_and_engine_give_no_wrong_answer(ceph, tmp_path):
    figures = faults.Figures()
    asyncio.run(faults.Campaign(tmp_path, OnS3(ceph), 7, figures).run(200))
    assert figures.right, str(figures)


@pytest.mark.root
@pytest.mark.fuse
def test_faults_below_a_mount_give_no_wrong_answer_and_no_loop_waits(tmp_path):
    if why := lacking("tail"):
        pytest.skip(why)
    figures = faults.Figures()
    with archive("tail", tmp_path / "lab") as one:
        mounted.Rounds(tmp_path, one, 7, figures).run(40, questions=90)
    assert figures.right, str(figures)
    assert figures.turns["mount"]["turns"] > 100
