"""Parts that are found by name, those of other packages too."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadFile, BadInput, Missing
from jupyter_alc.core.plugins import SHIPPED, plugin, plugin_names
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.dms.catalogue import Catalogue
from jupyter_alc.piezo.clusters import Clusters
from jupyter_alc.piezo.frameworks import framework_named
from jupyter_alc.vmm.clouds.door import open_cloud

pytestmark = pytest.mark.unit

GROUPS = ["jupyter_alc.adapters", "jupyter_alc.clouds", "jupyter_alc.backends", "jupyter_alc.frameworks"]
CATALOGUE = """\
datasets:
  - id: tape
    title: Tape
    adapter: {adapter}
    url: tape://one
    readers: ["*"]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, installed: a module and its metadata."""
    info = tmp_path / "others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    lines = [
        f"[{group}]\ntape = others_tape:Tape\nlost = others_tape:Nothing\nlocal = others_tape:Tape" for group in GROUPS
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "others_tape.py").write_text(
        dedent("""\
        class Tape:
            def __init__(self, *given, **more):
                self.given = given
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "others_tape", raising=False)


@pytest.mark.parametrize("group", GROUPS)
def test_what_we_ship_is_found_by_the_names_of_our_metadata(group: str) -> None:
    told = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())
    assert dict(told["project"]["entry-points"][group]).items() <= SHIPPED[group].items()
    for name in SHIPPED[group]:
        assert plugin(group, name).__name__


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("group", GROUPS)
def test_a_part_of_another_package_is_found_and_takes_no_name_of_ours(group: str) -> None:
    assert {"tape", "lost", "local"} <= set(plugin_names(group))
    assert plugin(group, "tape").__name__ == "Tape"
    assert (plugin(group, "local").__name__ == "Tape") is ("local" not in SHIPPED[group])
    with pytest.raises(Missing):
        plugin(group, "lost")


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_name_is_told_with_those_there_are(group: str) -> None:
    with pytest.raises(BadInput) as told:
        plugin(group, "nothing")
    assert "'nothing'" in told.value.sentence
    assert all(name in told.value.next_step for name in SHIPPED[group])


@pytest.mark.usefixtures("package")
def test_an_adapter_of_another_package_may_stand_in_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(CATALOGUE.format(adapter="tape"))
    (mounted,) = Catalogue.from_file(file).mounted_for("ada", ["tape"])
    assert open_adapter(mounted).given == ("tape://one", {})


def test_an_unknown_adapter_is_told_with_its_line_and_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(CATALOGUE.format(adapter="drum"))
    with pytest.raises(BadFile, match=r"catalogue.yaml, line 4: .*'drum'") as told:
        Catalogue.from_file(file)
    assert "fsspec, http, local" in told.value.next_step
    with pytest.raises(BadInput, match="drum"):
        open_adapter(MountedDataset("d", "D", "drum", "x", Access.READ))


@pytest.mark.usefixtures("package")
async def test_backend_framework_and_cloud_are_found_by_name(tmp_path: Path) -> None:
    assert framework_named("tape").given == (None,)
    open_cloud(tmp_path, "tape")
    with pytest.raises(BadInput, match="cloud"):
        open_cloud(tmp_path, "heaven")
    with pytest.raises(BadInput, match="backend") as told:
        await Clusters(environment={"ALC_PIEZO_BACKEND": "abacus", "HOME": str(tmp_path)}).list()
    assert "standalone" in told.value.next_step
