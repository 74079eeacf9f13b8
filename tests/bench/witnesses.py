"""Who records on the host in the figures about recording: we, sudo's own log server plain and compressed, and nobody.

Each has a person of its own, so that all can be asked in turn: alice has a grant of a role that records output, the
others have rules of the host's own.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import crowd
from bench.rows import Unmeasurable
from jit_testing.lab import Lab
from jit_testing.remote import Hands
from jit_testing.sudo_logsrvd import LOGSRVD, config

HOST = "web1"
OURS, NOBODY, PLAIN, COMPRESSED = "alice", "bob", crowd.PEOPLE[-2], crowd.PEOPLE[-1]
_PORTS = {PLAIN: 30_343, COMPRESSED: 30_344}
_FOLDER = "/var/log/bench-sudo-io"
_RULES = "/etc/sudoers.d/bench-witnesses"
_LASTS_S = 7200
COMPRESSION = "record_compress"
"""The key of agent.toml that says whether chunks are compressed."""


@contextlib.contextmanager
def recording(lab: Lab, hands: Hands) -> Iterator[None]:
    """All of them are there; afterwards none is, and alice has no grant."""
    rules = [f"{NOBODY} ALL=(root) NOPASSWD: ALL"]
    for person, port in _PORTS.items():
        _start(lab, person, port)
        rules += [
            f"Defaults:{person} log_servers=127.0.0.1:{port}, log_output, !ignore_iolog_errors",
            f"{person} ALL=(root) NOPASSWD: ALL",
        ]
    _write(lab, _RULES, "\n".join(rules) + "\n")
    crowd.take(hands, OURS, role="bench-recorded", lasts_s=_LASTS_S)
    try:
        yield
    finally:
        crowd.drop(hands, OURS)
        lab.run(HOST, "rm", "-f", _RULES)
        lab.run(HOST, "systemctl", "stop", *(_unit(person) for person in _PORTS))
        lab.run(HOST, "rm", "-rf", _FOLDER)


@contextlib.contextmanager
def agent_told(lab: Lab, **keys: str) -> Iterator[None]:
    """The agent runs with these keys in its configuration; TOML values."""
    place = "/etc/jit/agent.toml"
    before = lab.run(HOST, "cat", place)
    lab.host(HOST).run("tee", place, stdin=(before + "".join(f"{k} = {v}\n" for k, v in keys.items())).encode())
    restart_agent(lab)
    try:
        yield
    finally:
        lab.host(HOST).run("tee", place, stdin=before.encode())
        restart_agent(lab)


def restart_agent(lab: Lab) -> None:
    lab.run(HOST, "systemctl", "restart", "jit-agent")
    lab.run(HOST, "sh", "-c", "until systemctl is-active -q jit-agent; do :; done")


def agent_pid(lab: Lab) -> str:
    return lab.run(HOST, "systemctl", "show", "-P", "MainPID", "jit-agent").strip()


def forget_peak(lab: Lab) -> None:
    """From now on `peak_mb` is what the agent holds from now on (proc(5), clear_refs 5)."""
    lab.run(HOST, "sh", "-c", f"echo 5 >/proc/{agent_pid(lab)}/clear_refs")


def peak_mb(lab: Lab) -> float:
    """The most memory the agent held since, in MB (10^6); what it maps of its files is part of it."""
    status = lab.run(HOST, "cat", f"/proc/{agent_pid(lab)}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if not found:
        raise Unmeasurable("the agent has no VmHWM")
    return int(found.group(1)) * 1024 / 1_000_000


def agent_cpu_s(lab: Lab) -> float:
    """Seconds of CPU so far, as the kernel's accounting has them."""
    stat = lab.run(HOST, "cat", "/sys/fs/cgroup/system.slice/jit-agent.service/cpu.stat")
    return int(re.findall(r"^usage_usec (\d+)", stat, re.MULTILINE)[0]) / 1_000_000


def stored_bytes(lab: Lab, person: str) -> int:
    """What sudo's log server keeps for this person; then it is removed."""
    folder = f"{_FOLDER}/{person}"
    size = int(lab.run(HOST, "du", "-sb", folder).split()[0])
    lab.run(HOST, "sh", "-c", f"rm -rf {folder}/*")
    return size


def _start(lab: Lab, person: str, port: int) -> None:
    folder = f"{_FOLDER}/{person}"
    lab.run(HOST, "mkdir", "-p", folder)
    _write(lab, f"/etc/{_unit(person)}.conf", config(port, folder, compress=person == COMPRESSED))
    command = [str(LOGSRVD), "-n", "-f", f"/etc/{_unit(person)}.conf"]
    lab.run(HOST, "systemd-run", "--quiet", f"--unit={_unit(person)}", "--collect", *command)


def _unit(person: str) -> str:
    return f"bench-logsrvd-{person}"


def _write(lab: Lab, place: str, text: str) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        lab.put(HOST, Path(file.name), place)
    lab.run(HOST, "chmod", "0440", place)
