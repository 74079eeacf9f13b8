"""policy lint, plan, apply, rollback, diff, show, history: what is shown before a change, and what is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jit_protos.v1 import policy_pb2
from jit_testing.ctl_values import now_us
from jit_testing.fake_ctl_server import FakeServer

TEXT = "version: 1\n# ünïcode\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "roles.yaml"
    path.write_text(TEXT)
    return path


def finding(line: int, severity: str, message: str, **changes: Any) -> policy_pb2.Finding:
    return policy_pb2.Finding(file="roles.yaml", line=line, column=5, severity=severity, message=message, **changes)


def report(*findings: policy_pb2.Finding, suppressed: tuple[policy_pb2.Finding, ...] = ()) -> policy_pb2.PolicyReport:
    return policy_pb2.PolicyReport(findings=findings, suppressed=suppressed)


def a_plan(**changes: Any) -> policy_pb2.PolicyPlan:
    """Three people gain root, carol loses a role, two grants and a request end."""
    return policy_pb2.PolicyPlan(
        **{
            "changes_anything": True,
            "reach": [
                policy_pb2.ReachChange(
                    gained=True,
                    run_as="root",
                    everything=True,
                    people_count=3,
                    people=["dan", "eve", "fay"],
                    hosts_count=12,
                    hosts=[f"web{number}" for number in range(12)],
                    roles=["web-admin"],
                ),
                policy_pb2.ReachChange(
                    run_as="postgres",
                    people_count=1,
                    people=["carol"],
                    hosts_count=1,
                    hosts=["db1"],
                    roles=["db-admin"],
                ),
            ],
            "grants": [
                policy_pb2.EndingGrant(grant_id=f"gnt-{n:016d}", user="carol", host="db1", role="db-admin", why="gone")
                for n in (1, 2)
            ],
            "requests": [
                policy_pb2.EndingRequest(
                    request_id="req-0000000000000003", user="carol", host="db1", role="db-admin", why="gone"
                )
            ],
            "roles": [policy_pb2.RoleChange(role="db-admin", what="changed", details=["max: 2h -> 1h"])],
            **changes,
        }
    )


def test_lint_tells_every_finding_with_its_place_and_fix_and_ends_with_1(
    alice: Any, server: FakeServer, file: Path
) -> None:
    hidden = finding(7, "warning", "no approval", rule="no-approval")
    server.plan.report.CopyFrom(
        report(
            finding(3, "error", "unknown key hots", fix="write hosts"),
            finding(4, "warning", "no MFA", rule="no-mfa"),
            suppressed=(hidden,),
        )
    )
    bad = alice("policy", "lint", str(file))
    assert bad.status == 1
    assert bad.out.splitlines() == [
        "roles.yaml:3:5: error: unknown key hots; write hosts",
        "roles.yaml:4:5: warning: no MFA [no-mfa]",
    ]
    assert bad.err == "1 error, 1 warning, 1 suppressed\n"
    assert [(sent.name, sent.text) for sent in server.asked[0].files] == [(str(file), TEXT)]
    verbose = alice("policy", "lint", str(file), "-v")
    assert verbose.out.splitlines()[-1] == "roles.yaml:7:5: warning: no approval [no-approval] (suppressed)"
    server.plan.report.CopyFrom(report(finding(4, "warning", "no MFA")))
    good = alice("policy", "lint", str(file))
    assert (good.status, good.err) == (0, "1 warning\n")
    assert alice("policy", "lint", str(file), "-o", "json").json["findings"][0]["line"] == 4


def test_a_finding_of_unknown_weight_is_an_error(alice: Any, server: FakeServer, file: Path) -> None:
    server.plan.report.CopyFrom(report(finding(1, "fatal", "new kind")))
    assert alice("policy", "lint", str(file)).status == 1
    assert alice("policy", "apply", str(file), "--yes").status == 1
    assert server.policies == []


def test_a_directory_stands_for_its_yaml_files_in_order(alice: Any, server: FakeServer, tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    folder.mkdir()
    refused = alice("policy", "lint", str(folder))
    assert (refused.status, "has no *.yaml in it" in refused.err, server.asked) == (2, True, [])
    for name in ("b.yaml", "a.yaml", "notes.txt", ".c.yaml.swp"):
        (folder / name).write_text(f"# {name}\n")
    assert alice("policy", "lint", str(folder), str(folder / "a.yaml")).status == 0
    assert [sent.name for sent in server.asked[0].files] == [f"{folder}/a.yaml", f"{folder}/b.yaml"]
    for number in range(101):
        (folder / f"{number}.yaml").write_text("")
    assert "the limit is 100" in alice("policy", "lint", str(folder)).err


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


def test_plan_says_what_changes_for_people_first(alice: Any, server: FakeServer, file: Path) -> None:
    server.plan = a_plan(needs_approval="dan gains root")
    told = alice("policy", "plan", str(file))
    assert (told.status, server.policies) == (0, [])
    assert told.out.splitlines()[:5] == [
        "+3 people can become root on 12 hosts, by web-admin",
        "-carol loses db-admin: can no longer run commands as postgres on db1",
        "2 live grants will end",
        "1 pending request will be cancelled",
        "Somebody else has to approve it: dan gains root",
    ]
    assert "    people: dan, eve, fay\n" in told.out
    assert "gnt-0000000000000001 of carol on db1 (db-admin): gone\n" in told.out
    assert "role db-admin: changed\n    max: 2h -> 1h\n" in told.out
    assert alice("policy", "plan", str(file), "-o", "json").json["reach"][0]["people_count"] == 3


def test_plan_ends_with_the_statuses_of_terraform_when_told_so(alice: Any, server: FakeServer, file: Path) -> None:
    words = ("policy", "plan", str(file), "--detailed-exitcode")
    assert alice(*words).status == 2
    server.plan = a_plan(changes_anything=False)
    same = alice(*words)
    assert (same.status, same.out) == (0, "Nothing changes.\n")
    server.plan = a_plan(report=report(finding(1, "error", "no")))
    assert alice(*words).status == 1
    # 2 would say that something changes; without the option it is what SPEC 4.3 says.
    missing = str(file) + "x"
    assert alice("policy", "plan", missing, "--detailed-exitcode").status == 1
    assert alice("policy", "plan", missing).status == 2


def test_a_plan_whose_tests_fail_is_an_error(alice: Any, server: FakeServer, file: Path) -> None:
    failed = policy_pb2.TestResult(file="roles.yaml", line=9, name="ops stay out", message="expected deny, got allow")
    server.plan = a_plan(failed_tests=[failed])
    told = alice("policy", "plan", str(file))
    assert told.out == "roles.yaml:9: FAILED: ops stay out: expected deny, got allow\n"
    assert (told.status, told.err) == (1, "1 test failed; nothing was changed\n")
    assert alice("policy", "apply", str(file), "--yes").status == 1
    assert server.policies == []


def test_apply_asks_nothing_without_a_terminal_and_needs_yes(alice: Any, server: FakeServer, file: Path) -> None:
    server.plan = a_plan()
    refused = alice("policy", "apply", str(file))
    assert (refused.status, "say it with --yes" in refused.err, server.asked) == (2, True, [])
    done = alice("policy", "apply", str(file), "--yes", "-m", "CHG-12")
    assert (done.status, done.err) == (0, "policy version 1 is in force, 2 grants ended, 1 request cancelled\n")
    assert "+3 people can become root on 12 hosts, by web-admin\n" in done.out
    assert server.asked[0].reason == "CHG-12"
    assert alice("policy", "apply", str(file), "-y", "--expect-version", "7").status == 7
    piped = alice("policy", "apply", "-", "-y", "-o", "json", stdin="version: 1\n")
    assert (piped.json["version"], server.policies[-1].policy.files[0].text) == (2, "version: 1\n")


def test_apply_shows_the_plan_and_asks_on_a_terminal(
    alice: Any, server: FakeServer, file: Path, on_terminal: Any
) -> None:
    server.plan = a_plan()
    child = on_terminal("policy", "apply", str(file))
    child.expect_exact("carol loses db-admin")
    child.expect_exact("Apply this? [y/N]")
    child.sendline("n")
    child.expect_exact("nothing was changed")
    assert (child.end(), server.policies) == (1, [])
    child = on_terminal("policy", "apply", str(file))
    child.expect_exact("Apply this? [y/N]")
    # Somebody was faster: what was agreed to was against another version.
    server.put_policy(policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="x", text="")]))
    server.put_policy(policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="x", text="")]))
    child.sendline("y")
    child.expect_exact("policy version 3 is in force")
    assert child.end() == 0
    child = on_terminal("policy", "apply", str(file))
    child.expect_exact("Apply this? [y/N]")
    server.put_policy(policy_pb2.PolicyText(files=[policy_pb2.PolicyFile(name="x", text="")]))
    child.sendline("y")
    child.expect_exact("version 4 is in force")
    assert child.end() == 7


def test_apply_that_changes_nothing_asks_nothing(alice: Any, server: FakeServer, file: Path, on_terminal: Any) -> None:
    server.plan = a_plan(changes_anything=False)
    child = on_terminal("policy", "apply", str(file))
    child.expect_exact("Nothing changes.")
    assert (child.end(), server.policies) == (0, [])


def test_a_change_that_needs_a_second_person_is_proposed(alice: Any, server: FakeServer, file: Path) -> None:
    proposed = policy_pb2.PolicyChange(
        change_id="chg-0000000000000001",
        state="pending",
        proposed_by="alice",
        proposed_at=now_us(),
        approvals_needed=1,
        approvers=["carol", "dave"],
    )
    server.plan = a_plan(change=proposed)
    told = alice("policy", "apply", str(file), "-y")
    assert told.err == "proposed as chg-0000000000000001, waits for 1 of carol, dave\n"
    assert (told.status, server.policies) == (3, [])


def texts(*contents: str) -> policy_pb2.PolicyText:
    return policy_pb2.PolicyText(
        files=[policy_pb2.PolicyFile(name=f"{number}.yaml", text=text) for number, text in enumerate(contents)]
    )


def test_show_and_history_say_what_was_in_force_since_when_and_why(alice: Any, server: FakeServer) -> None:
    assert alice("policy", "show").status == 6
    server.put_policy(texts("a: 1\n"), "first")
    server.put_policy(texts("a: 2\n", "b: 1"), "second")
    server.put_policy(texts("a: 1\n"), "INC-7", rolled_back_to=1)
    assert alice("policy", "show").out == "a: 1\n"
    assert alice("policy", "show", "--version", "2").out == "# file: '0.yaml'\na: 2\n# file: '1.yaml'\nb: 1\n"
    assert alice("policy", "show", "-o", "json").json["version"]["rolled_back_to"] == 1
    rows = [line.split("\t") for line in alice("policy", "history", "--no-header").out.splitlines()]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("3", "alice", "version 1 again: INC-7"),
        ("2", "alice", "second"),
        ("1", "alice", "first"),
    ]
    newest = alice("policy", "history", "-n", "1", "-o", "name")
    assert (newest.out, "only the newest 1 " in newest.err) == ("3\n", True)


def test_rollback_puts_a_former_version_in_force_again(alice: Any, server: FakeServer) -> None:
    server.put_policy(texts("a: 1\n"))
    server.put_policy(texts("a: 2\n"))
    assert alice("policy", "rollback", "1").status == 2
    done = alice("policy", "rollback", "1", "-y", "-m", "INC-7")
    assert (done.status, "policy version 3 is in force" in done.err) == (0, True)
    assert (server.policies[-1].policy.files[0].text, server.policies[-1].version.rolled_back_to) == ("a: 1\n", 1)
    assert alice("policy", "rollback", "9", "-y").status == 6


def test_diff_compares_lines_and_says_what_they_mean(alice: Any, server: FakeServer, file: Path) -> None:
    server.put_policy(texts("a: 1\nb: 1\n"))
    server.put_policy(texts("a: 2\nb: 1\n"))
    server.plan = a_plan()
    last = alice("policy", "diff").out.splitlines()
    assert last == ["--- 0.yaml (version 1)", "+++ 0.yaml (version 2)", "@@ -1,2 +1,2 @@", "-a: 1", "+a: 2", " b: 1"]
    back = alice("policy", "diff", "1").out
    assert "-a: 2\n+a: 1\n" in back
    # From what is in force one wants to know what it would do; between others nobody could say.
    assert "+3 people can become root" in back
    assert "people" not in alice("policy", "diff", "1", "2").out
    files = alice("policy", "diff", str(file))
    assert "+# ünïcode\n" in files.out
    assert "carol loses db-admin" in files.out
    same = alice("policy", "diff", "2")
    assert (same.status, same.out, same.err) == (0, "", "no difference between version 2 and version 2\n")
    assert alice("policy", "diff", "1", str(file)).status == 2
    assert alice("policy", "diff", "1", "-o", "json").json["plan"]["grants_count"] == 2


def test_hostile_names_in_a_plan_are_shown_and_not_obeyed(alice: Any, server: FakeServer, file: Path) -> None:
    hostile = "x\x1b[2J\u202e\nroot"
    server.plan = a_plan()
    for change in server.plan.reach:
        change.people[:], change.hosts[:], change.roles[:], change.run_as = [hostile], [hostile], [hostile], hostile
    server.plan.grants[0].user = server.plan.grants[0].host = server.plan.grants[0].why = hostile
    server.plan.requests[0].user = server.plan.requests[0].role = server.plan.requests[0].why = hostile
    server.plan.roles[0].details[:] = [hostile]
    server.plan.needs_approval = hostile
    told = alice("policy", "plan", str(file))
    assert not set("\x1b\u202e") & set(told.out + told.err)
    assert "\nroot" not in told.out
    assert r"x\x1b[2J\u202e\nroot" in told.out
