"""The network of a machine: one veth pair, one address, and a way to the service address and to nothing else.

A machine has no default route and no route to any other machine. Should the host forward (we never switch that on), a
rule on the host still drops whatever comes in from a machine and is not for the host itself. Where ports are given,
policy rules inside the machine, which nothing in it may change, let only connections to these leave it; what answers
from the port of the machine's own server may leave too, but only to the ports the host calls out from: what listens on
the host in earnest, a login or a database, is not among them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import AlcError, Conflict, Missing, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

SERVER_PORT: Final = 8888
SERVICE_ADDRESSES: Final = tuple(f"10.{second}.0.1" for second in range(210, 220))
_TABLE: Final = "100"
_TCP: Final = "6"  # by number: a bare computer has no /etc/protocols
_RULE_PREFERENCE: Final = "20000"


@dataclass(frozen=True, slots=True)
class Link:
    """The names of one machine's network: its namespace, the host's end of the pair, its address."""

    namespace: str
    host_end: str
    address: str


def link_for(instance: str, key: str, address: str) -> Link:
    """Name the link of machine `key` of the instance at `instance`: interface names have 15 characters at most."""
    digest = hashlib.sha256(f"{instance}\0{key}".encode()).hexdigest()[:10]
    return Link(namespace=f"alc-{digest}", host_end=f"alc{digest}h", address=address)


def _ip(*words: str) -> str:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError as error:
        raise Missing("The program ip is not there.", next_step="Install it: apt-get install iproute2") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable("The kernel did not set up the network in time.", next_step="Try again.") from error
    if done.returncode:
        raise _refused(words, done.stderr)
    return done.stdout


def _refused(words: tuple[str, ...], said: str) -> AlcError:
    return Missing(
        f"The network of a machine could not be set up: ip {' '.join(words)}: {said.strip()[:200]}",
        next_step="Look whether the kernel has veth pairs, network namespaces and policy rules.",
    )


def _quietly(*words: str) -> None:
    try:
        _ip(*words)
    except (Missing, Unavailable):
        return  # already gone, which is what was wanted


def _sysctl(interface: str, name: str, value: str, family: str = "ipv4") -> None:
    path = Path("/proc/sys/net", family, "conf", interface, name)
    if path.exists():
        path.write_text(value)


def _calling_ports() -> str:
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return f"{first}-{last}"


def host_addresses() -> dict[str, str]:
    """Every IPv4 address of the host and its interface."""
    told: list[dict[str, Any]] = json.loads(_ip("-json", "-4", "address", "show") or "[]")
    return {one["local"]: link["ifname"] for link in told for one in link.get("addr_info", []) if "local" in one}


def add_service_address(wanted: str | None, ours: str | None) -> str:
    """Put a service address on `lo` and return it: `wanted`, else the one that was `ours` before, else the first free.

    Raises `Conflict` when another instance, or the host itself, has it (or has them all).
    """
    taken = host_addresses()
    for address in [wanted] if wanted else [*([ours] if ours else []), *SERVICE_ADDRESSES]:
        if address == ours and taken.get(address) == "lo":
            return address
        if address not in taken and not _network_in_use(address, taken):
            _ip("address", "add", f"{address}/32", "dev", "lo")
            return address
    raise Conflict(
        f"The service address {wanted or 'range 10.210.0.1 to 10.219.0.1'} is taken.",
        next_step="Stop the other instance, or set ALC_SERVICE_ADDRESS to a free private address.",
    )


def _network_in_use(address: str, taken: Iterable[str]) -> bool:
    network = IPv4Network(f"{address}/16", strict=False)
    return any(IPv4Address(one) in network for one in taken)


def remove_service_address(address: str) -> None:
    """Take `address` off `lo`; fine when it is not there."""
    _quietly("address", "del", f"{address}/32", "dev", "lo")


def free_address(service_address: str, used: Iterable[str]) -> str:
    """Return the first machine address of the service address's /16 that nobody uses: one per /30."""
    network = IPv4Network(f"{service_address}/16", strict=False)
    busy = set(used)
    for block in range(1, 1 << 14):
        address = str(network.network_address + block * 4 + 2)
        if address not in busy:
            return address
    raise Conflict("There is no free machine address.", next_step="End machines that are not needed.")


def connect(link: Link, service_address: str, ports: Iterable[int]) -> None:
    """Make the namespace and the pair of `link`; leaves nothing behind when it fails."""
    try:
        _connect(link, service_address, tuple(ports))
    except AlcError:
        disconnect(link)
        raise


def _connect(link: Link, service: str, ports: tuple[int, ...]) -> None:
    _ip("netns", "add", link.namespace)
    _ip("link", "add", link.host_end, "type", "veth", "peer", "name", "eth0", "netns", link.namespace)
    _sysctl(link.host_end, "disable_ipv6", "1", family="ipv6")
    _sysctl(link.host_end, "forwarding", "0")
    _sysctl(link.host_end, "rp_filter", "1")
    _ip("rule", "add", "iif", link.host_end, "preference", _RULE_PREFERENCE, "blackhole")
    _ip("link", "set", link.host_end, "up")
    _ip("route", "add", f"{link.address}/32", "dev", link.host_end, "src", service)
    inside = ("-netns", link.namespace)
    for name in ("lo", "eth0"):
        _ip(*inside, "link", "set", name, "up")
    _ip(*inside, "-6", "address", "flush", "dev", "eth0")
    _ip(*inside, "address", "add", f"{link.address}/32", "dev", "eth0")
    _ip(*inside, "route", "add", f"{service}/32", "dev", "eth0", "src", link.address, "table", _TABLE)
    if not ports:
        _ip(*inside, "rule", "add", "to", service, "lookup", _TABLE)
    for port in ports:
        _ip(*inside, "rule", "add", "to", service, "ipproto", _TCP, "dport", str(port), "lookup", _TABLE)
    if ports:
        answers = ("sport", str(SERVER_PORT), "dport", _calling_ports())
        _ip(*inside, "rule", "add", "to", service, "ipproto", _TCP, *answers, "lookup", _TABLE)


def disconnect(link: Link) -> None:
    """Remove what `connect` made; fine when it is not there."""
    _quietly("link", "del", link.host_end)
    _quietly("rule", "del", "iif", link.host_end, "preference", _RULE_PREFERENCE, "blackhole")
    if Path("/run/netns", link.namespace).exists():
        _quietly("netns", "del", link.namespace)
