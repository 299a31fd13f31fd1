"""What is said of names that are not there, and of a file that is listed: with the dataset, and what to do."""

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import FileNotThere, NotFolder
from jupyter_alc.testing.engines import running_engine

pytestmark = pytest.mark.unit
ABOVE = "List its folder to see what is."


@pytest.fixture
async def engine(tmp_path):
    """One dataset with a file, and one whose folder is not there."""
    (tmp_path / "archive/run").mkdir(parents=True)
    (tmp_path / "archive/run/f").write_bytes(b"abc")
    (tmp_path / "archive/g").write_bytes(b"abc")
    places = {"raw": tmp_path / "archive", "moved": tmp_path / "nowhere"}
    datasets = [
        MountedDataset(key, key.title(), "local", f"file://{place}", Access.READ) for key, place in places.items()
    ]
    async with running_engine(tmp_path / "volume", datasets) as running:
        yield running


@pytest.mark.parametrize("path", ["raw/x", "raw/run/x", "raw/x/y", "moved/x"])
async def test_what_is_not_there_is_told_by_its_whole_path(engine, path):
    for _ in range(2):  # as the archive says, then as it is known
        for ask in (engine.info, engine.ls, engine.open):
            with pytest.raises(FileNotThere) as told:
                await ask(path)
            assert (told.value.sentence, told.value.next_step) == (f"{path} is not there.", ABOVE)


async def test_a_dataset_whose_top_is_not_there_is_named(engine):
    for ask in (engine.ls, engine.ls, engine.refresh):
        with pytest.raises(FileNotThere) as told:
            await ask("moved")
        assert told.value.sentence == "moved itself is not in the archive."
        assert told.value.next_step == "Ask the facility's support whether it has moved."


@pytest.mark.parametrize(("path", "folder"), [("raw/run/f", "raw/run"), ("raw/g", "raw")])
async def test_who_lists_a_file_is_told_what_can_be_done_with_it(engine, path, folder):
    with pytest.raises(NotFolder) as told:
        await engine.ls(path)
    assert (told.value.sentence, told.value.next_step) == (
        f"{path} is a file.",
        f"Open it, or list {folder} to see it.",
    )


async def test_a_name_that_is_no_text_is_told_all_the_same(engine):
    with pytest.raises(FileNotThere) as told:
        await engine.ls("raw/na\udcffme")
    assert told.value.sentence == "raw/na\\udcffme is not there."
