"""What the policy answers, changes that wait for a second person, and the life of eligibility."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jit_protos.v1 import policy_pb2
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_server import FakeServer

CHANGE = "chg-0000000000000001"
RENEWAL = "rnw-0000000000000001"
DAY_US = 86_400_000_000


def explanation(*, allowed: bool) -> policy_pb2.ExplainResponse:
    check = policy_pb2.PolicyCheck(rule="eligible", passed=True, why="alice is eligible")
    hours = policy_pb2.PolicyCheck(rule="hours", passed=allowed, why="it is 19:00", hint="" if allowed else "at 08:00")
    role = policy_pb2.RoleExplanation(
        role="web", allowed=allowed, checks=[check, hours], approvals=1, approvers=["bob"], needs=["reason", "code"]
    )
    return policy_pb2.ExplainResponse(roles=[role], verdict="alice may, by web" if allowed else "no", allowed=allowed)


def test_explain_tells_each_rule_and_what_would_make_it_pass(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    server.explanation.CopyFrom(explanation(allowed=False))
    words = ("policy", "explain", "alice", "web1", "--from", "10.0.0.7", "--at", "2026-11-23T19:00Z", "--for", "1h")
    refused = alice(*words, "--", "/usr/bin/systemctl", "restart", "--now", "nginx")
    assert refused.status == 5
    assert refused.out.splitlines() == [
        "no",
        "",
        "role web: no",
        "    pass  eligible: alice is eligible",
        "    FAIL  hours: it is 19:00",
        "          at 08:00",
    ]
    asked = server.asked[0]
    assert (asked.user, asked.host, list(asked.ask.argv)) == (
        *("alice", "web1"),
        ["/usr/bin/systemctl", "restart", "--now", "nginx"],
    )
    assert (asked.source, asked.at, asked.duration_s) == ("10.0.0.7", 1_795_460_400_000_000, 3600)
    assert (asked.login, asked.terminal, asked.ask.run_as_user, asked.HasField("policy")) == (
        "ssh",
        True,
        "root",
        False,
    )
    server.explanation.CopyFrom(explanation(allowed=True))
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\n")
    allowed = alice("policy", "explain", "alice", "web1", "--no-terminal", "-f", str(file))
    assert (allowed.status, "needs reason, code, 1 approval of bob" in allowed.out) == (0, True)
    asked = server.asked[-1]
    assert (asked.HasField("ask"), asked.terminal, asked.policy.files[0].text) == (False, False, "version: 1\n")


def test_a_bare_command_is_looked_up_here_and_that_is_said(alice: Any, server: FakeServer) -> None:
    told = alice("policy", "explain", "alice", "web1", "--", "ls", "-l")
    assert list(server.asked[0].ask.argv) == ["/usr/bin/ls", "-l"]
    assert told.err == "ls is taken for /usr/bin/ls, as on this machine\n"
    server.asked.clear()
    for wrong in ("no-such-command-anywhere", "bin/ls"):
        refused = alice("policy", "who-can", "--", wrong)
        assert (refused.status, "on the host" in refused.err, server.asked) == (2, True, [])


def capability(user: str, **changes: Any) -> policy_pb2.Capability:
    made = policy_pb2.Capability(
        user=user,
        role="web",
        kind="eligible",
        groups=["ops"],
        run_as_users=["root"],
        commands=["ALL"],
        hosts_count=140,
        hosts=["web1", "web2"],
        approvals=1,
        approvers=["bob"],
        mfa=True,
        when=["mon-fri 08:00 to 18:00"],
        max_s=7200,
    )
    made.MergeFrom(policy_pb2.Capability(**changes))
    return made


def test_who_can_names_people_with_role_hosts_and_terms(alice: Any, server: FakeServer) -> None:
    active = capability("deploy-bot", kind="active")
    active.ClearField("groups")
    active.ClearField("when")
    server.capabilities = [capability("alice"), active]
    told = alice("policy", "who-can", "--run-as", "root", "--on", "env=prod", "--on", "web9", "--no-header")
    first, second = (line.split("\t") for line in told.out.splitlines())
    assert first[:6] == ["alice", "web", "group ops", "root", "web1, web2 and 138 more", "ALL"]
    assert first[6:] == ["1 approval of bob; a code; at most 2h; mon-fri 08:00 to 18:00", "permanent"]
    assert (second[0], second[2], second[6]) == ("deploy-bot", "by name", "always, without asking; at most 2h")
    assert (server.asked[0].run_as, list(server.asked[0].hosts)) == ("root", ["env=prod", "web9"])
    assert not server.asked[0].HasField("ask")
    assert alice("policy", "who-can", "-o", "name").out == "alice\ndeploy-bot\n"
    server.capabilities.clear()
    assert alice("policy", "who-can", "--run-as", "dba").err == "nobody can run that as dba\n"


def test_what_can_is_about_oneself_unless_told(alice: Any, server: FakeServer) -> None:
    server.capabilities = [capability("alice", until=now_us() + DAY_US), capability("bob", role="db")]
    assert alice("policy", "what-can", "-o", "name").out == "web\n"
    assert alice("policy", "what-can", "bob", "-o", "json").json[0]["role"] == "db"


def test_a_command_is_tested_against_a_role(alice: Any, server: FakeServer) -> None:
    server.command_verdict.CopyFrom(
        policy_pb2.TestCommandResponse(allowed=True, by="/bin/x a", why="exact", sudoers="/bin/x a")
    )
    yes = alice("policy", "test-command", "web", "--", "/bin/x", "a")
    assert (yes.status, yes.out) == (0, "yes: exact\nby: /bin/x a\nin sudoers: /bin/x a\n")
    assert list(server.asked[0].argv) == ["/bin/x", "a"]
    server.command_verdict.CopyFrom(policy_pb2.TestCommandResponse(by="/bin/x a", why="the argument is b, not a"))
    no = alice("policy", "test-command", "web", "/bin/x", "b")
    assert (no.status, no.out) == (5, "no: the argument is b, not a\nnearest: /bin/x a\n")
    assert alice("policy", "test-command", "web").status == 2


def test_a_suggested_role_is_a_file_and_what_it_lacks_is_said_beside(alice: Any, server: FakeServer) -> None:
    before = now_us()
    told = alice("policy", "suggest", "web", "--since", "30d")
    assert told.out == "roles: {}\n"
    assert told.err == "left out: /bin/sh -c 'a b': a blank\nfrom 7 sessions in 30d\n"
    assert abs(before - 30 * DAY_US - server.asked[0].since) < 60_000_000
    assert alice("policy", "suggest", "web", "-o", "json").json["sessions"] == 7


def test_tests_of_a_policy_say_which_failed_and_end_with_1(alice: Any, server: FakeServer) -> None:
    good = policy_pb2.TestResult(file="p.yaml", line=3, name="ops may", passed=True)
    bad = policy_pb2.TestResult(file="p.yaml", line=9, name="dev may not", message="expected deny, got allow")
    server.test_results = [good]
    fine = alice("policy", "test")
    assert (fine.status, fine.out, fine.err) == (0, "", "1 test, none failed\n")
    server.test_results = [good, bad]
    failed = alice("policy", "test", "-v")
    assert failed.out == "p.yaml:3: passed: ops may\np.yaml:9: FAILED: dev may not: expected deny, got allow\n"
    assert (failed.status, failed.err) == (1, "2 tests, 1 failed\n")
    server.test_results = [good]
    server.plan.report.findings.add(severity="error", message="no")
    assert alice("policy", "test").status == 1


def test_the_schema_needs_no_server_and_no_login(jitctl: Any) -> None:
    told = jitctl("policy", "schema")
    assert (told.status, told.err) == (0, "")
    assert json.loads(told.out)["$schema"].startswith("https://json-schema.org/")
    assert jitctl("policy", "schema", "-o", "json").json == json.loads(told.out)


def change(proposed_by: str = "bob", **changes: Any) -> policy_pb2.PolicyChange:
    made = policy_pb2.PolicyChange(
        change_id=CHANGE,
        state="pending",
        proposed_by=proposed_by,
        proposed_at=now_us(),
        reason="CHG-12",
        base_version=1,
        approvals_needed=1,
        approvers=["alice", "dave"],
        plan=policy_pb2.PolicyPlan(changes_anything=True),
        policy=policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="p.yaml", text="a: 2\n")]),
    )
    made.MergeFrom(policy_pb2.PolicyChange(**changes))
    return made


def test_a_change_is_seen_whole_before_it_is_approved(alice: Any, server: FakeServer) -> None:
    server.put_policy(policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="p.yaml", text="a: 1\n")]))
    server.policy_changes[CHANGE] = change()
    (row,) = alice("policy", "changes", "--no-header").out.splitlines()
    assert row.split("\t")[:3] == [CHANGE, "waits for 1 of alice, dave", "bob"]
    shown = alice("policy", "change", "show", "chg-0000", "--diff")
    assert "Proposed by  bob, " in shown.out
    assert "Nobody gains or loses a command anywhere; how they come by it may change, as told below.\n" in shown.out
    assert "-a: 1\n+a: 2\n" in shown.out
    approved = alice("policy", "change", "approve", "chg-0000", "-m", "agreed")
    assert (approved.status, approved.out) == (0, f"{CHANGE} applied as version 2\n")
    assert alice("policy", "changes").err == "no change waits for anybody\n"
    assert alice("policy", "changes", "--all", "-o", "name").out == f"{CHANGE}\n"


def test_nobody_approves_their_own_change_and_may_withdraw_it(alice: Any, server: FakeServer) -> None:
    server.policy_changes[CHANGE] = change("alice")
    assert alice("policy", "change", "approve", CHANGE).status == 5
    assert alice("policy", "change", "reject", CHANGE).status == 2
    assert alice("policy", "change", "reject", CHANGE, "-m", "no").out == f"{CHANGE} withdrawn\n"


def entry(role: str, **changes: Any) -> policy_pb2.EligibilityEntry:
    return policy_pb2.EligibilityEntry(
        **{"user": "bob", "role": role, "kind": "eligible", "state": "current", **changes}
    )


def renewal(state: str = "pending") -> policy_pb2.Renewal:
    return policy_pb2.Renewal(
        renewal_id=RENEWAL,
        user="bob",
        role="db",
        state=state,
        asked_at=now_us(),
        reason="still needed",
        until=now_us() + 90 * DAY_US,
        approvers=["alice"],
    )


def test_eligibilities_are_listed_with_their_ends(alice: Any, server: FakeServer) -> None:
    server.eligibilities = [
        entry("db", until=now_us() + DAY_US, renewable_s=90 * 86_400),
        entry("web", kind="active", groups=["bots"], reason="runs the backup"),
    ]
    told = alice("eligibility", "ls", "--ends-within", "14d", "--user", "bob", "--no-header")
    first, second = (line.split("\t") for line in told.out.splitlines())
    assert (first[1:5], first[7]) == (["db", "eligible", "current", "by name"], "for 90d")
    assert (second[2], second[4], second[6], second[8]) == ("active", "group bots", "permanent", "runs the backup")
    assert (server.asked[0].user, server.asked[0].ends_within_s) == ("bob", 14 * 86_400)
    assert alice("eligibility", "ls", "--role", "db", "-o", "name").out == "bob db\n"


def test_renewals_are_decided_once(alice: Any, server: FakeServer) -> None:
    server.renewals = {RENEWAL: renewal()}
    assert alice("eligibility", "renewals", "-o", "name").out == f"{RENEWAL}\n"
    assert alice("eligibility", "deny", "rnw-0000").status == 2
    approved = alice("eligibility", "approve", "rnw-0000")
    assert (approved.status, approved.out.startswith(f"{RENEWAL} approved: bob as db, until 2")) == (0, True)
    assert alice("eligibility", "deny", "rnw-0000", "-m", "no").status == 7
    assert alice("eligibility", "renewals", "-o", "name").out == ""
    assert alice("eligibility", "renewals", "--all", "-o", "json").json[0]["decision"]["by"] == "alice"


def test_somebody_asks_for_a_renewal_of_their_own(alice: Any, server: FakeServer) -> None:
    assert alice("eligibility", "renew", "db").status == 2
    asked = alice("eligibility", "renew", "db", "-m", "still needed")
    assert asked.status == 0
    assert asked.out.startswith(f"{RENEWAL} pending: alice as db, until 2")
    assert asked.out.endswith("; bob may decide\n")
    assert server.renewals[RENEWAL].reason == "still needed"


@pytest.mark.parametrize(
    "words", [["policy", "change", "show", ""], ["policy", "explain", "", "web1"], ["eligibility", "approve", " "]]
)
def test_an_empty_reference_names_nothing(alice: Any, server: FakeServer, words: list[str]) -> None:
    assert (alice(*words).status, server.asked) == (2, [])
