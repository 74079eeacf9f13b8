"""A role proposed out of what was really run under it: a file that can be used as it is."""

from __future__ import annotations

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.ask import Command
from jit_server.domain.identity import Duty, HostCaller, Person
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Policy
from jit_server.domain.suggestion import Proposed, expression
from jit_server.errors import Denied, Invalid, NotFound
from jit_server.services.suggesting import Suggested
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import SECOND

POLICY = """
version: 1
groups:
  ops: {people: [alice], groups: [night]}
  night: [bob]
  unrelated: [carol]
hosts:
  front: {tier: web, stage: {not: [dmz]}}
  other: {tier: db}
flows:
  two: {approvers: {people: [carol]}, approvals: 1, request_timeout: 12h}
roles:
  web-admin:
    description: "Everything: for now"
    hosts: front
    commands: ALL
    shell: true
    eligible:
      - {groups: [ops], from: 2026-01-01, until: 2027-03-31}
    flow: two
    duration: {default: 30m, max: 2h}
    ticket: {pattern: '^INC-[0-9]{4,8}$'}
    mfa: {age: 15m}
    when:
      - hours: {days: mon-fri, from: "08:00", to: "18:00", zone: Europe/Berlin}
      - source: [10.0.0.0/8]
    record: output
  free:
    hosts: {tier: web}
    commands: ALL
    eligible: {people: [alice, bob], permanent: true}
    approvals: 0
    duration: {default: 30m, max: 2h}
    mfa: false
    reason: false
    environment: [LANG]
"""
DIGEST = "0a" * 32
PINNED = f"""  free:
    hosts: {{tier: web}}
    commands: [/usr/bin/id, {{path: /opt/x/deploy, args: any, sha256: "{DIGEST}"}}]"""
DAY_S = 86_400


@pytest.fixture
async def host(world: CoreWorld) -> HostCaller:
    world.parser = YamlPolicyParser()  # type: ignore[assignment]
    world.services = world.compose()
    for name in ("alice", "bob", "carol"):
        await world.person(name)
    await world.services.policy_changes.apply(world.root, [PolicyFile("policy.yaml", POLICY)])
    return await world.host()


async def ran(world: CoreWorld, host: HostCaller, *argv: str, by: str = "alice", times: int = 1) -> None:
    asked = await world.ask(host, by, "free")
    assert asked.grant is not None
    for _ in range(times):
        await world.run(host, asked.grant.grant.grant_id, by, argv=argv)


async def suggested(world: CoreWorld, role: str = "free", caller: Person | None = None) -> Suggested:
    since = world.clock.now() - 90 * DAY_S * SECOND
    return await world.services.suggestions.suggest(caller or world.root, role, since)


def read(text: str) -> Policy:
    parsed = YamlPolicyParser().parse([PolicyFile("suggested.yaml", text)], 2, ())
    assert parsed.policy is not None, parsed.findings
    return parsed.policy


async def test_what_was_run_becomes_exact_commands_with_how_often_by_how_many_and_when(
    world: CoreWorld, host: HostCaller
) -> None:
    await ran(world, host, "/usr/bin/systemctl", "restart", "nginx", times=3)
    await ran(world, host, "/usr/bin/systemctl", "restart", "nginx", by="bob")
    await ran(world, host, "/usr/bin/id")
    found = await suggested(world)
    assert (found.sessions, found.left_out) == (5, ())
    policy = read(found.text)
    assert policy.roles["free"].commands == (
        Command("/usr/bin/id", ()),
        Command("/usr/bin/systemctl", ("restart", "nginx")),
    )
    assert "# 4 times by 2 people, last at 2026-" in found.text
    assert "# once by 1 person, last at " in found.text


async def test_everything_else_of_the_role_is_kept_with_what_it_refers_to(world: CoreWorld, host: HostCaller) -> None:
    before = read(POLICY)
    await ran(world, host, "/usr/bin/id")
    files, proposed = [PolicyFile("policy.yaml", POLICY)], (await suggested(world)).text
    assert read(proposed).groups == {}
    command = Command("/usr/bin/id", ())
    text = YamlPolicyParser().proposal(files, "web-admin", [Proposed(command, ("why: # \u202e",))], ("a", "b"))
    after, old = read(text), before.roles["web-admin"]
    new = after.roles["web-admin"]
    assert set(after.roles) == {"web-admin"}
    assert set(after.groups) == {"ops", "night"}
    assert (new.commands, new.shell) == ((command,), False)
    for key in type(old).__dataclass_fields__:
        if key not in ("commands", "shell"):
            assert getattr(new, key) == getattr(old, key), key
    assert "\u202e" not in text


async def test_what_cannot_be_written_as_a_command_is_left_out_and_named(world: CoreWorld, host: HostCaller) -> None:
    await ran(world, host, "/usr/bin/id")
    for argv in (
        ("/bin/bash",),
        ("/usr/bin/echo", "two words"),
        ("/usr/bin/ls", "*"),
        ("/usr/bin/printf", "\x1b[31m"),
        ("/usr/bin/sudoedit", "/etc/motd"),
    ):
        await ran(world, host, *argv)
    found = await suggested(world)
    assert [command.path for command in read(found.text).roles["free"].commands] == ["/usr/bin/id"]  # type: ignore[union-attr]
    assert len(found.left_out) == 5
    assert "/bin/bash (once): it is a shell" in found.left_out[0]
    assert not any("\x1b" in line for line in found.left_out)


async def test_many_arguments_of_one_program_stay_exact_with_an_expression_beside(
    world: CoreWorld, host: HostCaller
) -> None:
    for number in range(21):
        await ran(world, host, "/usr/bin/systemctl", "restart", f"app-{number}")
    found = await suggested(world)
    commands = read(found.text).roles["free"].commands
    assert len(commands) == 21
    (line,) = [line for line in found.text.splitlines() if "different arguments" in line]
    assert line.strip().startswith("# /usr/bin/systemctl was run with 21 different arguments.")
    text = line[line.index("'") + 1 : line.rindex("'")]
    assert all(Pattern(text).matches_words(("restart", f"app-{number}")) for number in range(21))
    assert not Pattern(text).matches_words(("stop", "app-1"))


async def test_nothing_is_suggested_where_nothing_was_run(world: CoreWorld, host: HostCaller) -> None:
    assert await suggested(world) == Suggested("", 0, ())
    await ran(world, host, "/usr/bin/id")
    since = world.clock.now()
    world.clock.advance(60)
    assert (await world.services.suggestions.suggest(world.root, "free", since + 1)).sessions == 0
    assert (await world.services.suggestions.suggest(world.root, "free", since)).sessions == 1
    with pytest.raises(Invalid, match="still to come"):
        await world.services.suggestions.suggest(world.root, "free", world.clock.now())


async def test_readers_ask_and_others_do_not(world: CoreWorld, host: HostCaller) -> None:
    auditor, dave = await world.person("erin", Duty.AUDITOR), await world.person("dave")
    assert (await suggested(world, caller=auditor)).sessions == 0
    with pytest.raises(Denied):
        await suggested(world, caller=dave)
    with pytest.raises(NotFound, match="no role 'nowhere'"):
        await suggested(world, "nowhere")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("restart", "a"), ("restart", "bb")], "^restart [a-z]{1,2}$"),
        ([("-n", "10"), ("-n", "7")], "^-n [0-9]{1,2}$"),
        ([("x.y", "A-1"), ("x.y", "B-2")], r"^x\.y [A-Z0-9-]{1,3}$"),
        ([("a",), ("a", "b")], None),
        ([("/etc/a.conf",), ("/etc/b.conf",)], None),
        ([(), ()], None),
        ([("'",), ("''",)], None),
    ],
)
def test_an_expression_matches_what_was_run_or_there_is_none(
    lines: list[tuple[str, ...]], expected: str | None
) -> None:
    assert expression(lines) == expected


async def test_a_program_that_is_held_to_a_digest_stays_held_to_it(world: CoreWorld, host: HostCaller) -> None:
    pinned = POLICY.replace("  free:\n    hosts: {tier: web}\n    commands: ALL", PINNED)
    await world.services.policy_changes.apply(world.root, [PolicyFile("policy.yaml", pinned)])
    await ran(world, host, "/opt/x/deploy", "--now")
    assert read((await suggested(world)).text).roles["free"].commands == (Command("/opt/x/deploy", ("--now",), DIGEST),)


def test_groups_that_share_groups_are_followed_once_each() -> None:
    twins = "".join(f"  {name}{n}: {{groups: [a{n + 1}, b{n + 1}]}}\n" for n in range(40) for name in "ab")
    last = "  a40: [bob]\n  b40: [bob]\n"
    policy = POLICY.replace("  night: [bob]\n", f"  night: {{groups: [a0]}}\n{twins}{last}")
    command = Proposed(Command("/usr/bin/id", ()), ())
    text = YamlPolicyParser().proposal([PolicyFile("policy.yaml", policy)], "web-admin", [command], ("a",))
    assert len(read(text).groups) == 2 + 2 * 41 - 1
