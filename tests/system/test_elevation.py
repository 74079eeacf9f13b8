"""One elevation from end to end with real sudo on booted hosts (DESIGN 3), seen by the people who take part."""

from __future__ import annotations

import json
import re
import time

import pexpect
import pytest

from jit_testing.lab import Lab

REFUSED = "a password is required"
# web1 is of Debian 12, web2 of 13.
BOTH = pytest.mark.parametrize("host", ["web1", "web2"])
PROVED = {"scope_empty": True, "rule_removed": True}


def ask(lab: Lab, host: str, *, user: str = "alice", role: str = "drill-admin", lasts: str = "30s") -> str:
    """Send a request with everything it needs and return its id."""
    asked = lab.exec(host, "jit", "request", role, "-d", lasts, "-m", "a test", "--no-wait", user=user)
    assert asked.returncode == 3, asked.stderr
    found = re.search(r"req-[0-9a-z]{16}", asked.stdout + asked.stderr)
    assert found, asked
    return found.group()


def elevate(lab: Lab, host: str, **asked: str) -> str:
    """A grant in force: asked for, approved by carol, confirmed by the host; returns the request's id."""
    request = ask(lab, host, **asked)
    lab.jitctl("requests", "approve", request, user="carol")
    done = lab.exec(host, "jit", "status", "-w", request, user=asked.get("user", "alice"))
    assert done.returncode == 0, done.stderr
    return request


def events(lab: Lab, request: str, *words: str) -> list[dict[str, object]]:
    lines = lab.jitctl("audit", "ls", "--request", request, "-o", "jsonl", *words, user="dave").splitlines()
    return [json.loads(line) for line in lines]


def kinds(lab: Lab, request: str) -> list[object]:
    return [event["kind"] for event in events(lab, request)]


def wait_for_end(lab: Lab, request: str) -> dict[str, object]:
    """The details of the event that says the grant is over; bounded by the longest grant of these tests."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if ended := events(lab, request, "--kind", "grant.ended"):
            details = ended[0]["details"]
            assert isinstance(details, dict)
            return details
    pytest.fail(f"{request} did not end: {kinds(lab, request)}")


@pytest.fixture(autouse=True)
def nothing_left_over(lab: Lab) -> None:
    """Each test starts with no live grant."""
    for person in ("alice", "bob"):
        for host in ("web1", "web2"):
            lab.exec(host, "jit", "drop", "--all", user=person)


@BOTH
def test_from_the_question_to_the_proof(lab: Lab, host: str) -> None:
    """jit asks for reason and code, waits for carol, runs the command as root in a scope, and all is gone on time."""
    before = lab.exec(host, "sudo", "-n", "id", user="alice")
    assert before.returncode == 1
    assert REFUSED in before.stderr

    alice = lab.terminal(host, "jit", "sudo", "-r", "web-admin", "-d", "20s", "cat", "/proc/self/cgroup", user="alice")
    alice.expect_exact("Reason:")
    alice.sendline("INC-1: nginx is down")
    alice.expect_exact("code:")
    alice.sendline(lab.otp("alice"))
    alice.expect(r"(req-[0-9a-z]{16})")
    request = alice.match.group(1)
    alice.expect_exact("carol can approve")
    assert request in lab.jitctl("requests", "ls", user="carol")
    lab.jitctl("requests", "approve", request, user="carol")
    alice.expect(r"0::/user\.slice/user-1001\.slice/jit-gnt-[0-9a-z]{16}(-r\d+)?\.scope")
    alice.expect(pexpect.EOF)
    alice.close()
    assert alice.exitstatus == 0

    assert lab.run(host, "jit", "sudo", "id", "-u", user="alice").strip() == "0"
    proof = wait_for_end(lab, request)
    assert proof["reason"] == "expired"
    assert PROVED.items() <= proof.items()
    assert REFUSED in lab.exec(host, "sudo", "-n", "id", user="alice").stderr
    told = kinds(lab, request)
    assert told[:5] == ["request.created", "request.approved", "grant.issued", "grant.active", "session.started"]
    assert {"session.ended", "grant.ended"} <= set(told)
    created = events(lab, request, "--kind", "request.created")[0]
    assert (created["user"], created["host"], created["role"]) == ("alice", host, "web-admin")
    assert "INC-1: nginx is down" in json.dumps(created)


def test_a_grant_is_for_one_person_on_one_host(lab: Lab) -> None:
    elevate(lab, "web1")
    assert lab.run("web1", "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    assert REFUSED in lab.exec("web1", "sudo", "-n", "id", user="bob").stderr
    assert REFUSED in lab.exec("web2", "sudo", "-n", "id", user="alice").stderr
    # sudo's own opinion of everybody: nobody but alice on web1 may run anything.
    assert "may run" in lab.run("web1", "sudo", "-l", "-U", "alice")
    for host, person in (("web1", "bob"), ("web2", "alice"), ("web2", "bob")):
        assert "is not allowed to run sudo" in lab.run(host, "sudo", "-l", "-U", person)


@BOTH
def test_a_role_of_named_commands_lets_nothing_else_through(lab: Lab, host: str) -> None:
    elevate(lab, host, role="drill-operator", user="bob")
    assert lab.run(host, "jit", "sudo", "id", user="bob").startswith("uid=0(root)")
    assert lab.run(host, "sudo", "-n", "journalctl", "--version", user="bob").startswith("systemd")
    for words in (["id", "-u"], ["cat", "/etc/shadow"], ["-u", "alice", "id"], ["-i"], ["LD_PRELOAD=/x", "id"]):
        refused = lab.exec(host, "sudo", "-n", *words, user="bob")
        assert (refused.returncode, refused.stdout) == (1, ""), words


@BOTH
def test_what_no_grant_covers_is_stopped_and_recorded_with_its_person(lab: Lab, host: str) -> None:
    """Without a password sudo tells nobody that it refused; with one it asks at the gate, which knows who it was."""
    elevate(lab, host, role="drill-operator", user="bob")
    refused = lab.exec(host, "sudo", "-S", "-p", "", "cat", "/etc/shadow", user="bob", stdin=b"bob-lab\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "jit: no live grant covers this command" in refused.stderr
    words = ["audit", "ls", "--kind", "session.rejected", "--user", "bob", "--host", host, "-o", "jsonl"]
    give_up = time.monotonic() + 10
    while "cat /etc/shadow" not in lab.jitctl(*words, user="dave"):
        assert time.monotonic() < give_up


@BOTH
def test_what_still_runs_at_the_end_is_killed_and_the_shell_lives_on(lab: Lab, host: str) -> None:
    """S2, S4: the elevated program is gone at T, with what it started; the login shell is untouched."""
    request = elevate(lab, host, lasts="10s")
    shell = lab.terminal(host, "bash", "--norc", user="alice", timeout_s=40)
    shell.expect_exact("$ ")
    shell.sendline("sudo sh -c 'trap \"\" TERM HUP; setsid sleep 7777 & sleep 8888'; echo status=$? shell=$$")
    shell.expect(r"status=(\d+) shell=(\d+)\r\n(?!.*echo)")
    assert int(shell.match.group(1)) > 128
    pid = shell.match.group(2)
    assert PROVED.items() <= wait_for_end(lab, request).items()
    assert lab.exec(host, "pgrep", "-f", "sleep [78]{4}").returncode == 1
    shell.sendline("echo still $$")
    shell.expect_exact(f"still {pid}\r\n")
    shell.sendline("exit")
    shell.close()


def test_a_denied_request_gives_nothing_and_says_who_said_no(lab: Lab) -> None:
    alice = lab.terminal("web1", "jit", "sudo", "-r", "drill-admin", "-m", "please", "id", user="alice")
    alice.expect(r"(req-[0-9a-z]{16})")
    lab.jitctl("requests", "deny", alice.match.group(1), "-m", "use the replica", user="carol")
    alice.expect_exact("denied by carol")
    alice.expect_exact("use the replica")
    alice.expect(pexpect.EOF)
    alice.close()
    assert alice.exitstatus == 1
    assert REFUSED in lab.exec("web1", "sudo", "-n", "id", user="alice").stderr


def test_dropping_and_revoking_end_a_grant_at_once(lab: Lab) -> None:
    dropped = elevate(lab, "web1", lasts="10m")
    assert lab.run("web1", "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    lab.run("web1", "jit", "drop", "--all", user="alice")
    assert REFUSED in lab.exec("web1", "sudo", "-n", "id", user="alice").stderr
    assert wait_for_end(lab, dropped)["reason"] == "dropped"

    revoked = elevate(lab, "web1", lasts="10m")
    grant = events(lab, revoked, "--kind", "grant.issued")[0]["grant_id"]
    lab.jitctl("grants", "revoke", str(grant), "-m", "enough", user="carol")
    assert wait_for_end(lab, revoked)["reason"] == "revoked"
    assert REFUSED in lab.exec("web1", "sudo", "-n", "id", user="alice").stderr


def test_dropping_needs_no_server(lab: Lab) -> None:
    """S6: taking a right away waits for nothing."""
    request = elevate(lab, "web1", lasts="10m")
    lab.cut("web1")
    try:
        lab.run("web1", "jit", "drop", "--all", user="alice")
        assert REFUSED in lab.exec("web1", "sudo", "-n", "id", user="alice").stderr
    finally:
        lab.heal("web1")
    assert wait_for_end(lab, request)["reason"] == "dropped"


def test_a_server_killed_between_approval_and_delivery_delivers_once(lab: Lab) -> None:
    """S7: what was approved is on disk; the host gets it after the restart, never twice."""
    request = ask(lab, "web1", lasts="5m")
    lab.cut("web1")
    try:
        lab.jitctl("requests", "approve", request, user="carol")
        lab.run("server", "systemctl", "kill", "--signal", "KILL", "jit-server")
        lab.run("server", "systemctl", "restart", "jit-server")
    finally:
        lab.heal("web1")
    done = lab.exec("web1", "jit", "status", "-w", request, user="alice")
    assert done.returncode == 0, done.stderr
    assert lab.run("web1", "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    told = kinds(lab, request)
    assert told.count("grant.issued") == told.count("grant.active") == 1


def test_with_the_agent_dead_a_grant_lets_no_sudo_start_and_still_ends(lab: Lab) -> None:
    """The gate is at sudo's log server: no answer, no command (S6)."""
    elevate(lab, "web1", lasts="15s")
    lab.run("web1", "systemctl", "stop", "jit-agent.socket", "jit-sudolog.socket", "jit-agent.service")
    try:
        refused = lab.exec("web1", "sudo", "-n", "id", user="alice")
        assert refused.returncode == 1
        assert "uid=0" not in refused.stdout
        give_up = time.monotonic() + 30
        while lab.exec("web1", "sh", "-c", "find /run/jit/sudoers.d -type f -size +0 | grep -q .").returncode == 0:
            assert time.monotonic() < give_up
    finally:
        lab.run("web1", "systemctl", "start", "jit-agent.socket", "jit-sudolog.socket", "jit-agent.service")


def test_a_killed_enforcer_comes_back_and_keeps_its_promises(lab: Lab) -> None:
    request = elevate(lab, "web1", lasts="15s")
    lab.run("web1", "systemctl", "kill", "--signal", "KILL", "jit-enforcer")
    lab.run("web1", "sh", "-c", "until systemctl is-active -q jit-enforcer; do :; done")
    assert lab.run("web1", "sudo", "-n", "id", "-u", user="alice").strip() == "0"
    proof = wait_for_end(lab, request)
    assert (proof["reason"], proof["scope_empty"]) == ("expired", True)
