"""The lab's network: a bridge in a namespace of its own, and a namespace for each host with one cable to it.

Addresses and routes exist in these namespaces only; there is no way out to the outer machine or beyond.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal

from lab.places import NAMESPACES, Address, Places, read_host
from lab.process import LabError, outcome, run

Direction = Literal["both", "in", "out"]
# A locally administered address that no host has: frames to it reach nobody.
_NOBODY = "02:00:00:00:00:01"
_CABLE = "host0"


def plan(hosts: Iterable[str]) -> list[Address]:
    """An address for each host, in order; a host is written `web1` or `web1:13`.  Raises `LabError`."""
    return [
        Address(name, f"10.77.0.{number}", f"port{number}", release)
        for number, (name, release) in enumerate(map(read_host, hosts), start=11)
    ]


def build(places: Places, hosts: list[Address]) -> None:
    """Make the namespaces, the bridge and the cables."""
    _add(places.switch)
    _ip(places.switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
    _ip(places.switch, "link", "set", "bridge", "up")
    for host in hosts:
        own = places.machine(host.host)
        _add(own)
        _ip(places.switch, "link", "add", host.port, "type", "veth", "peer", "name", _CABLE, "netns", own)
        _ip(places.switch, "link", "set", host.port, "master", "bridge", "up")
        _ip(own, "link", "set", "lo", "up")
        _ip(own, "address", "add", f"{host.ip}/24", "dev", _CABLE)
        _ip(own, "link", "set", _CABLE, "up")


def remove(places: Places) -> None:
    """Delete every namespace of the lab, also of one that was built halfway."""
    if NAMESPACES.is_dir():
        for path in NAMESPACES.iterdir():
            if path.name == places.switch or path.name.startswith(f"{places.switch}."):
                run(["ip", "netns", "delete", path.name])


def cut(places: Places, host: Address, direction: Direction) -> None:
    """Pull the host's cable, or lose silently what goes `in` to it or `out` of it."""
    if direction == "both":
        _ip(places.switch, "link", "set", host.port, "down")
    for namespace, target in _one_way(places, host, direction):
        _ip(namespace, "neighbour", "replace", target, "lladdr", _NOBODY, "nud", "permanent", "dev", _CABLE)


def heal(places: Places, host: Address) -> None:
    """Undo every `cut` of the host; return when its cable carries again."""
    _ip(places.switch, "link", "set", host.port, "up")
    deadline = time.monotonic() + 5
    # The kernel tells both ends of a cable about it up to a second late, and drops what is sent until then.
    while not (_carries(places.machine(host.host), _CABLE) and _carries(places.switch, host.port)):
        if time.monotonic() > deadline:
            raise LabError(f"the cable of {host.host} does not come up")
        time.sleep(0.02)
    # Both what a one-way cut put there and the vain question that a host may still be asking about another.
    for namespace, target in [*_one_way(places, host, "in"), *_one_way(places, host, "out")]:
        _ip(namespace, "neighbour", "flush", "to", target, "dev", _CABLE, "nud", "all")


def is_cut(places: Places, host: Address) -> bool:
    """Whether the host's cable is pulled, or everything is lost that goes in, or out."""

    def lost(direction: Direction) -> bool:
        ways = _one_way(places, host, direction)
        return bool(ways) and all(_NOBODY in _ip(namespace, "neighbour", "show", target) for namespace, target in ways)

    return lost("in") or lost("out") or not _carries(places.switch, host.port)


def _carries(namespace: str, link: str) -> bool:
    said = _ip(namespace, "-details", "link", "show", "dev", link)
    # A port of the bridge has a state of its own.
    return "state UP" in said and ("bridge_slave" not in said or "state forwarding" in said)


def _one_way(places: Places, host: Address, direction: Direction) -> list[tuple[str, str]]:
    """(namespace that sends, address it sends to) for each other host."""
    others = [other for other in places.hosts().values() if other != host]
    if direction == "in":
        return [(places.machine(other.host), host.ip) for other in others]
    if direction == "out":
        return [(places.machine(host.host), other.ip) for other in others]
    return []


def _add(namespace: str) -> None:
    done = outcome(["ip", "netns", "add", namespace])
    if done.returncode:
        raise LabError(f"network namespace {namespace} cannot be made: {done.stderr.strip()}; try: lab down")


def _ip(namespace: str, *words: str) -> str:
    return run(["ip", "-netns", namespace, *words])
