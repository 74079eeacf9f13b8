"""Hosts, users and the audit log."""

from __future__ import annotations

import json
import shlex
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


def test_a_service_is_added_without_a_second_factor(alice: Any, server: FakeServer) -> None:
    made = alice("users", "add", "backup", "--service")
    assert (made.status, made.out, made.err) == (0, "backup is added, as a service\n", "")
    assert alice("users", "ls", "--no-header").out.split("\t")[2] == "service"
    assert alice("users", "add", "reaper", "--service", "-o", "name").out == "reaper\n"
    assert alice("users", "add", "king", "--service", "--duty", "admin").status == 2
    assert [user.name for user in server.users] == ["backup", "reaper"]


def test_people_are_disabled_and_enabled_and_get_a_new_second_factor(alice: Any, server: FakeServer) -> None:
    alice("users", "add", "dave")
    assert "dave is disabled" in alice("users", "disable", "dave").out
    assert alice("users", "ls", "--no-header").out.split("\t")[2] == "disabled"
    assert alice("users", "enable", "dave").status == 0
    assert not server.users[0].disabled
    assert alice("users", "mfa-reset", "dave").status == 2
    assert alice("users", "mfa-reset", "dave", "-y", "-o", "name").out == f"{TOKEN}\n"
    assert alice("users", "disable", "nobody").status == 6


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
