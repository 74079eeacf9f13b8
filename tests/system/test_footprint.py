"""What a person with root left behind on a real host is found after the grant, and named in the audit log (SPEC 3.6).

The lab's own commands are transient units of the host, so nothing is run on it while it is looked at: files are read
from its disk, from outside.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from jit_testing.lab import Lab

# What alice does as root, and what should be said of it.
LEFT_BEHIND = {
    "/etc/sudoers.d/alice": "echo 'alice ALL=(ALL) NOPASSWD: /bin/true' >/etc/sudoers.d/alice",
    "/home/bob/.ssh/authorized_keys": "echo 'ssh-ed25519 AAAA alice' >>/home/bob/.ssh/authorized_keys",
    "/etc/cron.d/alice": "echo '0 0 1 1 * root true' >/etc/cron.d/alice",
    "/var/tmp/.sh": "cp /bin/bash /var/tmp/.sh && chmod 4755 /var/tmp/.sh",
    "/etc/systemd/system/alice.service": "echo '[Service]' >/etc/systemd/system/alice.service",
}
TOLD = {
    "/etc/sudoers.d/alice added (sudoers)",
    "/home/bob/.ssh/authorized_keys changed (keys)",
    "/etc/cron.d/alice added (cron)",
    "/var/tmp/.sh added (setuid)",
    "/etc/systemd/system/alice.service added (unit)",
}
HOST = "web1"


@pytest.fixture(autouse=True)
def as_it_was(lab: Lab) -> None:
    """Nothing of an earlier test, and bob has a key already."""
    lab.exec(HOST, "jit", "drop", "--all", user="alice")
    lab.run(HOST, "rm", "-f", *(path for path in LEFT_BEHIND if not path.startswith("/home/")))
    keys = "install -d -m 700 -o bob -g bob ~bob/.ssh; echo 'ssh-ed25519 BBBB bob' >~bob/.ssh/authorized_keys"
    lab.run(HOST, "sh", "-c", keys)


def state(lab: Lab) -> Path:
    """The program's folder, on the host's disk."""
    return lab.host(HOST).disk / "upper/var/lib/jit-footprint"


def names(lab: Lab) -> list[str]:
    return sorted(path.name for path in state(lab).glob("*"))


def wait_for(file: Path, text: str = "") -> str:
    """What the file says, once it is there and has this text in it."""
    give_up = time.monotonic() + 90
    while not file.exists() or text not in (content := file.read_text()):
        assert time.monotonic() < give_up, f"{file.name} does not come"
        time.sleep(0.05)
    return content


def footprint(lab: Lab, grant: str) -> dict[str, object]:
    """What the program left after the end of the grant, once it is there."""
    found: dict[str, object] = json.loads(wait_for(state(lab) / f"{grant}.json"))
    return found


def told(lab: Lab, grant: str) -> list[dict[str, object]]:
    """The audit events that tell of it."""
    lines = lab.jitctl("audit", "ls", "--kind", "grant.footprint", "-o", "jsonl", user="dave").splitlines()
    return [event for event in map(json.loads, lines) if event["grant_id"] == grant]


def elevate(lab: Lab) -> str:
    """A grant of alice's, after its baseline has been taken."""
    grant = lab.elevate(HOST)
    # The time at which all was seen; until then it is 0.
    wait_for(state(lab) / f"{grant}.before", '"finished": 1')
    return grant


def end(lab: Lab, grant: str) -> None:
    """From afar."""
    lab.jitctl("grants", "revoke", grant, "-m", "enough", user="carol")


def test_what_was_left_behind_is_named_in_the_audit_log_and_nothing_else(lab: Lab) -> None:
    grant = elevate(lab)
    lab.run(HOST, "sudo", "-n", "sh", "-ec", "; ".join(LEFT_BEHIND.values()), user="alice")
    end(lab, grant)
    assert footprint(lab, grant)["truncated"] is False
    give_up = time.monotonic() + 60
    while not (events := told(lab, grant)):
        assert time.monotonic() < give_up, "no event"
    (event,) = events
    details = event["details"]
    assert isinstance(details, dict)
    assert set(details["changes"]) == TOLD
    assert (event["user"], event["host"]) == ("alice", HOST)


def test_who_left_nothing_behind_is_not_mentioned(lab: Lab) -> None:
    grant = elevate(lab)
    assert lab.run(HOST, "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    end(lab, grant)
    found = footprint(lab, grant)
    assert (found["changes"], found["truncated"]) == ([], False)
    # What the host said of this grant before is stored by now: the stream keeps the order.
    lab.elevate(HOST)
    lab.exec(HOST, "jit", "drop", "--all", user="alice")
    assert told(lab, grant) == []


def test_the_program_by_itself(lab: Lab) -> None:
    """The unit, its sandbox and who may read what, without a grant."""
    grant = "gnt-0000000000000000"
    lab.run(
        HOST, "sh", "-ec",
        f"rm -f /var/lib/jit-footprint/{grant}.*; systemctl start jit-footprint@before-{grant};"
        f"stat -c '%U %G %a' /var/lib/jit-footprint /var/lib/jit-footprint/{grant}.before >/root/modes;"
        f"{'; '.join(LEFT_BEHIND.values())}; systemctl start jit-footprint@after-{grant};"
        f"stat -c '%U %G %a' /var/lib/jit-footprint/{grant}.json >>/root/modes",
    )  # fmt: skip
    found = json.loads(lab.run(HOST, "runuser", "-u", "jit-agent", "cat", f"/var/lib/jit-footprint/{grant}.json"))
    assert {change["path"] for change in found["changes"]} == LEFT_BEHIND.keys()
    assert lab.run(HOST, "cat", "/root/modes").splitlines() == [
        "root jit-agent 750",
        "root jit-agent 600",
        "root jit-agent 640",
    ]


@pytest.mark.parametrize("instance", ["", "before", "after-gnt-1", "before-../../x", "during-gnt-0000000000000000"])
def test_an_instance_that_names_no_grant_does_nothing(lab: Lab, instance: str) -> None:
    before = names(lab)
    done = lab.exec(HOST, "sh", "-c", f"systemctl start 'jit-footprint@{instance}'")
    assert done.returncode != 0
    assert names(lab) == before


def test_it_has_the_power_to_read_and_no_other(lab: Lab) -> None:
    unit = "jit-footprint@after-gnt-0000000000000000.service"
    said = lab.run(HOST, "systemctl", "show", "-p", "CapabilityBoundingSet", "--value", unit)
    assert said.split() == ["cap_dac_read_search"]
    lab.run(HOST, "systemd-analyze", "security", "--threshold=20", unit)
