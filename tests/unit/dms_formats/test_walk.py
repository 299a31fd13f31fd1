"""F2 and F3: who reads one chunk gets one chunk; who goes on along the chunks gets the next ones ahead."""

import pytest

from jupyter_alc.dms.formats.chunks import Chunks, Leaf, Walk

pytestmark = pytest.mark.unit

FRAME, READ, PAGE = 2 << 20, 128 << 10, 4096
FIRST = 10 * READ + 104  # chunks begin nowhere in particular


@pytest.fixture
def walk():
    """A handle of a file with sixteen frames behind each other."""
    chunks = Chunks()
    chunks.add([Leaf("page", [FIRST + number * FRAME for number in range(16)], [FRAME] * 16)])
    return Walk(chunks)


def kernel_reads(start, stop, step=READ):
    """The pages of `start`..`stop`, in pieces as large as the kernel asks for them."""
    place = start // PAGE * PAGE
    while place < stop:
        yield place, place + step
        place += step


@pytest.mark.parametrize("skipped", [0, 1, 3])
def test_one_frame_is_no_walk_though_the_kernel_reads_on_past_its_end(walk, skipped):
    """Pages that it has already, of the index for instance, it leaves out."""
    start = FIRST + 4 * FRAME
    *reads, last = kernel_reads(start, start + FRAME)
    assert not any(walk.note(*one) for one in reads)
    end = last[0] + skipped * PAGE
    assert not walk.note(end, end + READ)
    assert walk.whole() is None or walk.whole().start == start


def test_three_frames_are_a_walk_and_the_next_one_comes_ahead(walk):
    asked = []
    for read in kernel_reads(FIRST, FIRST + 3 * FRAME):
        if walk.note(*read):
            asked += walk.fill(64 << 20)[0]
    assert [one.start for one in asked][:1] in ([FIRST + 2 * FRAME], [FIRST + 3 * FRAME])


def test_frames_here_and_there_are_no_walk(walk):
    for number in (9, 3, 12, 0):
        start = FIRST + number * FRAME
        assert not any(walk.note(*read) for read in list(kernel_reads(start, start + FRAME))[:-1])
