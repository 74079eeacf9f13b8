"""What a lock hits, how long, and what it says: pure, by name, the longest first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jit_server.domain import lock as locking
from jit_server.domain.lock import LockKind
from jit_server.domain.policy.decision import Allowed, Refused, evaluate, may_decide
from jit_server.domain.policy.model import Policy
from jit_server.errors import Invalid
from jit_testing.server_fakes import SECOND, START, a_case, a_host, a_lock, a_policy, a_role, a_user, an_ask

ALICE, CAROL, DAVE = a_user("alice"), a_user("carol"), a_user("dave")
WEB1, WEB2 = a_host("web1"), a_host("web2")
ROLE, OTHER = a_role("web", approvers=["carol", "dave"]), a_role("db", approvers=["carol"])


def _policy(kind: LockKind, target: str) -> Policy:
    return replace(a_policy(ROLE, OTHER), locks=(a_lock(DAVE, kind=kind, target=target),))


@pytest.mark.parametrize(
    ("kind", "target", "free"),
    [
        (LockKind.USER, "alice", "a_user"),
        (LockKind.HOST, "web1", "a_host"),
        (LockKind.ROLE, "web", "a_role"),
    ],
)
def test_a_lock_refuses_what_it_names_and_nothing_else(kind: LockKind, target: str, free: str) -> None:
    policy = _policy(kind, target)
    people = [ALICE, CAROL, DAVE]
    refused = evaluate(a_case(policy, ROLE, ALICE, WEB1, an_ask(), people=people))
    assert isinstance(refused, Refused)
    assert refused.why.endswith("is locked: stolen laptop (by dave)")
    assert "jitctl unlock lck-" in refused.hint
    bob = a_user("bob")
    role = a_role("web", eligible=["alice", "bob"], approvers=["carol"])
    elsewhere = {
        "a_user": evaluate(a_case(policy, role, bob, WEB1, an_ask(), people=people)),
        "a_host": evaluate(a_case(policy, ROLE, ALICE, WEB2, an_ask(), people=people)),
        "a_role": evaluate(a_case(policy, OTHER, ALICE, WEB1, an_ask(), people=people)),
    }
    assert isinstance(elsewhere[free], Allowed)


def test_who_is_locked_does_not_decide_and_counts_for_no_quorum() -> None:
    """A stolen laptop must not approve either."""
    policy = _policy(LockKind.USER, "carol")
    people = [ALICE, CAROL, DAVE]
    assert may_decide(policy, ROLE, ALICE.user_id, people) == (DAVE,)
    both = evaluate(a_case(policy, replace(ROLE, approvals=2), ALICE, WEB1, an_ask(), people=people))
    assert isinstance(both, Refused)
    assert both.why == "role web needs 2 approvals, and only dave could give one"


def test_of_several_locks_the_one_that_lasts_longest_is_told() -> None:
    hour, two = START + 3_600 * SECOND, START + 7_200 * SECOND
    short, long = a_lock(DAVE, expires_at=hour), a_lock(DAVE, expires_at=two)
    forever = a_lock(DAVE)
    assert locking.on_person([short, long], ALICE) is long
    assert locking.on_person([short, forever, long], ALICE) is forever
    assert locking.on_person([short], CAROL) is None


def test_a_lock_says_until_when_why_and_by_whom() -> None:
    lock = a_lock(CAROL, expires_at=1_790_002_800 * SECOND)
    assert str(lock) == "alice is locked until 2026-09-21 15:00 UTC: stolen laptop (by carol)"
    assert str(a_lock(CAROL, kind=LockKind.HOST, target="web1")) == "host web1 is locked: stolen laptop (by carol)"


def test_a_lock_stands_from_its_making_to_its_end() -> None:
    lock = a_lock(CAROL, expires_at=START + 10)
    assert [lock.stands_at(at) for at in (START, START + 9, START + 10)] == [True, True, False]
    assert not replace(lock, lifted_at=START + 1).stands_at(START + 2)
    assert a_lock(CAROL).stands_at(2**62)


@pytest.mark.parametrize("seconds", [-1, locking.MAX_LOCK_S + 1, 2**62])
def test_a_duration_beyond_reason_is_refused(seconds: int) -> None:
    with pytest.raises(Invalid, match="cannot last"):
        locking.check_duration(seconds)
    assert locking.check_duration(0) == 0
    assert locking.check_duration(locking.MAX_LOCK_S) == locking.MAX_LOCK_S


def test_only_people_hosts_and_roles_can_be_locked() -> None:
    assert [locking.check_kind(word) for word in ("user", "host", "role")] == list(LockKind)
    for word in ("", "User", "fleet", "\x1b[2J"):
        with pytest.raises(Invalid, match="cannot be locked") as refused:
            locking.check_kind(word)
        assert refused.value.hint == "what can be locked: user, host, role"
