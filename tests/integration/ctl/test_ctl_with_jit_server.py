"""The same program against the real server: what the fake says is only worth what this file shows of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc

from jit_protos.v1 import common_pb2, host_pb2
from jit_testing.desk import Person, Told, joined
from jit_testing.fake_ctl_sessions import exited, framed, out
from jit_testing.recorded import a_chunk, a_session_id, digest_of
from jit_testing.refusals import refused
from jit_testing.server_world import Host, World
from jit_testing.upload import Upload

POLICY = """\
version: 1
groups:
  leads: [carol]
roles:
  web:
    hosts: {tier: web}
    commands: [/usr/bin/systemctl restart nginx.service]
    eligible: {people: [alice], permanent: true}
    approvers: {groups: [leads]}
    duration: {default: 30m, max: 2h}
"""


async def test_from_an_empty_server_to_a_grant_and_its_end(world: World, admin: Person, tmp_path: Path) -> None:
    me = (await admin("whoami", "-o", "json")).json
    assert (me["name"], me["duties"]) == ("root-admin", ["admin"])
    carol = await joined(admin, "carol")
    alice = await joined(admin, "alice")
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    applied = await admin("policy", "apply", "--yes", str(file))
    assert (applied.status, "version 1 is in force" in applied.err) == (0, True)
    assert (await admin("policy", "show")).out == POLICY
    token = await admin("hosts", "enroll-token", "web1", "-l", "tier=web", "-o", "name")
    host = await world.enroll(token.out.strip())
    assert (await admin("hosts", "show", "web1", "-o", "json")).json["labels"] == {"tier": "web"}

    session = world.session(host)
    await session.hello()
    await session.desired()
    assert (await admin("hosts", "show", "web1", "-o", "json")).json["connected"]

    ask = common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root")
    request = await world.host(host).CreateRequest(
        host_pb2.CreateRequestRequest(
            user=host_pb2.LocalUser(uid=1001, name="alice"),
            role="web",
            ask=ask,
            reason="it hangs \x1b[2J",
            otp=alice.code(),
        )
    )
    listed = await carol("requests", "ls", "--no-header")
    assert listed.out.split("\t")[1:7] == [
        *("alice", "web1", "root", "/usr/bin/systemctl restart nginx.service", "web"),
        r"it hangs \x1b[2J",
    ]
    unseen = await admin("requests", "approve", request.request_id)
    assert unseen.status == 5
    short = request.request_id[4:12]
    approved = await carol("requests", "approve", short, "-m", "go on")
    assert (approved.status, "not confirmed by the host" in approved.out) == (0, True)
    await session.desired()
    again = await carol("requests", "approve", short)
    assert again.status == 7
    (grant,) = (await carol("grants", "ls", "-o", "json")).json
    assert grant["state"] == "issued"
    revoked = await carol("grants", "revoke", grant["grant_id"], "-m", "enough")
    assert (revoked.status, "not confirmed by the host" in revoked.out) == (0, True)
    session.end()

    events = (await admin("audit", "ls", "--request", request.request_id, "-o", "json")).json
    kinds = [event["kind"] for event in events]
    assert kinds[:2] == ["request.created", "request.approved"]
    assert "grant.revoked" in kinds
    assert all(event["details"].keys() != {"unreadable"} for event in events)
    refused = await carol("audit", "ls")
    assert refused.status == 5


async def test_every_error_of_a_policy_is_told_with_its_place(admin: Person, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("hosts:", "hots:").replace("30m", "soon"))
    bad = await admin("policy", "lint", str(file))
    assert bad.status == 1
    errors = [line for line in bad.out.splitlines() if ": error: " in line]
    assert len(errors) >= 2
    assert all(line.startswith(f"{file}:") and line.split(":")[1].isdigit() for line in errors)
    assert (await admin("policy", "apply", "--yes", str(file))).status == 1
    assert (await admin("policy", "show")).status == 6


async def test_refusals_of_the_real_server_have_their_status(world: World, admin: Person) -> None:
    assert (await admin("requests", "show", "req-0000")).status == 6
    # Too short to be meant for one request, whether or not there is one.
    assert (await admin("requests", "show", "req-0")).status == 65
    assert (await admin("users", "add", "root-admin")).status == 7
    assert (await admin("hosts", "rm", "nothing", "-y")).status == 6
    wrong = await admin("login", "--password-stdin", "--otp", admin.code(), stdin="wrong\n")
    assert wrong.status == 4
    assert (await admin("users", "disable", "nobody")).status == 6
    await world.stop()
    gone = await admin("whoami")
    assert (gone.status, "cannot reach" in gone.err) == (69, True)


async def _fleet(world: World, admin: Person, tmp_path: Path) -> tuple[Person, Person, Host]:
    """carol approves, alice asks, web1 is connected."""
    carol, alice = await joined(admin, "carol"), await joined(admin, "alice")
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    assert (await admin("policy", "apply", "--yes", str(file))).status == 0
    token = await admin("hosts", "enroll-token", "web1", "-l", "tier=web", "-o", "name")
    return carol, alice, await world.enroll(token.out.strip())


async def _ask(world: World, alice: Person, host: Host) -> common_pb2.Request:
    ask = common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root")
    user = host_pb2.LocalUser(uid=1001, name="alice")
    wanted = host_pb2.CreateRequestRequest(user=user, role="web", ask=ask, reason="it hangs", otp=alice.code())
    return await world.host(host).CreateRequest(wanted)


async def test_locks_take_away_forbid_and_are_lifted_by_whom_they_should(
    world: World, admin: Person, tmp_path: Path
) -> None:
    carol, alice, host = await _fleet(world, admin, tmp_path)
    session = world.session(host)
    await session.hello()
    await session.desired()
    request = await _ask(world, alice, host)
    granted = (await carol("requests", "approve", request.request_id, "-o", "json")).json[0]["grant"]
    assert [grant.grant_id for grant in (await session.desired()).grants] == [granted["grant_id"]]
    pending = await _ask(world, alice, host)

    assert (await carol("lock", "user", "alice", "-m", "stolen laptop")).status == 5
    locked = await admin("lock", "user", "alice", "--for", "2h", "-m", "stolen laptop", "-o", "json")
    assert (locked.status, locked.json["grants_ended"], locked.json["requests_cancelled"]) == (0, 1, 1)
    assert list((await session.desired()).grants) == []
    assert (await carol("requests", "show", pending.request_id, "-o", "json")).json["state"] == "cancelled"
    error = await refused(_ask(world, alice, host))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() is not None
    assert str(error.details()).startswith("alice is locked until ")
    assert str(error.details()).endswith(" UTC: stolen laptop (by root-admin)")
    assert (await alice("whoami")).status == 0
    own = (await alice("locks", "ls", "-o", "json")).json
    assert [lock["lock_id"] for lock in own] == [locked.json["lock_id"]]

    short = locked.json["lock_id"][4:12]
    assert (await alice("unlock", short, "-m", "it is me")).status == 5
    assert (await carol("unlock", short, "-m", "please")).status == 6
    lifted = await admin("unlock", short, "-m", "found")
    assert (lifted.status, "alice: lifted by root-admin" in lifted.out) == (0, True)
    assert (await admin("unlock", short, "-m", "again")).status == 7
    assert (await _ask(world, alice, host)).state == common_pb2.REQUEST_STATE_PENDING

    frozen = await carol("lock", "role", "web", "-m", "freeze")
    assert (frozen.status, "role web is locked until it is lifted" in frozen.out) == (0, True)
    error = await refused(_ask(world, alice, host))
    assert error.details() == "role web is locked: freeze (by carol)"
    assert "\tweb\tfreeze\tcarol\t" in (await carol("locks", "ls")).out
    assert (await carol("lock", "role", "db", "-m", "freeze")).status == 5
    assert (await admin("lock", "role", "db", "-m", "freeze")).status == 6
    told = await admin("audit", "ls", "--kind", "lock", "-o", "jsonl")
    kinds = [json.loads(line)["kind"] for line in told.out.splitlines()]
    assert kinds == ["lock.created", "lock.lifted", "lock.created"]
    session.end()


async def test_an_end_the_host_does_not_confirm_is_shown_and_alerted(
    world: World, admin: Person, tmp_path: Path
) -> None:
    carol, alice, host = await _fleet(world, admin, tmp_path)
    session = world.session(host)
    await session.hello()
    await session.desired()
    request = await _ask(world, alice, host)
    grant = (await carol("requests", "approve", request.request_id, "-o", "json")).json[0]["grant"]["grant_id"]
    await session.desired()
    await session.report(1, grant, applied=host_pb2.Applied(revision=1, scope="jit.scope"))
    assert await session.kept() == 1
    assert (await carol("alerts", "--exit-code")).status == 0
    assert (await alice("alerts")).status == 5
    await carol("grants", "revoke", grant, "-m", "enough")
    world.clock.advance(6)
    shown = await eventually(lambda: carol("grants", "ls"), lambda told: "NOT CONFIRMED" in told.out)
    assert "revoked, NOT CONFIRMED by web1 since 20" in shown.out
    alerted = await carol("alerts", "--exit-code", "-o", "json")
    assert (alerted.status, alerted.json[0]["kind"], alerted.json[0]["grant_id"]) == (1, "end_unconfirmed", grant)
    await session.report(
        2, grant, ended=host_pb2.Ended(revision=1, reason="revoked", scope_empty=True, rule_removed=True)
    )
    assert await session.kept() == 2
    assert (await carol("alerts", "--exit-code")).status == 0
    assert "revoked, confirmed by the host" in (await carol("grants", "show", grant)).out
    session.end()


async def eventually(look: Callable[[], Awaitable[Told]], good: Callable[[Told], bool]) -> Told:
    """What `look` gives once it is good; fails after 20 s."""
    async with asyncio.timeout(20):
        while not good(told := await look()):
            pass
    return told


async def test_a_session_is_found_exported_and_verified_and_a_flipped_byte_is_noticed(
    world: World, admin: Person, tmp_path: Path
) -> None:
    token = await admin("hosts", "enroll-token", "web1", "-o", "name")
    host = await world.enroll(token.out.strip())
    stream = world.session(host)
    await stream.hello()
    await stream.kept()
    session_id = a_session_id()
    user = host_pb2.LocalUser(uid=1001, name="alice")
    await stream.report(
        1,
        "",
        session_started=host_pb2.SessionStarted(
            session_id=session_id, user=user, argv=["/bin/ls", "a b"], command="/bin/ls", run_as_user="root",
            record="output", rows=24, columns=80, environment=["TERM=xterm"],
        ),
    )  # fmt: skip
    sent = [
        a_chunk(session_id, 0, framed([out("größe".encode()[:3], 0.1), out("größe\r\n".encode()[3:])])),
        a_chunk(session_id, 1, framed([exited(2, after=0.2)])),
    ]
    async with Upload(world.host(host)) as upload:
        for chunk, content in sent:
            await upload.keep(chunk, content)
    digest = bytes.fromhex(digest_of([chunk for chunk, _ in sent]))
    ended = host_pb2.SessionEnded(session_id=session_id, exit_value=2, chunks=2, digest=digest)
    await stream.report(2, "", session_ended=ended)
    assert [await stream.kept(), await stream.kept()] == [1, 2]

    (listed,) = (await admin("sessions", "ls", "--text", "a b", "-o", "json")).json
    assert (listed["session_id"], listed["state"], listed["recording"]) == (session_id, "ended", "whole")
    shown = await admin("sessions", "show", session_id[4:12])
    assert "/bin/ls 'a b'" in shown.out
    assert "TERM=xterm" in shown.out
    exported = await admin("sessions", "export", session_id, "--format", "text")
    assert (exported.status, exported.out, exported.err) == (0, "größe\n", "")
    verified = await admin("sessions", "verify")
    assert (verified.status, verified.out, verified.err) == (0, "", "1 recording: 1 whole\n")
    over = await admin("sessions", "freeze", session_id, "-m", "too late")
    assert (over.status, over.out) == (7, "")

    name = sent[0][0].sha256
    file = Path(world.config.recordings) / name[:2] / name
    file.chmod(0o600)
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    damaged = await admin("sessions", "verify", "--no-header")
    assert damaged.status == 1
    assert damaged.out.startswith(f"{session_id}\tdamaged\t")
    assert damaged.out.count("\n") == 1
    assert (await admin("sessions", "export", session_id)).status != 0
    stream.end()
