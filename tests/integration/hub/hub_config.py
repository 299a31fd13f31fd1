"""The shipped configuration, with the small VMM of these tests in VMM's place."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(os.environ["CHECKOUT"])
load_subconfig(str(CHECKOUT / "hub_config/jupyterhub_config.py"))  # noqa: F821
c = get_config()  # noqa: F821
c.JupyterHub.services[0]["command"] = [
    sys.executable,
    str(CHECKOUT / "tests/integration/hub/stand_in.py"),
]
c.JupyterHub.services[0]["environment"]["STAND_IN_PAUSE"] = os.environ.get("STAND_IN_PAUSE", "0.3")
c.VmmSpawner.poll_interval = 2
c.JupyterHub.allow_named_servers = True  # the spawner and its pages serve them
