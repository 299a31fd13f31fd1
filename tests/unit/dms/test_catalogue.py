from __future__ import annotations

import pytest

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import BadFile, NotFound
from jupyter_alc.dms.catalogue import Catalogue, url_part

pytestmark = pytest.mark.unit

GOOD = """\
datasets:
  - id: sans-examples
    title: "Scattering <b>examples</b>"
    adapter: webdav
    url: http://host/sans-examples
    where: ISIS
    size_bytes: 37_000_000
    published: true
    labels: {technique: SANS}
  - id: results
    title: Results
    adapter: webdav
    url: http://host/results/{user}
    readers: []
    writers: ["*"]
    credentials: archive
  - id: secret
    title: Only brahe's
    adapter: local
    url: /data
    readers: [brahe]
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="catalogue.yaml"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
        return tmp_path / name

    return write


def test_tells_each_person_their_own_datasets(write):
    catalogue = Catalogue.from_file(write(GOOD))
    assert [one.id for one in catalogue.for_user("ada")] == ["sans-examples", "results"]
    assert [one.id for one in catalogue.for_user("brahe")] == ["sans-examples", "results", "secret"]
    sans = catalogue.all()[0]
    assert (sans.title, sans.size_bytes, sans.published) == ("Scattering <b>examples</b>", 37_000_000, True)


def test_a_mounted_dataset_has_the_persons_address_and_only_their_credentials(write):
    keys = write(
        "archive:\n  ada: {username: ada, password: 'oyster'}\n  brahe: {username: brahe, password: 'two'}\n", "keys"
    )
    results, sans = Catalogue.from_file(write(GOOD)).mounted_for("ada", ["results", "sans-examples"], keys)
    assert (results.url, results.access) == ("http://host/results/ada", Access.WRITE)
    assert results.credentials == {"username": "ada", "password": "oyster"}
    assert sans.credentials == {}
    assert sans.access is Access.READ
    assert "oyster" not in repr(results)


def test_another_persons_dataset_and_an_unknown_one_are_told_alike(write):
    catalogue = Catalogue.from_file(write(GOOD))
    told = []
    for key in ("secret", "absent"):
        with pytest.raises(NotFound) as caught:
            catalogue.mounted_for("ada", [key])
        told.append(caught.value.sentence.replace(key, "…"))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("text", "line", "write_this"),
    [
        ("", 1, "datasets"),
        ("- a\n", 1, "datasets"),
        ("datasets: 3\n", 1, "- id"),
        ("datasets: []\nother: 1\n", 2, "datasets"),
        (GOOD.replace("url: http://host/sans-examples", "url: [x"), 5, "Close it"),
        (GOOD.replace("    where: ISIS", "    were: ISIS"), 6, "where"),
        (GOOD.replace("37_000_000", "much"), 7, "size_bytes: 37000000"),
        (GOOD.replace("37_000_000", "-1"), 7, "size_bytes: 37000000"),
        (GOOD.replace("published: true", "published: yes"), 8, "published: true"),
        (GOOD.replace("readers: [brahe]", "readers: brahe"), 21, "[ada, brahe]"),
        (GOOD.replace("id: secret", "id: results"), 17, "id of its own"),
        (GOOD.replace("id: secret", "id: Not An Id"), 17, "lower-case"),
        (GOOD.replace("adapter: local", "adapter: ftp"), 19, "webdav"),
        (GOOD.replace("    title: Results\n", ""), 10, "title"),
        (GOOD.replace("title: Results", "title: 5"), 11, "quotes"),
        (GOOD.replace("    title: Results\n", "    title: Results\n    title: Twice\n"), 12, "Remove one"),
        ("datasets: \x00", 1, "Remove it"),
    ],
)
def test_every_mistake_is_told_with_file_line_and_what_to_write(write, text, line, write_this):
    path = write(text)
    with pytest.raises(BadFile) as caught:
        Catalogue.from_file(path)
    assert str(path) in caught.value.sentence
    if line is not None:
        assert f"line {line}:" in caught.value.sentence
    assert write_this in caught.value.next_step


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadFile, match="absent"):
        Catalogue.from_file(tmp_path / "absent.yaml")


def test_credentials_that_others_can_read_are_refused(write):
    keys = write("archive: {}\n", "keys")
    keys.chmod(0o644)
    with pytest.raises(BadFile, match="others can read") as caught:
        Catalogue.from_file(write(GOOD)).mounted_for("ada", ["results"], keys)
    assert "chmod 600" in caught.value.next_step


@pytest.mark.parametrize("user", ["../brahe", "a/b", "", "ada?x", "adá", "..", "a b"])
def test_a_users_name_never_leaves_its_place_in_an_address(user):
    assert not set(url_part(user)) & set("/?# .%")
    assert url_part(user) != url_part("brahe")


def test_a_plain_name_is_itself_in_an_address():
    assert url_part("ada") == "ada"


@pytest.mark.parametrize("name", ["a.b", "ada/..", "Ada Byron"])
def test_nobody_can_be_called_like_anothers_part_of_an_address(name):
    taken = url_part(name)
    assert url_part(taken) != taken
    assert url_part("Ada") == "Ada"
