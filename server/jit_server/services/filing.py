"""From an ask that the policy allows to a stored request and, where nobody has to approve it, its grant.

One request for one host; what is asked for several hosts at once is several of these (`batches`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from jit_server.domain.ask import Ask, check_ask, describe
from jit_server.domain.events import SERVER, Event, EventKind
from jit_server.domain.identity import Host, LocalUser, User
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.domain.lifecycle import RequestState
from jit_server.domain.policy.circumstances import Login
from jit_server.domain.policy.decision import Refused
from jit_server.domain.request import AccessRequest, check_reason, check_session, check_start, check_ticket
from jit_server.services import demands
from jit_server.services.demands import Given, Met
from jit_server.services.issuing import issue
from jit_server.services.recording import note_request
from jit_server.services.views import Choice
from jit_server.services.weighing import Moment
from jit_server.store import Transaction


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What `jit` collected; `duration_s` zero means the role's default, `otp` empty that none was given.

    `session` zero means any of the person's, `starts_at` (µs UTC) zero as soon as it is approved.  `hosts` are those it
    is for, in the person's words; none: the one it is asked on.  `dry_run`: it is only found out what would come of it.
    """

    role: str
    ask: Ask
    duration_s: int = 0
    reason: str = ""
    ticket: str = ""
    otp: str = field(default="", repr=False)
    once: bool = False
    session: int = 0
    starts_at: int = 0
    login: Login = field(default_factory=Login)
    hosts: tuple[str, ...] = ()
    dry_run: bool = False


def checked(untrusted: NewRequest, now: int) -> NewRequest:
    """The same, within its limits, but for the role, duration and code; raises `Invalid` or `LimitExceeded`."""
    return replace(
        untrusted,
        ask=check_ask(untrusted.ask),
        reason=check_reason(untrusted.reason),
        ticket=check_ticket(untrusted.ticket),
        session=check_session(untrusted.session),
        starts_at=check_start(untrusted.starts_at, now),
    )


def moment_of(new: NewRequest, now: int) -> Moment:
    return Moment(now, new.login, new.duration_s, new.reason, new.ticket, new.starts_at)


def given(new: NewRequest) -> Given:
    return Given(new.reason, new.ticket, new.otp)


def draft(
    new: NewRequest, choice: Choice, met: Met, *, person: User, host: Host, local: LocalUser, now: int
) -> AccessRequest:
    """The request as it would be stored, still without an id; raises `Invalid` for a duration the role never gives."""
    role, approvals = choice.role, 0 if choice.active else choice.role.approvals
    duration_s = demands.duration(role, new.duration_s)
    lapses_at = now + role.request_timeout_s * 1_000_000
    if new.starts_at:
        lapses_at = min(lapses_at, new.starts_at + duration_s * 1_000_000)
    return AccessRequest(
        request_id="",
        user_id=person.user_id,
        host_id=host.host_id,
        local_user=local,
        role=role.name,
        ask=new.ask,
        reason=new.reason,
        ticket=new.ticket,
        duration_s=duration_s,
        state=RequestState.PENDING if approvals else RequestState.APPROVED,
        created_at=now,
        lapses_at=lapses_at,
        approvals_needed=approvals,
        role_commands=describe(role.commands),
        mfa_passed=met.mfa,
        once=new.once or role.once,
        session=new.session,
        starts_at=new.starts_at,
        login=new.login,
    )


async def file(
    tx: Transaction,
    drafted: AccessRequest,
    choice: Choice,
    met: Met,
    *,
    person: User,
    host: Host,
    random_bytes: RandomBytes,
) -> AccessRequest:
    """Store the request under an id, with its event, and make its grant if nobody has to approve it."""
    request, now = replace(drafted, request_id=new_id(Kind.REQUEST, random_bytes)), drafted.created_at
    await tx.requests.add(request)
    await note_request(
        tx,
        EventKind.REQUEST_CREATED,
        request,
        actor=person.name,
        now=now,
        user=person,
        host=host,
        command=str(request.ask),
        run_as=request.ask.run_as_user,
        run_as_group=request.ask.run_as_group,
        exact=request.ask.exact,
        reason=request.reason,
        ticket=request.ticket,
        duration_s=request.duration_s,
        approvals_needed=request.approvals_needed,
        active=choice.active,
        mfa=met.mfa,
        mfa_proved_at=met.proved_at,
        login=str(request.login),
        once=request.once,
        session=request.session,
        starts_at=request.starts_at,
        **({"batch": request.batch_id} if request.batch_id else {}),
    )
    if request.state is RequestState.APPROVED:
        await issue(
            tx,
            request,
            choice.role,
            user=person,
            host=host,
            approved_by=(),
            actor=SERVER,
            now=now,
            until=choice.until,
            random_bytes=random_bytes,
        )
    return request


async def note_refusal(
    tx: Transaction, refused: Refused, ask: Ask, *, person: User, host: Host, role: str, now: int
) -> None:
    """Write down that the policy said no."""
    details = {"why": refused.why, "command": str(ask), "run_as": ask.run_as_user}
    kind = EventKind.REQUEST_REFUSED
    await tx.audit.append(
        Event(at=now, kind=kind, actor=person.name, user=person.name, host=host.name, role=role[:128], details=details)
    )
