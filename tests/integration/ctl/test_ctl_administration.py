"""Hosts, users, policy and the audit log."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from jit_protos.v1 import admin_pb2, audit_pb2
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_server import FakeServer
from jit_testing.fake_ctl_state import TOKEN

HOST_ID = "hst-0000000000000001"


def host(**changes: Any) -> admin_pb2.Host:
    made = admin_pb2.Host(
        host_id=HOST_ID,
        name="web1",
        labels={"tier": "web", "env": "prod"},
        enrolled_at=now_us(),
        last_seen=now_us(),
        connected=True,
        agent_version="0.1.0",
        sudo_version="1.9.13p3",
        live_grants=2,
    )
    made.MergeFrom(admin_pb2.Host(**changes))
    return made


def event(sequence: int, kind: str = "grant.ended", **changes: Any) -> audit_pb2.Event:
    made = audit_pb2.Event(sequence=sequence, at=now_us(), kind=kind, actor="host web1", user="bob", host="web1")
    made.MergeFrom(audit_pb2.Event(**changes))
    return made


def test_an_enroll_token_comes_as_the_command_to_run_on_the_host(alice: Any, server: FakeServer) -> None:
    made = alice("hosts", "enroll-token", "web2", "-l", "tier=web", "-l", "env=prod", "--valid", "1h30m")
    assert made.status == 0
    assert shlex.split(made.out) == [
        *("jit-agent", "enroll", "--server", server.bootstrap),
        *("--ca", server.authority.fingerprint, "--token", "host-token"),
    ]
    assert "run this on web2 as root, once, before " in made.err
    asked = server.asked[0]
    assert (asked.host_name, dict(asked.labels), asked.valid_s) == ("web2", {"tier": "web", "env": "prod"}, 5400)
    assert alice("hosts", "enroll-token", "web2", "-o", "name").out == "host-token\n"
    assert alice("hosts", "enroll-token", "web2", "-o", "json").json["bootstrap"] == server.bootstrap


@pytest.mark.parametrize(
    "wrong",
    [
        ["-l", "tier"],
        ["-l", "=web"],
        ["-l", "a=1", "-l", "a=2"],
        ["--valid", "soon"],
        ["--valid", "0s"],
        ["--valid", "-1h"],
    ],
)
def test_a_label_or_a_time_that_is_none_asks_nothing_of_the_server(
    alice: Any, server: FakeServer, wrong: list[str]
) -> None:
    refused = alice("hosts", "enroll-token", "web2", *wrong)
    assert (refused.status, server.asked) == (2, [])


def test_hosts_are_listed_with_what_is_wrong(alice: Any, server: FakeServer) -> None:
    server.hosts = [host(problems=["clock is 400 s off"]), host(host_id="hst-0000000000000002", name="db1")]
    server.hosts[1].connected = False
    first, second = alice("hosts", "ls", "--no-header").out.splitlines()
    assert first.split("\t")[:4] == ["web1", "problems", "env=prod,tier=web", "2"]
    assert "clock is 400 s off" in first
    assert second.split("\t")[1] == "away"


@pytest.mark.parametrize("ref", ["web1", HOST_ID, "hst-0000000000000001", "0000000000000001"])
def test_a_host_is_found_by_name_id_or_prefix(alice: Any, server: FakeServer, ref: str) -> None:
    server.hosts = [host(), host(host_id="hst-1000000000000000", name="db1")]
    assert alice("hosts", "show", ref, "-o", "json").json["host_id"] == HOST_ID


def test_no_host_and_several_hosts_are_refused(alice: Any, server: FakeServer) -> None:
    server.hosts = [host(), host(host_id="hst-0000000000000002", name="db1")]
    assert alice("hosts", "show", "mail").status == 6
    several = alice("hosts", "show", "hst-0")
    assert (several.status, "names 2 hosts" in several.err) == (65, True)


def test_removing_a_host_needs_a_yes(alice: Any, server: FakeServer) -> None:
    server.hosts = [host()]
    refused = alice("hosts", "rm", "web1")
    assert (refused.status, "--yes" in refused.err, server.hosts[0].removed) == (2, True, False)
    assert alice("hosts", "rm", "web1", "--yes").status == 0
    assert server.hosts[0].removed


def test_removing_a_host_asks_on_a_terminal(alice: Any, on_terminal: Any, server: FakeServer) -> None:
    server.hosts = [host()]
    for answer, status, removed in (("no", 1, False), ("y", 0, True)):
        child = on_terminal("hosts", "rm", "web1")
        child.expect_exact("[y/N]")
        child.sendline(answer)
        child.expect_exact("is removed" if removed else "nothing was changed")
        assert (child.end(), server.hosts[0].removed) == (status, removed)


def test_a_new_person_comes_with_the_command_to_enrol(alice: Any, server: FakeServer) -> None:
    made = alice("users", "add", "dave", "--account", "d.smith", "--duty", "auditor")
    assert shlex.split(made.out) == [
        *("jitctl", "mfa", "enroll", "--server", server.bootstrap, "--ca", server.authority.fingerprint),
        *("--user", "dave", "--token", TOKEN),
    ]
    assert "dave runs this once, before " in made.err
    assert (server.users[0].account, list(server.users[0].duties)) == ("d.smith", ["auditor"])
    assert alice("users", "add", "dave").status == 7
    assert alice("users", "add", "eve", "--duty", "king").status == 2
    assert [user.name for user in server.users] == ["dave"]


def test_people_are_disabled_and_enabled_and_get_a_new_second_factor(alice: Any, server: FakeServer) -> None:
    alice("users", "add", "dave")
    assert "dave is disabled" in alice("users", "disable", "dave").out
    assert alice("users", "ls", "--no-header").out.split("\t")[2] == "disabled"
    assert alice("users", "enable", "dave").status == 0
    assert not server.users[0].disabled
    assert alice("users", "mfa-reset", "dave").status == 2
    assert alice("users", "mfa-reset", "dave", "-y", "-o", "name").out == f"{TOKEN}\n"
    assert alice("users", "disable", "nobody").status == 6


def finding(line: int, severity: str, message: str) -> admin_pb2.Finding:
    return admin_pb2.Finding(file="roles.yaml", line=line, column=5, severity=severity, message=message)


def test_lint_tells_every_error_with_its_place_and_ends_with_1(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    first, second = tmp_path / "roles.yaml", tmp_path / "groups.yaml"
    first.write_text("roles: {}\n")
    second.write_text("groups: {ä: []}\n")
    server.findings = [
        finding(3, "error", "unknown key"),
        finding(9, "error", "no hosts"),
        finding(4, "warning", "no MFA"),
    ]
    bad = alice("policy", "lint", str(first), str(second))
    assert bad.status == 1
    assert bad.out.splitlines() == [
        "roles.yaml:3:5: error: unknown key",
        "roles.yaml:9:5: error: no hosts",
        "roles.yaml:4:5: warning: no MFA",
    ]
    assert bad.err == "2 errors, 1 warning; nothing was changed\n"
    assert [(file.name, file.text) for file in server.asked[0].files] == [
        (str(first), "roles: {}\n"),
        (str(second), "groups: {ä: []}\n"),
    ]
    server.findings = [finding(4, "warning", "no MFA")]
    good = alice("policy", "lint", str(first))
    assert (good.status, good.err) == (0, "no errors, 1 warning\n")
    assert alice("policy", "lint", str(first), "-o", "json").json["findings"][0]["line"] == 4


def test_a_finding_of_unknown_weight_is_an_error(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("")
    server.findings = [finding(1, "fatal", "new kind")]
    assert alice("policy", "lint", str(file)).status == 1


def test_apply_stores_and_shows_what_was_given(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\n# ünïcode\n")
    dry = alice("policy", "apply", str(file), "--dry-run")
    assert (dry.status, dry.err, server.policy) == (0, "this would be accepted, and end 1 grant\n", None)
    done = alice("policy", "apply", str(file))
    assert (done.status, done.err) == (0, "policy version 1 is in force, 2 grants ended\n")
    shown = alice("policy", "show")
    assert (shown.out, "version 1, applied by alice" in shown.err) == (file.read_text(), True)
    assert alice("policy", "show", "-o", "json").json["files"][0]["text"] == file.read_text()
    assert alice("policy", "apply", str(file), "--expect-version", "7").status == 7
    piped = alice("policy", "apply", "-", stdin="version: 1\n")
    assert (piped.status, server.policy.policy.files[0].text if server.policy else "") == (0, "version: 1\n")


def test_apply_with_errors_ends_with_1_and_changes_nothing(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("x")
    server.findings = [finding(1, "error", "no")]
    assert (alice("policy", "apply", str(file)).status, server.policy) == (1, None)
    assert alice("policy", "show").status == 6


def test_a_file_that_cannot_be_sent_is_told_with_its_place(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.yaml"
    latin.write_bytes(b"a: 1\nb: \xfc\n")
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    refused = alice("policy", "lint", str(latin))
    assert (refused.status, f"{latin}:2:4: not UTF-8" in refused.err) == (65, True)
    refused = alice("policy", "lint", str(large))
    assert (refused.status, "the limit is 1048576" in refused.err) == (65, True)
    refused = alice("policy", "lint", str(tmp_path / "none.yaml"))
    assert (refused.status, "No such file" in refused.err) == (2, True)
    assert server.asked == []


def test_the_audit_log_is_read_by_filter_and_oldest_first(alice: Any, server: FakeServer) -> None:
    command = json.dumps({"argv": ["/bin/sh", "-c", "a b"], "exit": 0, "reason": "two words"})
    server.log(event(1, "request.created"), event(2, "session.started", details=command), event(3, user="eve"))
    found = alice("audit", "ls", "-o", "json").json
    assert [one["sequence"] for one in found] == [1, 2, 3]
    assert found[1]["details"]["argv"] == ["/bin/sh", "-c", "a b"]
    line = alice("audit", "ls", "--kind", "session", "--no-header").out
    assert line.rstrip("\n").split("\t")[-1] == "argv=[/bin/sh -c 'a b'] exit=0 reason='two words'"
    assert alice("audit", "ls", "--user", "eve", "-o", "name").out == "3\n"
    assert [json.loads(one)["sequence"] for one in alice("audit", "ls", "-o", "jsonl").out.splitlines()] == [1, 2, 3]


def test_the_newest_come_by_default_and_the_next_ones_by_cursor(alice: Any, server: FakeServer) -> None:
    server.log(*(event(number) for number in range(1, 6)))
    newest = alice("audit", "ls", "-n", "2", "-o", "name")
    assert (newest.out.split(), "only the newest 2" in newest.err) == (["4", "5"], True)
    assert alice("audit", "ls", "--after", "1", "-n", "2", "-o", "name").out.split() == ["2", "3"]
    assert alice("audit", "tail", "-n", "3", "-o", "name").out.split() == ["3", "4", "5"]


def test_since_is_sent_as_an_instant_and_nonsense_is_refused(alice: Any, server: FakeServer) -> None:
    alice("audit", "ls", "--since", "2026-11-23T10:00:00+01:00", "--until", "2026-11-23T10:00Z")
    assert (server.asked[0].since, server.asked[0].until) == (1_795_424_400_000_000, 1_795_428_000_000_000)
    for wrong in ("yesterday", "2026-13-01", "99999999999w", "0001-01-01"):
        assert alice("audit", "ls", "--since", wrong).status == 2
    assert len(server.asked) == 1


def test_an_event_that_cannot_be_read_is_shown_as_it_came(alice: Any, server: FakeServer) -> None:
    server.log(event(1, details="{not json"), event(2, details="[1]"))
    assert [one["details"] for one in alice("audit", "ls", "-o", "json").json] == [
        {"unreadable": "{not json"},
        {"unreadable": "[1]"},
    ]


def test_tail_f_goes_on_with_new_events_without_loss_or_repetition(
    alice: Any, on_terminal: Any, server: FakeServer
) -> None:
    server.log(event(1), event(2), event(3))
    child = on_terminal("audit", "tail", "-f", "-n", "2", "-o", "name")
    child.expect_exact("2\r\n3\r\n")
    server.log(event(4))
    child.expect_exact("4\r\n")
    server.log(event(5), event(6))
    child.expect_exact("5\r\n6\r\n")
    assert child.interrupt() == 130
