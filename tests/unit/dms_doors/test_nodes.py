"""Which inode stands for which path and version."""

import pytest

from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.fuse.nodes import MOST_IDLE, ROOT, Nodes

pytestmark = pytest.mark.unit


def file(name="f", token="1", size=10):
    return Entry(name, "file", size, 0.0, token)


def folder(name="d", token="1"):
    return Entry(name, "directory", 0, 0.0, token)


@pytest.fixture
def nodes():
    return Nodes()


def test_the_same_version_is_the_same_inode(nodes):
    """Pages stay valid."""
    assert nodes.see("ds/f", file()) is nodes.see("ds/f", file())


def test_another_version_is_another_inode(nodes):
    """The old one is parted from its path, and lives while the kernel or a handle refers to it."""
    old = nodes.see("ds/f", file())
    old.lookups = 1
    new = nodes.see("ds/f", file(token="2"))
    assert new.ino != old.ino
    assert old.gone
    assert nodes.get(old.ino) is old
    assert nodes.at("ds/f") is new
    nodes.forget(old.ino, 1)
    assert nodes.get(old.ino) is None


def test_a_file_written_here_keeps_its_inode_until_it_is_settled(nodes):
    """Its token moves on with each write and once more when the archive has it; then the next version is another's."""
    node = nodes.see("ds/f", file())
    node.wrote = True
    node.writers = 1
    assert nodes.see("ds/f", file(token="2"), settled=True) is node
    assert node.wrote
    node.writers = 0
    assert nodes.see("ds/f", file(token="3"), settled=False) is node
    assert node.wrote
    assert nodes.see("ds/f", file(token="4"), settled=True) is node
    assert not node.wrote
    assert nodes.see("ds/f", file(token="5")) is not node


def test_a_folder_keeps_its_inode_whatever_its_token(nodes):
    """Programs stand in folders."""
    assert nodes.see("ds/d", folder()) is nodes.see("ds/d", folder(token="2"))


def test_a_folder_in_place_of_a_file_is_another_inode(nodes):
    """Kinds never change under an inode."""
    assert nodes.see("ds/x", file("x")).ino != nodes.see("ds/x", folder("x")).ino


def test_a_rename_carries_everything_below_and_parts_what_was_there(nodes):
    """Open handles of the replaced file live on."""
    nodes.see("ds/a", folder("a"))
    inside = nodes.see("ds/a/f", file())
    beside = nodes.see("ds/ab", file("ab"))
    replaced = nodes.see("ds/b", folder("b"))
    replaced.handles = 1
    nodes.move("ds/a", "ds/b")
    assert inside.path == "ds/b/f"
    assert nodes.at("ds/b/f") is inside
    assert nodes.at("ds/a/f") is None
    assert replaced.gone
    assert nodes.at("ds/ab") is beside


def test_a_node_nobody_refers_to_is_dropped_and_its_number_is_not_used_again(nodes):
    """A late question about an old number cannot meet a new file."""
    first = nodes.see("ds/f", file())
    nodes.tidy(first)
    assert len(nodes) == 1
    assert nodes.see("ds/f", file()).ino > first.ino


def test_a_held_file_outlives_forgetting(nodes):
    """The kernel may forget a name while a handle is open."""
    node = nodes.see("ds/f", file())
    node.lookups, node.handles = 2, 1
    nodes.forget(node.ino, 2)
    assert nodes.get(node.ino) is node
    node.handles = 0
    nodes.tidy(node)
    assert nodes.get(node.ino) is None


def test_the_top_stays(nodes):
    """Nothing takes the root away."""
    nodes.forget(ROOT, 5)
    assert nodes.get(ROOT) is nodes.at("")


def numbered(number, name="f", token="1"):
    return Entry(name, "file", 10, 0.0, token, number=number)


def test_n13_a_name_the_engine_has_a_number_for_costs_no_node_when_it_is_listed(nodes):
    """Whoever uses it gets one, and again the same inode."""
    assert nodes.told("ds/f", numbered(70)) is None
    assert not nodes.any_in("ds")
    node = nodes.recall(70, "ds/f", numbered(70))
    assert nodes.any_in("ds")
    assert nodes.see("ds/f", numbered(70)) is node
    assert node.ino == 70
    nodes.forget(70, 1)
    assert len(nodes) == 1
    assert nodes.see("ds/f", numbered(70)).ino == 70


def test_n13_a_number_of_an_older_version_is_recalled_no_more(nodes):
    """The kernel looks the name up again."""
    nodes.see("ds/f", numbered(71, token="2"))
    assert nodes.recall(70, "ds/f", numbered(70)) is None


def test_n13_nodes_that_nobody_uses_make_room_and_those_in_use_stay(nodes):
    """A million names that are looked up one by one hold no memory."""
    held = nodes.see("ds/held", numbered(2, "held"))
    held.handles = 1
    wrote = nodes.see("ds/wrote", numbered(3, "wrote"))
    wrote.wrote = True
    own = nodes.see("ds/own", file("own"))
    own.lookups = 1
    for number in range(MOST_IDLE + 1000):
        nodes.see(f"ds/f{number}", numbered(1000 + number, f"f{number}"))
    assert len(nodes) <= MOST_IDLE + 1
    assert [nodes.at(f"ds/{name}") for name in ("held", "wrote", "own")] == [held, wrote, own]
    assert nodes.get(1000) is None
    assert nodes.keep(nodes.see("ds/f0", numbered(1000, "f0"))) is nodes.get(1000)
