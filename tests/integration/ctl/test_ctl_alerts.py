"""Alerts: listed, counted by the exit status when that is wanted, followed as they come and go."""

from __future__ import annotations

import json
from typing import Any

from jit_protos.v1 import people_pb2
from jit_testing.ctl_certificates import Authority
from jit_testing.ctl_values import alert
from jit_testing.fake_ctl_server import FakeServer


def test_alerts_are_listed_in_the_servers_order(alice: Any, server: FakeServer) -> None:
    server.alerts = [alert(), alert("clock_off", host="db1")]
    header, first, second = alice("alerts").out.splitlines()
    assert header.split("\t") == ["KIND", "SINCE", "HOST", "WHO", "ROLE", "WHAT", "GRANT"]
    assert first.split("\t")[0] == "end_unconfirmed"
    assert first.split("\t")[2:] == [
        *("web1", "bob", "web-operator"),
        "web1 has not confirmed the end of the grant of bob",
        "gnt-0000000000000001",
    ]
    assert second.startswith("clock_off\t")
    told = alice("alerts", "-o", "json").json
    assert set(told[0]) == {field.name for field in people_pb2.Alert.DESCRIPTOR.fields}
    assert alice("alerts", "-o", "name").out.split("\n")[0] == "end_unconfirmed gnt-0000000000000001"


def test_no_alert_is_said_and_the_status_tells_only_when_asked(alice: Any, server: FakeServer) -> None:
    empty = alice("alerts")
    assert (empty.status, empty.out, empty.err) == (0, "", "no alerts\n")
    assert alice("alerts", "--exit-code").status == 0
    server.alerts = [alert()]
    assert alice("alerts").status == 0
    assert alice("alerts", "--exit-code").status == 1
    assert alice("alerts", "--exit-code", "-o", "json").status == 1


def test_a_kind_this_jitctl_does_not_know_is_shown(alice: Any, server: FakeServer) -> None:
    server.alerts = [alert("brand_new")]
    assert alice("alerts", "--no-header").out.startswith("brand_new\t")


def test_watching_tells_what_is_new_and_what_is_over(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    server.alerts = [alert()]
    child = on_terminal("alerts", "-w", "-o", "jsonl", columns=10_000)
    first = json.loads(child.readline())
    assert (first["over"], first["alert"]["kind"]) == (False, "end_unconfirmed")
    # A measure that changes is no new alert.
    server.alerts = [alert(message="the same, 5 s later"), alert("host_problem", message="sudo is sudo-rs")]
    assert json.loads(child.readline())["alert"]["kind"] == "host_problem"
    server.alerts = [alert("host_problem", message="sudo is sudo-rs")]
    gone = json.loads(child.readline())
    assert (gone["over"], gone["alert"]["kind"]) == (True, "end_unconfirmed")
    assert child.interrupt() == 130


def test_on_a_terminal_a_new_alert_rings(alice: Any, server: FakeServer, on_terminal: Any) -> None:
    child = on_terminal("alerts", "-w", term="xterm")
    child.expect_exact("0 alerts")
    server.alerts = [alert()]
    child.expect_exact("\x07")
    child.expect_exact("has not confirmed the end")
    child.expect_exact("1 alert;")
    assert child.interrupt() == 130


def test_watching_goes_on_after_the_server_restarts(authority: Authority, jitctl: Any, on_terminal: Any) -> None:
    with FakeServer(authority) as first:
        jitctl.login(first)
        first.alerts = [alert()]
        child = on_terminal("alerts", "-w", "-o", "name")
        child.expect_exact("end_unconfirmed gnt-0000000000000001\r\n")
    child.expect_exact("trying again")
    with FakeServer(authority, mtls_port=int(first.mtls.rpartition(":")[2])) as second:
        second.alerts = [alert(), alert("clock_off", grant_id="", host="db1")]
        child.expect_exact("clock_off")
        assert child.interrupt() == 130


def test_what_cannot_be_is_wrong_usage(alice: Any) -> None:
    assert alice("alerts", "-w", "-o", "json").status == 2
    assert alice("alerts", "-w", "--exit-code").status == 2
