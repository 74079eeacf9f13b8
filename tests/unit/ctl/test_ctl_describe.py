"""Requests and grants in words: what is special about one is said, and what nobody has proved is never called done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jit_ctl import describe
from jit_ctl.model import Ask, Grant, GrantState, Request, RequestState

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GRANT = Grant(
    grant_id="gnt-7f3a000000000000",
    request_id="req-7f3a000000000000",
    user="bob",
    host="web1",
    role="web",
    run_as_user="root",
    run_as_group="",
    commands=("ALL",),
    state=GrantState.ACTIVE,
    not_before=NOON,
    not_after=NOON + timedelta(hours=1),
    ended_at=None,
    end_reason="",
    end_confirmed=False,
    reason="nginx hangs",
    approved_by=("alice",),
    once=False,
    this_session=False,
    lease_s=0,
    extensions=0,
    unconfirmed_at=None,
    leftovers=(),
)
REQUEST = Request(
    request_id="req-7f3a000000000000",
    user="bob",
    host="web1",
    role="web",
    ask=Ask(("/usr/bin/id",), "root", "", shell=False, login=False, exact=False),
    reason="nginx hangs",
    ticket="",
    duration_s=1_800,
    state=RequestState.PENDING,
    created_at=NOON,
    lapses_at=None,
    approvals_needed=1,
    approvers=("alice",),
    decisions=(),
    grant=None,
    role_commands=("ALL",),
    mfa_passed=True,
    once=False,
    this_session=False,
    starts_at=None,
    extends="",
    extends_to=None,
    past_max_s=0,
    batch_id="",
    batch=(),
)


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%H:%M}"


def _facts(lines: list[str]) -> dict[str, str]:
    return {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in lines if not line.startswith(" ")}


def _status(**changes: object) -> str:
    return describe.grant_status(replace(GRANT, **changes), _when)  # type: ignore[arg-type]


def test_a_scheduled_grant_says_when_it_starts() -> None:
    assert _status(state=GrantState.SCHEDULED) == "scheduled, starts 12:00"
    over = {"state": GrantState.ENDED, "end_reason": "revoked", "end_confirmed": True}
    assert _status(**over, ended_at=NOON - timedelta(hours=1)) == "revoked before it started"
    assert _status(**over, ended_at=NOON + timedelta(hours=1)) == "revoked, confirmed by the host"


def test_an_end_nobody_confirmed_stands_out_with_host_and_time() -> None:
    lost = {"state": GrantState.UNCONFIRMED, "end_reason": "revoked", "unconfirmed_at": NOON}
    assert _status(**lost) == "revoked, NOT CONFIRMED by web1 since 12:00"
    assert _status(**{**lost, "end_reason": "lease"}) == "lease ran out, NOT CONFIRMED by web1 since 12:00"
    assert _status(**{**lost, "end_reason": ""}) == "time is up, NOT CONFIRMED by web1 since 12:00"
    assert describe.style(GrantState.UNCONFIRMED) == "bold red"
    assert all(describe.style(state) != "bold red" for state in set(GrantState) - {GrantState.UNCONFIRMED})


def test_what_is_special_about_a_grant_is_in_its_terms_and_facts() -> None:
    special = replace(
        GRANT, once=True, this_session=True, lease_s=120, extensions=2, leftovers=("41 sleep 9", "42 nc (killed)")
    )
    assert describe.terms(GRANT) == ""
    assert describe.terms(special) == "once, this session, lease 2m, extended 2 times, 2 left over"
    lines = describe.grant_facts(special, _when)
    facts = _facts(lines)
    assert facts["Only"] == "one sudo in the login session it is asked from"
    assert facts["Offline"] == "ends 2m after the server was last heard"
    assert facts["Extended"] == "2 times"
    assert facts["Left over"] == "41 sleep 9"
    assert [line.strip() for line in lines if line.startswith(" ")] == ["42 nc (killed)"]
    assert {"Only", "Offline", "Extended", "Left over"}.isdisjoint(_facts(describe.grant_facts(GRANT, _when)))


def test_an_extension_says_of_which_grant_until_when_and_whether_it_is_past_the_maximum() -> None:
    longer = replace(REQUEST, extends=GRANT.grant_id, extends_to=NOON + timedelta(hours=3, minutes=30))
    assert _facts(describe.request_facts(longer, _when))["Asks for"] == f"30m more for {GRANT.grant_id}, until 15:30"
    past = replace(longer, past_max_s=3_600)
    assert describe.extension(past, _when).endswith(", until 15:30; past the role's maximum of 1h")
    assert describe.what(past) == f"30m more for {GRANT.grant_id}: /usr/bin/id"
    assert describe.extension(REQUEST, _when) == ""
    assert describe.what(REQUEST) == "/usr/bin/id"


def test_a_request_for_later_or_for_less_says_so() -> None:
    narrow = replace(REQUEST, starts_at=NOON + timedelta(hours=2), once=True)
    facts = _facts(describe.request_facts(narrow, _when))
    assert (facts["Starts"], facts["Only"]) == ("14:00", "one sudo")
    assert {"Starts", "Only", "Asks for"}.isdisjoint(_facts(describe.request_facts(REQUEST, _when)))
