"""Reports of hosts: each is kept once, follows once, and is in the way of none (SPEC 5.3; S11)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from jit_server.domain.grant import Grant
from jit_server.domain.identity import Host, HostCaller, LocalUser, Person
from jit_server.domain.lifecycle import LIVE, OVER, REVOCABLE, GrantState
from jit_server.domain.report import (
    END_REASONS,
    Applied,
    DropAsked,
    Ended,
    Footprint,
    FootprintChange,
    GrantRefused,
    Report,
    ReportBody,
    SessionEnded,
    SessionRejected,
    SessionStarted,
    Unfit,
)
from jit_server.errors import Conflict
from jit_server.services import delivery
from jit_server.services.consequences import follow
from jit_server.store import Transaction
from jit_testing.core_world import SPOOL, CoreWorld, proof
from jit_testing.server_fakes import BOOT, OTHER_BOOT, a_role

UNFIT = Unfit("ended", "a report gives an unknown reason for the end of a grant", 40, "ab" * 32)


async def _granted(world: CoreWorld) -> tuple[HostCaller, Person, str]:
    await world.person("alice")
    carol = await world.person("carol")
    host = await world.host()
    await world.apply(a_role(max_s=600))
    return host, carol, await world.granted(host, carol)


async def test_a_report_is_kept_once_and_follows_once(world: CoreWorld) -> None:
    """SPEC 5.3."""
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    record = world.services.delivery.record_reports
    applied = Report(1, world.clock.now(), grant_id, Applied(1, "jit.scope"))
    assert await record(host, SPOOL, [applied]) == 1
    assert await record(host, SPOOL, [applied]) == 1
    ended = Report(2, world.clock.now(), grant_id, proof())
    assert await record(host, SPOOL, [ended]) == 2
    assert await record(host, SPOOL, [applied]) == 2
    assert await world.state(grant_id) is GrantState.ENDED
    assert await world.kinds("grant") == ["grant.issued", "grant.active", "grant.ended"]
    assert await world.hello(host) == 2
    assert await world.hello(host, spool="spool-2") == 0


async def test_reports_that_come_together_are_kept_together(world: CoreWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    record, now = world.services.delivery.record_reports, world.clock.now()
    applied, ended = Report(1, now, grant_id, Applied(1, "jit.scope")), Report(2, now, grant_id, proof())
    begun, write = 0, world.store.write

    def counted() -> AbstractAsyncContextManager[Transaction]:
        nonlocal begun
        begun += 1
        return write()

    monkeypatch.setattr(world.store, "write", counted)
    assert await record(host, SPOOL, [applied, ended]) == 2
    assert begun == 1
    assert await world.kinds("grant") == ["grant.issued", "grant.active", "grant.ended"]
    assert await record(host, SPOOL, [applied, ended, Report(3, now, grant_id, Applied(1, ""))]) == 3
    assert await record(host, SPOOL, []) == 3


async def test_what_came_before_a_report_that_cannot_be_kept_is_kept(
    world: CoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    record, now = world.services.delivery.record_reports, world.clock.now()
    applied, ended = Report(1, now, grant_id, Applied(1, "jit.scope")), Report(2, now, grant_id, proof())
    with pytest.raises(Conflict, match="report 3 came after report 1"):
        await record(host, SPOOL, [applied, Report(3, now, grant_id, Applied(1, ""))])
    assert await world.state(grant_id) is GrantState.ACTIVE

    async def mistaken(tx: Transaction, of: Host, grant: Grant | None, report: Report, at: int) -> None:
        if report.sequence == 3:
            raise RuntimeError("a mistake of ours")
        await follow(tx, of, grant, report, at)

    monkeypatch.setattr(delivery, "follow", mistaken)
    with pytest.raises(RuntimeError):
        await record(host, SPOOL, [ended, Report(3, now, grant_id, Applied(1, ""))])
    assert await world.state(grant_id) is GrantState.ENDED
    assert await world.hello(host) == 2


async def test_a_gap_in_the_reports_is_refused(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    record = world.services.delivery.record_reports
    with pytest.raises(Conflict, match="report 2 came after report 0"):
        await record(host, SPOOL, [Report(2, world.clock.now(), grant_id, Applied(1, ""))])
    assert await record(host, SPOOL, [Report(1, world.clock.now(), grant_id, Applied(1, ""))]) == 1


@pytest.mark.parametrize(
    "body",
    [
        Applied(1, "jit.scope"),
        Applied(9, "jit.scope"),
        GrantRefused(1, "unsafe", "x"),
        DropAsked(LocalUser(1_001, "alice")),
        Ended(1, "expired", 0, 0, True, True),
        UNFIT,
    ],
)
async def test_nothing_a_host_says_brings_an_ended_grant_back(world: CoreWorld, body: ReportBody) -> None:
    """S11."""
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    await world.report(host, grant_id, proof("stopped"))
    before = await world.grant(grant_id)
    await world.report(host, grant_id, body)
    assert await world.grant(grant_id) == before
    assert grant_id not in await world.wanted(host)


async def _in_state(world: CoreWorld, host: HostCaller, carol: Person, state: GrantState) -> str:
    """The id of a grant of ten minutes in that state."""
    ahead = world.clock.now() + 60_000_000 if state is GrantState.SCHEDULED else 0
    grant_id = await world.granted(host, carol, starts_at=ahead)
    if state not in {GrantState.SCHEDULED, GrantState.REFUSED}:
        await world.wanted(host)
    if state in {GrantState.ACTIVE, GrantState.ENDING, GrantState.UNCONFIRMED}:
        await world.take(host, grant_id)
    match state:
        case GrantState.ENDING:
            await world.services.grants.revoke(carol, grant_id)
        case GrantState.UNCONFIRMED:
            world.clock.advance(605)
            await world.services.grants.expire()
        case GrantState.ENDED:
            await world.report(host, grant_id, proof())
        case GrantState.REFUSED:
            await world.wanted(host)
            await world.report(host, grant_id, GrantRefused(1, "unsafe", "x"))
    assert await world.state(grant_id) is state
    return grant_id


@pytest.mark.parametrize(("boot", "away_s"), [(BOOT, 0), (OTHER_BOOT, 0), (OTHER_BOOT, 601)])
@pytest.mark.parametrize("state", list(GrantState))
async def test_no_report_is_ever_in_the_way_of_those_after_it(
    world: CoreWorld, state: GrantState, boot: str, away_s: int
) -> None:
    """SPEC 5.3: a report that cannot be kept would be sent again for ever.  And none adds a right (S11)."""
    host, carol, _ = await _granted(world)
    start = world.clock.now()
    bodies: tuple[ReportBody, ...] = (
        Applied(1, "jit.scope"),
        Applied(2**31, "jit.scope"),
        *(GrantRefused(1, code, "x") for code in ("replayed", "expired", "unsafe", "beyond_ceiling")),
        DropAsked(LocalUser(1_001, "alice")),
        *(proof(reason) for reason in sorted(END_REASONS)),
        *(proof(reason, revision=2**31) for reason in sorted(END_REASONS)),
        proof("expired", scope_empty=False),
        Footprint(start, start + 1, (FootprintChange("/etc/shadow", "account", "changed"),), truncated=False),
        UNFIT,
    )
    for body in bodies:
        await world.hello(host)
        grant_id = await _in_state(world, host, carol, state)
        world.clock.advance(away_s)
        await world.hello(host, boot=boot)
        for late in (0, 11):
            world.clock.advance(late)
            await world.report(host, grant_id, body)
            if state in OVER or state in {GrantState.ENDING, GrantState.UNCONFIRMED}:
                assert await world.state(grant_id) not in REVOCABLE
            if state is GrantState.SCHEDULED:
                assert await world.state(grant_id) not in LIVE


async def test_what_a_host_says_of_a_former_revision_does_not_count(world: CoreWorld) -> None:
    host, _, grant_id = await _granted(world)
    await world.wanted(host)
    world.clock.advance(100)
    await world.wanted(host)
    await world.report(host, grant_id, Applied(1, "jit.scope"))
    await world.report(host, grant_id, GrantRefused(1, "replayed", ""))
    assert await world.state(grant_id) is GrantState.ISSUED
    await world.take(host, grant_id)
    assert await world.state(grant_id) is GrantState.ACTIVE


async def test_what_sudo_ran_becomes_events_that_are_safe_to_show(world: CoreWorld) -> None:
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    user = LocalUser(1_001, "alice")
    argv = ("/bin/echo", "\x1b]0;x\x07", "a b")
    started = SessionStarted("ses-0000000000000001", user, "root", argv, "/bin/echo", "/home", "/dev/pts/1", False)
    await world.report(host, grant_id, started)
    await world.report(host, grant_id, SessionEnded("ses-0000000000000001", 0, "", 12, False))
    await world.report(host, "", SessionRejected("ses-0000000000000002", LocalUser(1_009, "mallory"), argv, "no"))
    first, ended, rejected = [recorded.event for recorded in await world.events("session")]
    assert (first.kind, first.user, first.grant_id, first.role) == ("session.started", "alice", grant_id, "web")
    assert first.details["command_line"] == r"/bin/echo $'\e]0;x\u0007' 'a b'"
    assert (ended.user, ended.details["exit_value"]) == ("alice", 0)
    assert (rejected.user, rejected.grant_id) == ("mallory (uid 1009)", "")


async def test_a_report_that_makes_no_sense_is_written_down_and_changes_no_grant(world: CoreWorld) -> None:
    """SPEC 5.3: refused as it is, it counts as kept, or the host would send it for ever; its words are not kept."""
    host, carol, _ = await _granted(world)
    grant_id = await world.delivered(host, carol)
    other = await world.host("web2")
    before, generation = await world.grant(grant_id), await world.services.delivery.generation(host)
    assert await world.report(host, grant_id, UNFIT) == 2
    assert await world.report(other, grant_id, UNFIT) == 1
    assert await world.grant(grant_id) == before
    assert await world.services.delivery.generation(host) == generation
    mine, others = [recorded.event for recorded in await world.events("report.refused")]
    assert (mine.actor, mine.host, mine.grant_id, mine.role) == ("host web1", "web1", grant_id, "web")
    assert dict(mine.details) == {
        "report": 2, "what": "ended", "why": UNFIT.why, "bytes": 40, "sha256": "ab" * 32,
    }  # fmt: skip
    assert (others.host, others.grant_id, others.role) == ("web2", "", "")
    await world.report(host, grant_id, proof("expired"))
    assert await world.state(grant_id) is GrantState.ENDED
