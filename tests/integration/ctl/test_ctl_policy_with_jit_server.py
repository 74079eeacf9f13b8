"""The policy's commands against the real server: plan, apply, four eyes, rollback, answers, eligibility."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jit_ctl.model import Event
from jit_ctl.telling import told
from jit_testing.desk import Person

POLICY = """\
version: 1
groups:
  leads: [carol]
roles:
  web:
    hosts: {tier: web}
    commands: [/usr/bin/systemctl restart nginx.service]
    eligible: {people: [alice], until: 2099-01-01}
    approvers: {groups: [leads]}
    duration: {default: 30m, max: 2h}
tests:
  - {name: alice may, who: alice, on: {labels: {tier: web}}, role: web, expect: allow}
  - {name: bob may not, who: bob, on: {labels: {tier: web}}, role: web, expect: deny, because: not eligible}
"""
BOB_TOO = POLICY.replace("[alice],", "[alice, bob],").replace("expect: deny, because: not eligible", "expect: allow")
FOUR_EYES = "changes: {approvers: {people: [root-admin, carol]}}\n"


async def _fleet(admin: Person) -> None:
    """alice, bob and carol are known, and a host web1 is enrolled."""
    for name in ("alice", "bob", "carol"):
        assert (await admin("users", "add", name)).status == 0
    token = await admin("hosts", "enroll-token", "web1", "-l", "tier=web", "-o", "name")
    await admin.world.enroll(token.out.strip())


async def _at_work(admin: Person, name: str) -> Person:
    """Somebody known, with a second factor and a login."""
    person = Person(name, admin.home.parent / name, admin.world)
    await person.enrol((await admin("users", "mfa-reset", name, "-y")).out)
    await person.log_in()
    return person


def _write(folder: Path, text: str) -> str:
    file = folder / "policy.yaml"
    file.write_text(text)
    return str(file)


async def _words(admin: Person, *kinds: str) -> list[str]:
    """What the audit log tells people of these kinds of events."""
    events = (await admin("audit", "ls", "-o", "json")).json
    blank = Event(1, datetime(2026, 1, 1, tzinfo=UTC), "", "", "", "", "", "", "", {})
    found = [replace(blank, kind=one["kind"], details=one["details"]) for one in events if one["kind"] in kinds]
    return [told(event) for event in found]


async def test_a_policy_is_planned_applied_compared_and_rolled_back(admin: Person, tmp_path: Path) -> None:
    await _fleet(admin)
    file = _write(tmp_path, POLICY)
    assert (await admin("policy", "lint", file)).status == 0
    tested = await admin("policy", "test", file)
    assert (tested.status, tested.err) == (0, "2 tests, none failed\n")
    planned = await admin("policy", "plan", file, "--detailed-exitcode")
    assert (planned.status, "alice" in planned.out) == (2, True), planned.err
    assert (await admin("policy", "apply", file, "-y", "-m", "first")).status == 0
    assert (await admin("policy", "plan", file, "--detailed-exitcode")).status == 0

    _write(tmp_path, BOB_TOO)
    compared = await admin("policy", "diff", file)
    assert "+    eligible: {people: [alice, bob], until: 2099-01-01}\n" in compared.out
    assert "+bob gains web: can run commands as root on web1\n" in compared.out
    assert (await admin("policy", "apply", file, "-y", "-m", "second")).status == 0
    back = await admin("policy", "rollback", "1", "-y", "-m", "INC-7")
    assert "-bob loses web: can no longer run commands as root on web1\n" in back.out
    history = (await admin("policy", "history", "-o", "json")).json
    assert [(one["version"], one["rolled_back_to"], one["reason"]) for one in history] == [
        (3, 1, "INC-7"),
        (2, 0, "second"),
        (1, 0, "first"),
    ]
    _write(tmp_path, BOB_TOO.replace("expect: allow}", "expect: deny}"))
    failed = await admin("policy", "apply", file, "-y")
    assert (failed.status, "FAILED: alice may" in failed.out) == (1, True)
    assert (await admin("policy", "show", "-o", "name")).out == "3\n"


async def test_the_policy_says_who_may_what_and_why_not(admin: Person, tmp_path: Path) -> None:
    await _fleet(admin)
    alice = await _at_work(admin, "alice")
    assert (await admin("policy", "apply", _write(tmp_path, POLICY), "-y")).status == 0
    words = ("--", "/usr/bin/systemctl", "restart", "nginx.service")
    yes = await admin("policy", "explain", "alice", "web1", *words)
    assert (yes.status, "role web: yes" in yes.out, "1 approval of carol" in yes.out) == (0, True, True), yes.err
    no = await admin("policy", "explain", "bob", "web1", *words)
    assert (no.status, "FAIL  eligible: bob is not eligible for role web" in no.out) == (5, True)
    listed = (await admin("policy", "who-can", "--on", "tier=web", "-o", "json", *words)).json
    assert [(one["user"], one["role"], one["hosts"]) for one in listed] == [("alice", "web", ["web1"])]
    assert (await alice("policy", "what-can", "-o", "name")).out == "web\n"
    # About others only those may ask who may see the policy.
    assert (await alice("policy", "what-can", "bob")).status == 5
    good = await admin("policy", "test-command", "web", *words)
    assert (good.status, good.out.startswith("yes")) == (0, True)
    bad = await admin("policy", "test-command", "web", "--", "/usr/bin/systemctl", "stop", "nginx.service")
    assert (bad.status, bad.out.startswith("no")) == (5, True)
    mine = (await alice("eligibility", "ls", "--user", "alice", "-o", "json")).json
    assert [(one["role"], one["kind"], one["until"]) for one in mine] == [("web", "eligible", "2099-01-02T00:00:00Z")]


async def test_a_change_of_who_becomes_root_waits_for_a_second_person(admin: Person, tmp_path: Path) -> None:
    await _fleet(admin)
    carol = await _at_work(admin, "carol")
    first = await admin("policy", "apply", _write(tmp_path, POLICY + FOUR_EYES), "-y")
    assert (first.status, (await admin("policy", "show", "-o", "name")).out) == (0, "1\n"), first.err
    proposed = await admin("policy", "apply", _write(tmp_path, BOB_TOO + FOUR_EYES), "-y", "-m", "CHG-12")
    assert (proposed.status, "waits for 1 of carol" in proposed.err) == (3, True), proposed.err
    change = (await admin("policy", "changes", "-o", "name")).out.strip()
    assert (await admin("policy", "change", "approve", change)).status == 5
    shown = await carol("policy", "change", "show", change)
    assert (shown.status, "+bob gains web: can run commands as root on web1" in shown.out) == (0, True), shown.err
    approved = await carol("policy", "change", "approve", change, "-m", "agreed")
    assert (approved.status, approved.out) == (0, f"{change} applied as version 2\n"), approved.err
    (newest, _) = (await admin("policy", "history", "-o", "json")).json
    assert (newest["applied_by"], newest["approved_by"], newest["reason"]) == ("root-admin", ["carol"], "CHG-12")
    assert await _words(admin, "policy.proposed", "policy.approved", "policy.applied") == [
        "version 1; 0 grants revoked, 0 requests cancelled",
        f"{change}, a change of version 1: CHG-12; role web: bob may ask for it, for longer, or without approval",
        f"{change}: agreed",
        "version 2, approved by carol; 0 grants revoked, 0 requests cancelled: CHG-12",
    ]
