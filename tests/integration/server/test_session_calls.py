"""Sessions over the wire: told by a host, seen and ordered about by people, and the orders told to it (SPEC 8.5)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable

import grpc
import pytest
import pytest_asyncio

from jit_protos.v1 import common_pb2, host_pb2, sessions_pb2, sessions_pb2_grpc
from jit_testing.refusals import refused
from jit_testing.server_world import Host, Human, Session, World

ALICE = host_pb2.LocalUser(uid=1001, name="alice")
SES = "ses-000000000000000"
POLICY = """\
version: 1
roles:
  plain:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol]}
    approvals: 0
    mfa: false
    reason: false
    duration: {default: 10m, max: 1h}
    record: output
  watched:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol]}
    approvals: 0
    mfa: false
    reason: false
    duration: {default: 10m, max: 1h}
    record: output
    watch: 1m
"""


class Cast:
    """alice works on web1, whose stream is open; carol approves."""

    def __init__(self, world: World, people: dict[str, Human], web1: Host, stream: Session) -> None:
        self.world, self.people, self.web1, self.stream = world, people, web1, stream
        self._reported = 0

    async def grant(self, role: str) -> str:
        ask = common_pb2.Ask(argv=["/usr/bin/id"], run_as_user="root")
        asked = await self.world.host(self.web1).CreateRequest(
            host_pb2.CreateRequestRequest(user=ALICE, role=role, ask=ask)
        )
        return asked.grant.grant_id

    async def report(self, grant_id: str, **body: object) -> None:
        self._reported += 1
        await self.stream.report(self._reported, grant_id, **body)

    async def run(self, grant_id: str, number: int = 1, **changes: object) -> str:
        fields: dict[str, object] = {
            "session_id": f"{SES}{number}",
            "user": ALICE,
            "run_as_user": "root",
            "argv": ["/usr/bin/id", "-u"],
            "command": "/usr/bin/id",
            "cwd": "/home",
            "tty": "/dev/pts/1",
            "record": "output",
            "environment": ["TERM=xterm"],
            "rows": 24,
            "columns": 80,
        }
        await self.report(grant_id, session_started=host_pb2.SessionStarted(**(fields | changes)))  # type: ignore[arg-type]
        return f"{SES}{number}"

    async def becomes(self, session_id: str, state: sessions_pb2.SessionState.ValueType) -> sessions_pb2.Session:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    found = (await self.ask("root-admin").GetSession(_ref(session_id))).session
                    if found.state == state:
                        return found
                await asyncio.sleep(0.02)

    def ask(self, who: str) -> sessions_pb2_grpc.SessionServiceAsyncStub:
        return self.world.sessions(self.people[who])

    async def control(self, who: str, session_id: str, act: str, reason: str = "") -> sessions_pb2.Session:
        request = sessions_pb2.ControlSessionRequest(session_id=session_id, act=act, reason=reason)
        return await self.ask(who).ControlSession(request)


@pytest_asyncio.fixture
async def cast(world: World) -> AsyncIterator[Cast]:
    admin = await world.first_admin()
    people = {"root-admin": admin}
    for name, *duties in (("alice",), ("carol",), ("dave", "auditor")):
        people[name] = await world.add_user(admin, name, *duties)
    report = await world.apply_policy(admin, POLICY)
    assert report.version == 1, report.report.findings
    web1 = await world.add_host(admin, "web1", tier="web")
    stream = world.session(web1)
    await stream.hello()
    yield Cast(world, people, web1, stream)


def _ref(session_id: str) -> sessions_pb2.SessionRef:
    return sessions_pb2.SessionRef(session_id=session_id)


async def _next(
    reading: grpc.aio.UnaryStreamCall[sessions_pb2.ReadRecordingRequest, sessions_pb2.RecordingPiece],
) -> sessions_pb2.RecordingPiece:
    async with asyncio.timeout(10):
        piece = await reading.read()
    assert isinstance(piece, sessions_pb2.RecordingPiece), await reading.details()
    return piece


async def _refused_as(call: Awaitable[object], code: grpc.StatusCode) -> None:
    assert (await refused(call)).code() is code


async def test_what_a_host_tells_people_see_and_its_person_on_the_host_too(cast: Cast) -> None:
    grant_id = await cast.grant("plain")
    session_id = await cast.run(grant_id)
    ran = host_pb2.Subcommand(session_id=session_id, argv=["/bin/ls"], command="/bin/ls", cwd="/", run_as_user="root")
    await cast.report(grant_id, subcommand=ran)
    await cast.report(
        grant_id,
        session_ended=host_pb2.SessionEnded(
            session_id=session_id, exit_value=3, run_time_us=1_500, output_bytes=7, incomplete="the disk was full"
        ),
    )
    ended = await cast.becomes(session_id, sessions_pb2.SESSION_STATE_ENDED)
    assert (ended.user, ended.host, ended.role, ended.grant_id) == ("alice", "web1", "plain", grant_id)
    assert (list(ended.argv), ended.tty, ended.rows, ended.columns) == (["/usr/bin/id", "-u"], "/dev/pts/1", 24, 80)
    assert (ended.exit_value, ended.output_bytes, ended.incomplete) == (3, 7, "the disk was full")
    assert ended.recording == sessions_pb2.RECORDING_STATE_INCOMPLETE
    local = sessions_pb2.ListSessionsRequest(host="web1", user="alice", role="plain", text="id -u", limit=1)
    for who in ("alice", "carol", "dave"):
        listed = await cast.ask(who).ListSessions(local)
        assert (list(listed.sessions), listed.truncated) == ([ended], False)
    here = cast.world.host(cast.web1)
    mine = await here.ListMySessions(host_pb2.LocalListSessionsRequest(user=ALICE))
    assert list(mine.sessions) == [ended]
    details = await here.GetMySession(host_pb2.LocalSessionRef(user=ALICE, session_id=session_id))
    assert (list(details.environment), [command.command for command in details.commands]) == (
        ["TERM=xterm"],
        ["/bin/ls"],
    )
    assert details == await cast.ask("carol").GetSession(_ref(session_id))
    carol = host_pb2.LocalUser(uid=1002, name="carol")
    await _refused_as(
        here.GetMySession(host_pb2.LocalSessionRef(user=carol, session_id=session_id)), grpc.StatusCode.NOT_FOUND
    )


async def test_orders_are_told_at_once_and_again_to_a_new_stream(cast: Cast) -> None:
    assert await cast.stream.orders() == []
    session_id = await cast.run(await cast.grant("plain"))
    await cast.becomes(session_id, sessions_pb2.SESSION_STATE_RUNNING)
    for act, words in (("freeze", "frozen by carol: why?"), ("kill", "killed by carol: why?")):
        before = time.monotonic()
        shown = await cast.control("carol", session_id, act, "why?")
        assert shown.order == words
        order = (await cast.stream.orders())[0]
        print(f"{act}: the host was told after {(time.monotonic() - before) * 1_000:.0f} ms")
        assert (order.session_id, order.message) == (session_id, words)
        assert (order.frozen, order.killed) == (act == "freeze", act == "kill")
    cast.stream.end()
    again = cast.world.session(cast.web1)
    await again.hello()
    (order,) = await again.orders()
    assert order.killed
    await _refused_as(cast.control("dave", session_id, "kill"), grpc.StatusCode.PERMISSION_DENIED)
    await _refused_as(cast.control("carol", "ses-zzzz", "kill"), grpc.StatusCode.NOT_FOUND)
    await _refused_as(cast.control("carol", session_id, "hug"), grpc.StatusCode.INVALID_ARGUMENT)
    await _refused_as(cast.control("carol", session_id, "kill", "x" * 1_001), grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_a_waiting_session_is_let_in_by_a_watcher_and_out_again_when_they_leave(cast: Cast) -> None:
    """SPEC 8.5: a watcher counts until 5 s after their stream ends; meanwhile the host hears from us."""
    assert await cast.stream.orders() == []
    grant_id, session_id = await cast.grant("watched"), f"{SES}1"
    waiting = host_pb2.SessionWaiting(session_id=session_id, user=ALICE, argv=["/usr/bin/id"])
    await cast.report(grant_id, session_waiting=waiting)
    await cast.becomes(session_id, sessions_pb2.SESSION_STATE_WAITING)
    assert await cast.stream.orders() == []
    own = cast.ask("alice").ReadRecording(sessions_pb2.ReadRecordingRequest(session_id=session_id, watch=True))
    assert (await _next(own)).session.session_id == session_id
    assert await cast.stream.orders() == [], "nobody opens the gate for themselves"
    own.cancel()
    reading = cast.ask("carol").ReadRecording(sessions_pb2.ReadRecordingRequest(session_id=session_id, watch=True))
    while "carol" not in (await _next(reading)).session.watchers:
        pass
    async with asyncio.timeout(5):
        while not (orders := await cast.stream.orders()):
            pass
    assert [(order.session_id, order.watched) for order in orders] == [(session_id, True)]
    await cast.run(grant_id)
    await cast.becomes(session_id, sessions_pb2.SESSION_STATE_RUNNING)
    # Renewed, not only once: the watcher is still there after more than the time they count for.
    start = time.monotonic()
    gap = heard = start
    longest = 0.0
    while time.monotonic() < start + 6:
        assert [order.watched for order in await cast.stream.orders()] == [True]
        gap, heard = heard, time.monotonic()
        longest = max(longest, heard - gap)
    assert longest < 4, "a host that hears nothing for 10 s freezes the session"
    reading.cancel()
    left = time.monotonic()
    async with asyncio.timeout(10):
        while await cast.stream.orders():
            pass
    assert 2.5 < time.monotonic() - left < 6


@pytest.mark.parametrize(
    "body",
    [
        {"session_started": host_pb2.SessionStarted(session_id=f"{SES}1", user=ALICE)},
        {"session_started": host_pb2.SessionStarted(session_id=f"{SES}1", user=ALICE, record="all")},
        {"session_waiting": host_pb2.SessionWaiting(session_id=f"{SES}1")},
        {"session_waiting": host_pb2.SessionWaiting(session_id="../x", user=ALICE)},
        {"subcommand": host_pb2.Subcommand(session_id="x")},
        {"session_frozen": host_pb2.SessionFrozen(session_id=f"{SES}1", frozen=True)},
        {"session_ended": host_pb2.SessionEnded(session_id=f"{SES}1", chunks=1, digest=b"x")},
        {"session_ended": host_pb2.SessionEnded(session_id=f"{SES}1", digest=b"x" * 32)},
        {"session_ended": host_pb2.SessionEnded(session_id=f"{SES}1", output_bytes=2**63)},
    ],
)
async def test_a_word_about_a_session_that_is_none_is_refused_and_the_next_is_heard(
    cast: Cast, body: dict[str, object]
) -> None:
    await cast.report("", **body)
    told_next = await cast.run("", 2)
    await cast.becomes(told_next, sessions_pb2.SESSION_STATE_RUNNING)
    listed = await cast.ask("root-admin").ListSessions(sessions_pb2.ListSessionsRequest())
    assert [session.session_id for session in listed.sessions] == [told_next]


async def test_of_a_session_that_is_not_recorded_nobody_learns_its_words(cast: Cast) -> None:
    """SPEC 8.1, whatever the host sends."""
    session_id = await cast.run(await cast.grant("plain"), record="none")
    session = await cast.becomes(session_id, sessions_pb2.SESSION_STATE_RUNNING)
    assert (list(session.argv), session.command, session.cwd) == ([], "", "")
    assert list((await cast.ask("carol").GetSession(_ref(session_id))).environment) == []


async def test_questions_about_sessions_have_limits(cast: Cast) -> None:
    ask = cast.ask("carol")
    for request in (
        sessions_pb2.ListSessionsRequest(states=[99]),  # type: ignore[list-item]
        sessions_pb2.ListSessionsRequest(since=-1),
        sessions_pb2.ListSessionsRequest(grant_id="%"),
    ):
        await _refused_as(ask.ListSessions(request), grpc.StatusCode.INVALID_ARGUMENT)
    for request in (sessions_pb2.ListSessionsRequest(limit=1_001), sessions_pb2.ListSessionsRequest(text="x" * 257)):
        await _refused_as(ask.ListSessions(request), grpc.StatusCode.RESOURCE_EXHAUSTED)
    await _refused_as(ask.GetSession(_ref("")), grpc.StatusCode.INVALID_ARGUMENT)
    host = cast.world.host(cast.web1)
    await _refused_as(
        host.GetMySession(host_pb2.LocalSessionRef(session_id=f"{SES}1")), grpc.StatusCode.INVALID_ARGUMENT
    )
