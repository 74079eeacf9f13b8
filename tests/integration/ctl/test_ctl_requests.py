"""Requests and grants: what a decision is shown, several at once, ends that are not proved."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from jit_protos.v1 import common_pb2
from jit_testing.ctl_values import PENDING, grant, now_us, request
from jit_testing.fake_ctl_server import FakeServer


def test_a_pending_request_is_shown_whole(alice: Any, server: FakeServer) -> None:
    long = ["/usr/bin/psql", "-c", "select 'a'; drop table users", "--", *(f"word{n}" for n in range(60))]
    server.put(request(1, ask=common_pb2.Ask(run_as_group="dba")))
    server.requests["req-0000000000000001"].ask.ClearField("argv")
    server.requests["req-0000000000000001"].ask.argv.extend(long)
    shown = alice("requests", "show", "req-0000000000000001").out
    lines = {line[:15].strip(): line[15:] for line in shown.splitlines() if line[:1] != " "}
    assert lines["Who"] == "bob"
    assert lines["Host"] == "web1"
    assert lines["Run as"] == "root:dba"
    assert lines["Command"].startswith("/usr/bin/psql -c 'select '\"'\"'a'\"'\"'; drop table users' -- word0 ")
    assert lines["Command"].endswith(" word59")
    assert lines["Reason"] == "nginx hangs"
    assert lines["Ticket"] == "OPS-17"
    assert lines["Duration"] == "30m"
    assert lines["May decide"] == "alice, carol"
    assert lines["Approvals"] == "0 of 1"
    assert lines["Since"].endswith("(3m ago)")
    assert "Lets through   /usr/bin/systemctl restart nginx.service\n               /usr/bin/journalctl\n" in shown


def test_what_is_asked_beyond_the_named_command_is_said(alice: Any, server: FakeServer) -> None:
    server.put(request(1, ask=common_pb2.Ask(exact=True)), request(2, role_commands=["ALL"]))
    server.requests["req-0000000000000002"].ask.CopyFrom(common_pb2.Ask(run_as_user="root", login=True))
    shell = alice("requests", "show", "req-0000000000000002").out
    assert "this one command only" in alice("requests", "show", "req-0000000000000001").out
    assert "a login shell (sudo -i)" in shell
    assert "ALL" in shell


def test_ls_lists_what_is_pending_and_all_lists_the_rest(alice: Any, server: FakeServer) -> None:
    server.put(request(1), request(2, state=common_pb2.REQUEST_STATE_DENIED))
    assert alice("requests", "ls", "-o", "name").out == "req-0000000000000001\n"
    assert alice("requests", "ls", "--all", "-o", "name").out.split() == [
        "req-0000000000000002",
        "req-0000000000000001",
    ]
    assert alice("requests", "ls", "--state", "denied", "-o", "name").out == "req-0000000000000002\n"
    assert alice("requests", "ls", "--all", "--state", "denied").status == 2


def test_into_a_pipe_a_list_is_one_tab_separated_line_each(alice: Any, server: FakeServer) -> None:
    server.put(request(1), request(2))
    header, *lines = alice("requests", "ls").out.splitlines()
    assert header.split("\t")[:5] == ["ID", "WHO", "HOST", "AS", "COMMAND"]
    assert [line.split("\t")[4] for line in lines] == ["/usr/bin/systemctl restart nginx.service"] * 2
    assert alice("requests", "ls", "--no-header").out.splitlines() == lines


def test_nothing_pending_is_said_on_stderr_and_is_no_failure(alice: Any) -> None:
    empty = alice("requests", "ls")
    assert (empty.status, empty.out, empty.err) == (0, "", "no pending requests\n")
    assert alice("requests", "ls", "-q").err == ""
    assert alice("requests", "ls", "-o", "json").json == []


def test_a_cut_list_says_so(alice: Any, server: FakeServer) -> None:
    server.put(*(request(number) for number in range(5)))
    assert "only the newest 2 are shown" in alice("requests", "ls", "-n", "2").err
    assert alice("requests", "ls", "-n", "6").err == ""


def test_json_has_every_field_with_times_in_utc(alice: Any, server: FakeServer) -> None:
    made = request(1, created_at=1_795_432_378_000_000)
    made.created_at = 1_795_432_378_000_000
    server.put(made)
    found = alice("requests", "show", "req-0000000000000001", "-o", "json").json
    assert set(found) == {field.name for field in common_pb2.Request.DESCRIPTOR.fields}
    assert set(found["ask"]) == {field.name for field in common_pb2.Ask.DESCRIPTOR.fields}
    assert (found["created_at"], found["state"], found["grant"]) == ("2026-11-23T11:12:58Z", "pending", None)
    assert found["ask"]["argv"] == ["/usr/bin/systemctl", "restart", "nginx.service"]
    (line,) = alice("requests", "ls", "-o", "jsonl").out.splitlines()
    assert json.loads(line) == found


@pytest.mark.parametrize("ref", ["req-0000000000000012", "0000000000000012"])
def test_an_id_may_be_typed_without_its_kind(alice: Any, server: FakeServer, ref: str) -> None:
    server.put(request(12))
    assert alice("requests", "show", ref, "-o", "name").out == "req-0000000000000012\n"


def test_an_unknown_prefix_is_6_and_an_ambiguous_one_is_65_and_an_empty_one_never_leaves(
    alice: Any, server: FakeServer
) -> None:
    server.put(request(1), request(2))
    unknown = alice("requests", "show", "req-9")
    assert (unknown.status, unknown.err) == (6, "jitctl: no req req-9\nhint: list them first\n")
    ambiguous = alice("requests", "approve", "req-0")
    assert (ambiguous.status, "names 2" in ambiguous.err) == (65, True)
    server.asked.clear()
    for verb in ("show", "approve", "cancel"):
        assert alice("requests", verb, "").status == 2
    assert server.asked == []


def test_approval_says_who_gets_what_and_that_the_host_has_not_confirmed_it(alice: Any, server: FakeServer) -> None:
    server.put(request(1))
    done = alice("requests", "approve", "req-0000000000000001", "-m", "go on")
    assert done.status == 0
    assert "approved: bob on web1 as root: /usr/bin/systemctl restart nginx.service" in done.out
    assert "gnt-0000000000000001 issued, not confirmed by the host" in done.out
    assert server.asked[0].reason == "go on"


def test_one_of_two_approvals_is_not_called_approved(alice: Any, server: FakeServer) -> None:
    server.put(request(1, approvals_needed=2))
    done = alice("requests", "approve", "req-0000000000000001")
    assert "has 1 of 2 approvals" in done.out
    assert " approved" not in done.out


def test_of_several_the_good_ones_are_done_and_the_first_failure_gives_the_status(
    alice: Any, server: FakeServer
) -> None:
    server.put(request(1), request(2, user="alice"), request(3))
    server.requests["req-0000000000000002"].user = "alice"
    ids = [f"req-{number:016d}" for number in (1, 2, 9, 3)]
    done = alice("requests", "approve", *ids)
    assert done.status == 5
    assert [one.state for one in server.requests.values()] == [
        common_pb2.REQUEST_STATE_APPROVED,
        common_pb2.REQUEST_STATE_PENDING,
        common_pb2.REQUEST_STATE_APPROVED,
    ]
    assert f"jitctl: {ids[1]}: nobody approves themselves" in done.err
    assert f"jitctl: {ids[2]}: no req {ids[2]}" in done.err
    again = alice("requests", "approve", ids[0], ids[1], "-o", "json")
    assert (again.status, again.json) == (7, [])
    assert [json.loads(line)["error"]["code"] for line in again.err.splitlines()] == ["conflict", "denied"]


def test_the_same_id_twice_is_one_vote(alice: Any, server: FakeServer) -> None:
    server.put(request(1, approvals_needed=2))
    alice("requests", "approve", "req-0000000000000001", "req-0000000000000001")
    assert len(server.requests["req-0000000000000001"].decisions) == 1


def test_a_denial_needs_a_reason(alice: Any, server: FakeServer) -> None:
    server.put(request(1))
    for missing in ([], ["-m", " "]):
        assert alice("requests", "deny", "req-0000000000000001", *missing).status == 2
    assert server.requests["req-0000000000000001"].state == common_pb2.REQUEST_STATE_PENDING
    assert alice("requests", "deny", "req-0000000000000001", "-m", "not today").status == 0
    assert "denied by alice" in alice("requests", "show", "req-0000000000000001").out
    assert "not today" in alice("requests", "show", "req-0000000000000001").out


def test_cancel_cancels(alice: Any, server: FakeServer) -> None:
    server.put(request(1))
    assert "cancelled" in alice("requests", "cancel", "req-0000000000000001").out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": common_pb2.GRANT_STATE_ISSUED}, "issued, not confirmed by the host"),
        ({"state": common_pb2.GRANT_STATE_ACTIVE}, "active"),
        ({"state": common_pb2.GRANT_STATE_ENDING}, "ending, not confirmed by the host"),
        ({"state": common_pb2.GRANT_STATE_UNCONFIRMED}, "time is up, NOT CONFIRMED by web1"),
        (
            {"state": common_pb2.GRANT_STATE_ENDED, "end_reason": "expired", "end_confirmed": True},
            "expired, confirmed by the host",
        ),
        ({"state": common_pb2.GRANT_STATE_ENDED, "end_reason": "expired"}, "expired, NOT confirmed by the host"),
        (
            {"state": common_pb2.GRANT_STATE_REFUSED, "end_reason": "beyond_ceiling"},
            "refused: beyond_ceiling",
        ),
    ],
)
def test_an_end_is_done_only_with_the_hosts_word(
    alice: Any, server: FakeServer, changes: dict[str, Any], said: str
) -> None:
    made = grant(1, **changes)
    server.grants[made.grant_id] = made
    (line,) = alice("grants", "ls", "--all", "--no-header").out.splitlines()
    assert line.split("\t")[1] == said
    assert f"State         {said}\n" in alice("grants", "show", made.grant_id).out


def test_what_the_host_has_not_confirmed_is_listed_as_not_over(alice: Any, server: FakeServer) -> None:
    for number, state in enumerate((common_pb2.GRANT_STATE_UNCONFIRMED, common_pb2.GRANT_STATE_ENDED)):
        made = grant(number, state=state, ended_at=now_us())
        server.grants[made.grant_id] = made
    assert alice("grants", "ls", "-o", "name").out == "gnt-0000000000000000\n"


def test_an_end_nobody_confirmed_comes_first_with_its_host_and_time(alice: Any, server: FakeServer) -> None:
    since = 1_795_432_378_000_000
    lost = grant(2, state=common_pb2.GRANT_STATE_UNCONFIRMED, end_reason="revoked", unconfirmed_at=since)
    later = grant(3, state=common_pb2.GRANT_STATE_SCHEDULED)
    server.grants = {made.grant_id: made for made in (grant(1, once=True, lease_s=120), later, lost)}
    first, *rest = alice("grants", "ls", "--no-header", "--utc").out.splitlines()
    assert first.split("\t")[:2] == [lost.grant_id, "revoked, NOT CONFIRMED by web1 since 2026-11-23T11:12:58Z"]
    assert [line.split("\t")[0] for line in rest] == ["gnt-0000000000000001", later.grant_id]
    assert rest[0].endswith("\tonce, lease 2m")
    assert rest[1].split("\t")[1].startswith("scheduled, starts 20")
    shown = alice("grants", "show", lost.grant_id, "-o", "json").json
    assert set(shown) == {field.name for field in common_pb2.Grant.DESCRIPTOR.fields}
    assert shown["unconfirmed_at"] == "2026-11-23T11:12:58Z"


def test_an_extension_is_shown_as_one_to_whoever_decides(alice: Any, server: FakeServer) -> None:
    server.put(request(1, extends="gnt-0000000000000007", extends_to=now_us() + 3_600_000_000, past_max_s=3_600))
    (line,) = alice("requests", "ls", "--no-header").out.splitlines()
    assert line.split("\t")[4] == "30m more for gnt-0000000000000007: /usr/bin/systemctl restart nginx.service"
    shown = alice("requests", "show", "req-0000000000000001").out
    assert "Asks for       30m more for gnt-0000000000000007, until 20" in shown
    assert "; past the role's maximum of 1h\n" in shown
    done = alice("requests", "approve", "req-0000000000000001")
    assert "approved: bob on web1 as root: 30m more for gnt-0000000000000007" in done.out


def test_revoke_needs_a_reason_and_does_not_claim_the_end(alice: Any, server: FakeServer) -> None:
    made = grant(1)
    server.grants[made.grant_id] = made
    assert alice("grants", "revoke", made.grant_id).status == 2
    done = alice("grants", "revoke", made.grant_id, "-m", "incident")
    assert (done.status, "ending, not confirmed by the host" in done.out) == (0, True)
    assert alice("grants", "drop", made.grant_id, "-o", "json").json[0]["end_reason"] == "dropped"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "gone", "", ""), 69, "unavailable"),
        ((grpc.StatusCode.UNAUTHENTICATED, "who?", "", ""), 4, "unauthenticated"),
        ((grpc.StatusCode.PERMISSION_DENIED, "no", "", ""), 5, "denied"),
        ((grpc.StatusCode.INVALID_ARGUMENT, "bad", "", ""), 65, "invalid"),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", "", ""), 75, "try_again"),
        ((grpc.StatusCode.INTERNAL, "", "", ""), 1, "failed"),
        ((grpc.StatusCode.UNIMPLEMENTED, "", "", ""), 1, "failed"),
        ((grpc.StatusCode.UNKNOWN, "late", "try_again", "wait 15 m"), 75, "try_again"),
        ((grpc.StatusCode.NOT_FOUND, "odd", "some_new_word", ""), 6, "not_found"),
        ((grpc.StatusCode.FAILED_PRECONDITION, "not yet", "pending", ""), 3, "pending"),
        ((grpc.StatusCode.INTERNAL, "misconfigured", "config", "see größe\n"), 78, "config"),
    ],
)
def test_each_refusal_has_its_status_one_line_and_a_json_form(
    alice: Any, server: FakeServer, failure: tuple[grpc.StatusCode, str, str, str], status: int, code: str
) -> None:
    server.failure = failure
    told = alice("requests", "ls")
    assert (told.status, told.out) == (status, "")
    assert told.err.startswith("jitctl: ")
    assert told.err.count("\n") <= 2
    as_json = alice("requests", "ls", "-o", "json")
    assert (as_json.status, as_json.out, as_json.error["code"]) == (status, "", code)
    if failure[3]:
        assert as_json.error["hint"] == failure[3]


def test_a_server_that_is_not_there_is_69(alice: Any, server: FakeServer) -> None:
    server.__exit__(None, None, None)
    gone = alice("requests", "ls")
    assert (gone.status, f"cannot reach {server.mtls}" in gone.err) == (69, True)


def test_an_answer_that_is_not_whole_is_refused_not_guessed(alice: Any, server: FakeServer) -> None:
    for field, value in (("state", 99), ("created_at", 0), ("created_at", 2**62), ("user", "")):
        made = request(1)
        setattr(made, field, value)
        server.requests[made.request_id] = made
        odd = alice("requests", "show", made.request_id)
        assert (odd.status, odd.out) == (1, "")
        assert "the server's answer is not understood" in odd.err


def test_a_request_for_several_hosts_is_listed_once_and_decided_as_one(alice: Any, server: FakeServer) -> None:
    batch = [
        common_pb2.BatchHost(host="web1", request_id="req-0000000000000001", state=PENDING),
        common_pb2.BatchHost(host="web2", request_id="req-0000000000000002", state=PENDING),
        common_pb2.BatchHost(host="web3", why="it is not connected"),
    ]
    for number in (1, 2):
        server.put(request(number, host=f"web{number}", batch_id="bat-0000000000000001", batch=batch))
    server.put(request(3))
    rows = [line.split("\t") for line in alice("requests", "ls", "--no-header").out.splitlines()]
    assert [row[2] for row in rows] == ["web1", "web2 +1"]
    assert alice("requests", "ls", "-o", "name").out.count("req-") == 2
    assert len(alice("requests", "ls", "-o", "json").json) == 3
    shown = alice("requests", "show", "req-0000000000000001").out
    assert "Hosts, as one  web1: pending (req-0000000000000001)\n" in shown
    assert "web3: left out: it is not connected\n" in shown
    server.requests["req-0000000000000001"].batch[1].MergeFrom(
        common_pb2.BatchHost(state=common_pb2.REQUEST_STATE_APPROVED, grant_state=common_pb2.GRANT_STATE_ACTIVE)
    )
    approved = alice("requests", "approve", "req-0000000000000001").out
    assert "bob on web1 +1 as root" in approved
    assert "  web2: approved, grant active (req-0000000000000002)\n" in approved
