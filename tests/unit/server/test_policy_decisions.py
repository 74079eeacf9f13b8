"""What the policy says to one ask: every refusal beside its success."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain.ask import ALL, Ask, Command
from jit_server.domain.identity import Host, User
from jit_server.domain.policy.decision import Allowed, Refused, evaluate, may_decide, still_covers
from jit_server.domain.policy.model import NO_POLICY, Eligibility, LabelTest, Party, Policy, Role, Selector
from jit_testing.server_fakes import (
    START,
    a_case,
    a_grant,
    a_host,
    a_policy,
    a_request,
    a_role,
    a_user,
    labelled,
    people_for_good,
)

ALICE, BOB, CAROL, DAVE = a_user("alice"), a_user("bob"), a_user("carol"), a_user("dave")
PEOPLE = (ALICE, BOB, CAROL, DAVE)
WEB1 = a_host("web1", tier="web", env="prod")
RESTART = Command("/usr/bin/systemctl", ("restart", "nginx"))
JOURNAL = Command("/usr/bin/journalctl", None)


def decide(role: Role, *, user: User = ALICE, host: Host = WEB1, ask: Ask | None = None) -> Allowed | Refused:
    return evaluate(a_case(a_policy(role, ops=["alice", "bob"]), role, user, host, ask, people=PEOPLE))


def why(role: Role, *, user: User = ALICE, host: Host = WEB1, ask: Ask | None = None) -> str:
    decision = decide(role, user=user, host=host, ask=ask)
    assert isinstance(decision, Refused)
    return decision.why


def test_a_policy_without_roles_allows_nothing() -> None:
    assert NO_POLICY.roles == {}
    assert NO_POLICY.approver_of(CAROL) == frozenset()


def test_eligible_people_and_members_of_eligible_groups_fit_and_nobody_else() -> None:
    by_name, by_group = a_role(), replace(a_role(), eligible=people_for_good(groups=["ops"]))
    assert decide(by_name) == Allowed(by_name, (CAROL,))
    assert decide(by_group, user=BOB) == Allowed(by_group, (CAROL,))
    assert "not eligible" in why(by_name, user=BOB)
    assert "not eligible" in why(by_group, user=DAVE)
    assert "not eligible" in why(replace(by_name, eligible=people_for_good(groups=["no-such-group"])))


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (labelled(tier="web"), True),
        (labelled(tier="web", env="prod"), True),
        (labelled(tier="web", env="test"), False),
        (labelled(tier="db"), False),
        (labelled(nowhere=""), False),
        (Selector({"env": LabelTest(frozenset({"test", "prod"}))}), True),
        (Selector({"env": LabelTest(frozenset({"test", "stage"}))}), False),
        (Selector({"env": LabelTest(frozenset({"test"}), negated=True)}), True),
        (Selector({"env": LabelTest(frozenset({"test", "prod"}), negated=True)}), False),
        (Selector({"nowhere": LabelTest(frozenset({"dmz"}), negated=True)}), False),
        (Selector({}), False),
        (Selector({}, all_hosts=True), True),
    ],
)
def test_a_role_reaches_hosts_that_have_all_its_labels(selector: Selector, matches: bool) -> None:
    assert isinstance(decide(a_role(hosts=selector)), Allowed) is matches


def test_a_command_fits_if_it_is_exactly_one_of_the_roles() -> None:
    role = a_role(commands=(RESTART, JOURNAL))
    assert isinstance(decide(role, ask=Ask(("/usr/bin/systemctl", "restart", "nginx"))), Allowed)
    assert isinstance(decide(role, ask=Ask(("/usr/bin/journalctl", "-u", "anything at all"))), Allowed)
    assert isinstance(decide(role, ask=Ask(())), Allowed)
    for argv in (
        ("/usr/bin/systemctl", "restart", "nginx", "sshd"),
        ("/usr/bin/systemctl", "restart"),
        ("/usr/bin/systemctl", "restart nginx"),
        ("/bin/systemctl", "restart", "nginx"),
        ("/usr/bin/systemctl-x",),
    ):
        assert "does not allow" in why(role, ask=Ask(argv))


def test_a_refused_command_is_told_what_would_work() -> None:
    decision = decide(a_role(commands=(RESTART, JOURNAL)), ask=Ask(("/bin/sh",)))
    assert isinstance(decision, Refused)
    assert decision.hint == "it allows: /usr/bin/systemctl restart nginx; /usr/bin/journalctl …"


def test_run_as_is_part_of_the_ask() -> None:
    role = a_role(run_as_groups=("adm",))
    assert isinstance(decide(role, ask=Ask(("/bin/id",), run_as_user="www-data")), Allowed)
    assert isinstance(decide(role, ask=Ask(("/bin/id",), run_as_group="adm")), Allowed)
    assert "as postgres" in why(role, ask=Ask(("/bin/id",), run_as_user="postgres"))
    assert "group docker" in why(role, ask=Ask(("/bin/id",), run_as_group="docker"))


@pytest.mark.parametrize("shell", [Ask((), shell=True), Ask((), login=True), Ask(("/bin/id",), shell=True)])
def test_a_shell_needs_a_role_that_gives_one(shell: Ask) -> None:
    assert isinstance(decide(a_role(shell=True), ask=shell), Allowed)
    assert "no shell" in why(a_role(shell=False), ask=shell)
    assert "no shell" in why(a_role(shell=True, commands=(RESTART,)), ask=shell)


def test_disabled_people_and_removed_hosts_get_nothing() -> None:
    assert "disabled" in why(a_role(), user=replace(ALICE, disabled=True))
    assert "removed" in why(a_role(), host=replace(WEB1, removed=True))


def test_the_requester_and_disabled_people_never_decide() -> None:
    role = replace(a_role(approvers=["alice", "carol", "dave"]), eligible=people_for_good("alice"))
    policy = a_policy(role)
    assert may_decide(policy, role, ALICE.user_id, PEOPLE) == (CAROL, DAVE)
    assert may_decide(policy, role, BOB.user_id, PEOPLE) == (ALICE, CAROL, DAVE)
    gone = replace(CAROL, disabled=True)
    assert may_decide(policy, role, ALICE.user_id, (ALICE, gone, DAVE)) == (DAVE,)
    assert policy.approver_of(gone) == frozenset()


def test_a_role_that_nobody_could_approve_is_refused_when_it_is_asked_for() -> None:
    assert isinstance(decide(a_role(approvers=["carol", "dave"], approvals=2)), Allowed)
    assert why(a_role(approvers=["carol"], approvals=2)) == "role web needs 2 approvals, and only carol could give one"
    assert why(a_role(approvers=["alice"])) == "role web needs 1 approval, and nobody could give one"
    assert isinstance(decide(a_role(approvers=[], approvals=0)), Allowed)


def _policy_after(**changes: object) -> Policy:
    return a_policy(replace(a_role(commands=(RESTART, JOURNAL), max_s=600), **changes))  # type: ignore[arg-type]


def test_a_live_grant_stays_within_the_policy_or_is_no_longer_covered() -> None:
    """S10."""
    grant = replace(a_grant(a_request(ALICE, WEB1), commands=(RESTART,)), approved_by=("usr-0000000000000009",))
    assert still_covers(_policy_after(), grant, ALICE, WEB1, START) is None
    assert still_covers(_policy_after(commands=ALL), grant, ALICE, WEB1, START) is None
    for changed in (
        NO_POLICY,
        _policy_after(eligible=()),
        _policy_after(hosts=labelled(tier="db")),
        _policy_after(commands=(JOURNAL,)),
        _policy_after(run_as_users=("www-data",)),
        _policy_after(max_s=599),
    ):
        assert isinstance(still_covers(changed, grant, ALICE, WEB1, START), Refused)
    unasked = replace(grant, approved_by=())
    assert isinstance(still_covers(_policy_after(), unasked, ALICE, WEB1, START), Refused)
    assert still_covers(_policy_after(approvals=0), unasked, ALICE, WEB1, START) is None
    standing = Eligibility(Party(people=frozenset({"alice"})), active=True, reason="on call")
    assert still_covers(_policy_after(eligible=(standing,)), unasked, ALICE, WEB1, START) is None
    placed = replace(grant, directory="/srv", environment=("LINES",))
    kept = _policy_after(directory="/srv", environment=("COLUMNS", "LINES"))
    assert still_covers(kept, placed, ALICE, WEB1, START) is None
    assert still_covers(_policy_after(environment=("LINES",)), placed, ALICE, WEB1, START) is None
    for changed in (_policy_after(directory="/srv"), _policy_after(directory="/opt", environment=("LINES",))):
        assert isinstance(still_covers(changed, placed, ALICE, WEB1, START), Refused)
    assert isinstance(still_covers(kept, replace(placed, directory=""), ALICE, WEB1, START), Refused)
    shell = replace(grant, commands=ALL, shell=True)
    assert still_covers(_policy_after(commands=ALL, shell=True), shell, ALICE, WEB1, START) is None
    assert isinstance(still_covers(_policy_after(commands=ALL, shell=False), shell, ALICE, WEB1, START), Refused)
    assert isinstance(still_covers(_policy_after(), shell, ALICE, WEB1, START), Refused)


def test_a_role_too_large_to_be_signed_is_refused_when_it_is_asked_for() -> None:
    """SPEC 2.1, 2.2: an envelope has at most 32,768 bytes, and a grant 200 commands."""
    few, many = a_role(commands=(JOURNAL,) * 200), a_role(commands=(JOURNAL,) * 201)
    assert isinstance(decide(few), Allowed)
    assert "201 commands" in why(many)
    long = a_role(commands=tuple(Command("/bin/x", ("y" * 4_000,)) for _ in range(7)))
    assert "bytes of commands" in why(long)
    words = ("/bin/x", *["y" * 4_000] * 7)
    assert isinstance(decide(a_role(), ask=Ask(words)), Allowed)
    assert "bytes of commands" in why(a_role(), ask=Ask(words, exact=True))


def test_a_pinned_command_may_be_asked_for_and_one_that_lost_its_pin_is_covered_no_more() -> None:
    pinned = replace(RESTART, sha256="0a" * 32)
    role = a_role(commands=(pinned,))
    words = (RESTART.path, "restart", "nginx")
    assert isinstance(decide(role, ask=Ask(words)), Allowed)
    assert isinstance(decide(role, ask=Ask(words, exact=True)), Allowed)
    assert "does not allow" in why(role, ask=Ask((RESTART.path, "restart", "sshd")))
    grant = replace(a_grant(a_request(ALICE, WEB1), commands=(pinned,)), approved_by=("usr-2",))
    assert still_covers(_policy_after(commands=(pinned,)), grant, ALICE, WEB1, START) is None
    repinned = _policy_after(commands=(replace(RESTART, sha256="1b" * 32),))
    assert isinstance(still_covers(repinned, grant, ALICE, WEB1, START), Refused)
