"""The docs cannot fall behind: whatever a person can set, type, see or meet is named in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from jupyter_alc.cli import VERBS
from jupyter_alc.core import errors
from jupyter_alc.magics import dms
from jupyter_alc.magics.parsing import piezo_spoken, vmm_spoken
from jupyter_alc.server import metrics

pytestmark = pytest.mark.unit

TOP = Path(__file__).resolve().parents[3]
REFERENCE = (TOP / "docs/reference.md").read_text()


def sources(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((TOP / folder).rglob("*.py")))


def test_every_variable_that_is_read_is_in_the_reference():
    read = set(re.findall(r"ALC_[A-Z_]*[A-Z]", sources("jupyter_alc", "spawners", "hub_config", ".ci")))
    assert {name for name in read if f"`{name}`" not in REFERENCE} == set()


def test_every_variable_of_the_reference_is_read():
    told = set(re.findall(r"`(ALC_[A-Z_]+)`", REFERENCE))
    read = sources("jupyter_alc", "spawners", "hub_config", ".ci")
    named_ports = {"ALC_PORT", "ALC_PROXY_API_PORT", "ALC_HUB_PORT", "ALC_VMM_PORT"}
    assert {name for name in told - named_ports if name not in read} == set()


def test_every_error_code_is_in_the_reference_with_its_status():
    lines = REFERENCE.splitlines()
    for kind in errors.family():
        assert any(f"`{kind.code}`" in line and str(kind.http_status) in line for line in lines), kind.code


def test_every_verb_is_in_the_reference():
    for magic, spoken in {"%dms": dms.SPOKEN, "%piezo": piezo_spoken(), "%vmm": vmm_spoken()}.items():
        line = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{magic}`"))
        assert {verb for verb in spoken.verbs if f"`{verb}`" not in line} == set()
    line = next(line for line in REFERENCE.splitlines() if line.startswith("| `alc`"))
    assert {verb for verb in VERBS if f"`{verb}`" not in line} == set()


def test_every_trait_of_the_spawner_is_in_the_reference():
    found = re.findall(r"^    (\w+) = (?:Unicode|List|Bool|Float|Integer)\(", sources("spawners"), re.MULTILINE)
    kept = {"allocation", "machine_title"}
    assert {name for name in found if name not in kept and f".{name}`" not in REFERENCE} == set()


def test_every_metric_and_event_is_in_the_reference():
    from prometheus_client.metrics import MetricWrapperBase

    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            assert f"`{metric._name}" in REFERENCE, metric._name
    for schema in (TOP / "jupyter_alc/etc/events").glob("*.yaml"):
        assert yaml.safe_load(schema.read_text())["$id"] in REFERENCE


def test_every_metric_of_the_data_service_is_told_to_operators():
    from jupyter_alc.dms.daemon.metrics import metrics_text
    from jupyter_alc.dms.engine.cache import Counts
    from jupyter_alc.dms.engine.measures import Measures, OfAdapter

    text = metrics_text(Measures({"s3": OfAdapter()}, Counts(0, 0, 0, 0), 0, 0, 0), {})
    names = re.findall(r"^# TYPE jupyter_alc_dms_(\w+) (?:counter|gauge|histogram)$", text, re.MULTILINE)
    page = (TOP / "docs" / "operator.md").read_text()
    assert len(names) >= 10
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_every_page_that_a_page_names_is_there():
    for page in [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} names {target}"
