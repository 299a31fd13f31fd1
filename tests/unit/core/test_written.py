"""Files that people write: whatever is wrong with one is told with the file, the line and what to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import BadFile, BadInput
from jupyter_alc.core.names import can_be_shown, one_line
from jupyter_alc.core.written import LARGEST, as_yaml
from jupyter_alc.dms.catalogue import Catalogue, read_credentials
from jupyter_alc.vmm.types import read_machine_types

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

KINDS = {
    "catalogue": (
        Catalogue.from_file,
        b"datasets:\n  - id: one\n    title: One\n    adapter: webdav\n    url: http://h/x\n",
    ),
    "machine types": (
        read_machine_types,
        b"- id: small\n  title: General\n  cores: 2\n  memory_bytes: 3 GB\n  environment: spark\n",
    ),
    "credentials": (read_credentials, b"archive:\n  ada:\n    username: ada\n    password: oyster\n"),
}

# what is done to a good file of five lines or four; the line that is named; words of the sentence; words of the cure
MISTAKES = {
    "a tab": (lambda good: good.replace(b"\n  ", b"\n\t", 1), 2, "a tab", "blanks"),
    "an indentation": (lambda good: good.replace(b"\n  ", b"\n     ", 1), None, "indentation", "first letter"),
    "a quote left open": (lambda good: good.replace(b": ", b': "', 1), None, "never closed", "Close it"),
    "a bracket left open": (lambda good: good.replace(b": ", b": [", 1), None, "never closed", "Close it"),
    "a star": (lambda good: b"*" + good, 1, "star", "quotes"),
    "two documents": (lambda good: good + b"---\n" + good, None, "second document", "---"),
    "nothing": (lambda good: b"", 1, "empty", ""),
    "a comment alone": (lambda good: b"# later\n", 1, "empty", ""),
    "another encoding": (lambda good: good + "# é\n".encode("latin-1"), None, "UTF-8", "UTF-8"),
    "bytes that are no text": (lambda good: b"\0" + good, 1, "not text", "Remove"),
    "brackets without end": (lambda good: b"[" * 100_000, 1, "nested", "list"),
    "a program's object": (lambda good: b"!!python/object/apply:os.system [id]\n", 1, "", ""),
    "a far too large file": (lambda good: good + b"#" * LARGEST, None, "larger", "right one"),
    "one line twice": (lambda good: good + good.splitlines(keepends=True)[-1], None, "twice", "Remove"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "written.yaml"


def told(read, path: Path) -> BadFile:
    with pytest.raises(BadFile) as caught:
        read(path)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_alike_in_every_kind_of_file(path, kind, mistake):
    read, good = KINDS[kind]
    spoil, line, words, cure = MISTAKES[mistake]
    path.write_bytes(spoil(good))
    path.chmod(0o600)
    error = told(read, path)
    assert str(path) in error.sentence
    assert line is None or f"line {line}:" in error.sentence, error.line
    assert line is not None or mistake == "a far too large file" or ", line " in error.sentence
    assert words in error.sentence
    assert error.next_step
    assert cure in error.next_step
    assert len(error.line.splitlines()) == 1
    assert len(error.line) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_there_or_a_folder_is_told_with_the_reason(path, kind):
    read, _ = KINDS[kind]
    assert "No such file" in told(read, path).sentence
    path.mkdir()
    assert "Is a directory" in told(read, path).sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_is_read_also_with_the_mark_that_some_editors_put_in_front(path, kind):
    read, good = KINDS[kind]
    path.write_bytes(b"\xef\xbb\xbf" + good)
    path.chmod(0o600)
    assert read(path)


@pytest.mark.parametrize("kind", ["catalogue", "machine types"])
@pytest.mark.parametrize("title", ["\x1b[31mred", "\u202etxet", "a\x07", "\x7f"])
def test_a_title_that_would_move_a_cursor_or_turn_text_around_is_refused_with_its_line(path, kind, title):
    read, good = KINDS[kind]
    line = b"title: One" if b"title: One" in good else b"title: General"
    path.write_bytes(good.replace(line, b'title: "' + "".join(f"\\U{ord(one):08x}" for one in title).encode() + b'"'))
    error = told(read, path)
    assert f"line {good[: good.index(line)].count(10) + 1}: title holds a character" in error.sentence
    assert "one line of plain text" in error.next_step


@pytest.mark.parametrize(
    "title", ["<img src=x onerror=alert(1)>", "{{7*7}}", "מדידות ناتج", "👩\u200d🔬 emoji", "5 °C\u00a0µ", "x" * 300]
)
def test_any_other_title_is_kept_as_it_is(path, title):
    path.write_text(as_yaml({"datasets": [{"id": "one", "title": title, "adapter": "webdav", "url": "http://h"}]}))
    assert Catalogue.from_file(path).all()[0].title == title
    assert one_line(title, "title") == title


def test_a_title_that_no_card_could_hold_is_refused_with_its_line(path):
    read, good = KINDS["catalogue"]
    path.write_bytes(good.replace(b"title: One", b"title: " + b"x" * 301))
    error = told(read, path)
    assert "line 3: title is longer than 300 characters." in error.sentence
    assert error.next_step == "Shorten the title."


def test_a_title_over_several_lines_of_the_file_is_shown_as_one(path):
    read, good = KINDS["catalogue"]
    path.write_bytes(good.replace(b"title: One", b"title: >\n      One\n      and more"))
    assert read(path).all()[0].title == "One and more"


def test_a_catalogue_that_is_written_is_read_back_the_same(path):
    path.write_text(
        'datasets:\n  - {id: a, title: "Ä: b", adapter: webdav, url: "http://h/{user}", where: W, writers: ["*"], '
        "size_bytes: 7, published: true, labels: {t: u}, credentials: c}\n"
    )
    first = Catalogue.from_file(path).all()
    path.write_text(as_yaml({"datasets": [one.as_written() for one in first]}))
    assert Catalogue.from_file(path).all() == first


def test_what_cannot_be_shown_is_named_by_its_number():
    with pytest.raises(BadInput, match=r"U\+001B"):
        one_line("a\x1bb", "title")
    assert not any(map(can_be_shown, "\n\r\t\x00\x9b\u2028\u202e\u2066\ud800"))
