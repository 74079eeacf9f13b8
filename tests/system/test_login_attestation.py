"""A condition on where a login came from, on booted hosts: it is logind's word, and nothing that people set counts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from jit_testing.lab import Lab

ARRIVE = Path(__file__).parents[1] / "jit_testing/on_host/arrive.py"
FAR = "/var/tmp/arrive.py"
OFFICE = "SSH_CONNECTION=10.77.0.1 40000 10.77.0.2 22"
ASK = ("jit", "request", "office-reader", "-m", "a test", "--no-wait")


@pytest.fixture(params=["web1", "web2"])
def host(lab: Lab, request: pytest.FixtureRequest) -> str:
    """A host on which sshd's PAM service is there, with what tells logind of a session."""
    name = str(request.param)
    lab.put(name, ARRIVE, FAR)
    service = "session required pam_unix.so\\nsession required pam_systemd.so\\n"
    lab.run(name, "sh", "-c", f"test -e /etc/pam.d/sshd || printf '{service}' > /etc/pam.d/sshd")
    return name


def _from(lab: Lab, host: str, address: str, *words: str) -> tuple[int, str]:
    done = lab.exec(host, "env", OFFICE, "SSH_CLIENT=10.77.0.1 40000 22", "python3", FAR, "alice", address, *words)
    return done.returncode, done.stderr


def test_whoever_sets_ssh_connection_is_where_they_are(lab: Lab, host: str) -> None:
    """`office-reader` is for logins from 10.77.0.0/16; both logins say in their environment that they are."""
    status, said = _from(lab, host, "192.0.2.7", *ASK)
    assert status == 5, said
    assert "the login came from 192.0.2.7, which is not in 10.77.0.0/16" in said
    assert "log in from 10.77.0.0/16" in said
    status, said = _from(lab, host, "10.77.0.1", *ASK)
    assert status == 0, said
    created = lab.jitctl("audit", "ls", "-o", "jsonl", "--kind", "request.created", user="dave").splitlines()
    assert json.loads(created[-1])["details"]["login"] == "ssh from 10.77.0.1"
    lab.exec(host, "jit", "drop", "--all", user="alice")


def test_what_left_the_login_for_the_service_manager_came_from_nowhere(lab: Lab, host: str) -> None:
    """A unit of the person's own manager, started out of a login that would do."""
    said = "/run/user/1001/said"
    keep = (f"--property=StandardOutput=append:{said}", f"--property=StandardError=append:{said}")
    manager = ("systemd-run", "--user", "--quiet", "--property=Type=oneshot", "--setenv", OFFICE, *keep)
    ask = shlex.join(("env", "XDG_RUNTIME_DIR=/run/user/1001", *manager, *ASK)) + f"; cat {said}; rm {said}"
    done = lab.exec(host, "python3", FAR, "alice", "10.77.0.1", "sh", "-c", ask)
    assert "the host cannot tell by which login you came" in done.stdout, done
