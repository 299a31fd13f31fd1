"""A warm parent belongs to nobody: nothing that it read from its own home may reach a person's server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

LOOK = """
import json, os, sys
os.environ["HOME"] = "/old-home"
from jupyter_alc.vmm.agent import warm
warm.warm_up()
os.environ["HOME"] = "/home/ada"
arguments = warm.home_arguments()
import traitlets
def all_kinds(kind):
    yield kind
    for below in kind.__subclasses__():
        yield from all_kinds(below)
old = sorted(
    f"{trait.this_class.__name__}.{name}"
    for kind in set(all_kinds(traitlets.HasTraits))
    for name, trait in kind.class_traits().items()
    if "/old-home" in repr(trait.default_value)
)
names = [
    f"{name}.{key}"
    for name, module in list(sys.modules.items()) if module is not None and name not in ("os", "sys", "sysconfig")
    for key, value in list(vars(module).items())
    if isinstance(value, (str, list, tuple, dict)) and key != "environ" and not key.startswith("__")
    and "/old-home" in repr(value)
]
print(json.dumps({"arguments": arguments, "traits": sorted(set(old)), "names": names}))
"""


def test_everything_read_from_the_home_at_import_is_said_anew_for_the_person():
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=120, check=True)
    told = json.loads(said.stdout.splitlines()[-1])
    assert all("/home/ada/" in argument for argument in told["arguments"])
    answered = {argument.partition("=")[0].removeprefix("--") for argument in told["arguments"]}
    assert set(told["traits"]) <= answered
    assert told["names"] == []
