"""Policy files: what a good one means, and that every error of a bad one is told, with its place."""

from __future__ import annotations

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.ask import ALL, Command
from jit_server.domain.grant import Record
from jit_server.domain.identity import User
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.policy.model import Extend
from jit_server.ports import ParsedPolicy
from jit_testing.server_fakes import labelled, people_for_good

PEOPLE = [
    User(f"usr-{name:0<16}", name, name, frozenset(), created_at=1)
    for name in ("alice", "bob", "carol", "dave", "erin")
]

NAMES = "use 1 to 64 letters, digits and . _ @ -, and begin with a letter, a digit or _"

GOOD = """\
version: 1
groups:
  ops: [alice, bob]
  leads: [carol]
roles:
  web-operator:
    description: Restart the web server
    hosts: {tier: web}
    run_as: [root]
    commands:
      - /usr/bin/systemctl restart nginx.service
      - {path: /usr/bin/journalctl, args: any}
    eligible: {groups: [ops], people: [dave], permanent: true}
    approvers: {groups: [leads]}
    approvals: 1
    duration: {default: 30m, max: 2h}
    request_timeout: 24h
    mfa: true
    reason: true
    ticket: false
    shell: false
    record: events
"""

ROLE = """\
version: 1
roles:
  r:
    hosts: all
    commands: ALL
    eligible: {people: [alice], permanent: true}
    approvers: {people: [bob]}
    duration: {default: 1h30m, max: 1d}
"""


_RELATIVE = (
    "1.yaml:12:9: error: commands: 'systemctl' is not a full path, and sudo would look for it: write /usr/bin/systemctl"
)


def parse(*texts: str) -> ParsedPolicy:
    files = [PolicyFile(f"{number}.yaml", text) for number, text in enumerate(texts, 1)]
    return YamlPolicyParser().parse(files, 7, PEOPLE)


def told(*texts: str) -> list[str]:
    return [
        f"{finding.file}:{finding.line}:{finding.column}: {finding.severity.value}: {finding.message}"
        for finding in parse(*texts).findings
    ]


def test_a_good_file_means_what_it_says() -> None:
    parsed = parse(GOOD)
    assert parsed.findings == ()
    assert parsed.policy is not None
    assert parsed.policy.version == 7
    assert parsed.policy.groups == {"ops": frozenset({"alice", "bob"}), "leads": frozenset({"carol"})}
    role = parsed.policy.roles["web-operator"]
    assert role.hosts == labelled(tier="web")
    assert role.commands == (
        Command("/usr/bin/systemctl", ("restart", "nginx.service")),
        Command("/usr/bin/journalctl", None),
    )
    assert role.eligible == people_for_good("dave", groups=["ops"])
    assert (role.default_s, role.max_s, role.request_timeout_s) == (1800, 7200, 86_400)
    assert (role.mfa, role.reason, role.ticket, role.shell, role.record) == (True, True, False, False, Record.EVENTS)


def test_what_is_left_out_has_the_safe_default() -> None:
    policy = parse(ROLE).policy
    assert policy is not None
    role = policy.roles["r"]
    assert (role.approvals, role.mfa, role.reason, role.shell) == (1, True, True, False)
    assert role.run_as_users == ("root",)
    assert role.commands == ALL
    assert (role.default_s, role.max_s) == (5400, 86_400)


@pytest.mark.parametrize(
    ("line", "extend", "lease_s"),
    [
        ("extend: self", Extend.SELF, 0),
        ("extend: approval", Extend.APPROVAL, 0),
        ("extend: never", Extend.NEVER, 0),
        ("offline: until-expiry", Extend.SELF, 0),
        ("offline: {lease: 2m}", Extend.SELF, 120),
        ("offline: {lease: 10s}", Extend.SELF, 10),
        ("offline: {lease: 1h}", Extend.SELF, 3_600),
    ],
)
def test_a_role_says_how_it_is_extended_and_what_holds_without_the_server(
    line: str, extend: Extend, lease_s: int
) -> None:
    policy = parse(f"{ROLE}    {line}\n").policy
    assert policy is not None
    assert (policy.roles["r"].extend, policy.roles["r"].lease_s) == (extend, lease_s)


def test_several_files_are_one_policy() -> None:
    people = "version: 1\ngroups: {ops: [alice], leads: [carol]}\n"
    roles = GOOD.replace("groups:\n  ops: [alice, bob]\n  leads: [carol]\n", "")
    parsed = parse(people, roles)
    assert parsed.policy is not None
    assert set(parsed.policy.roles) == {"web-operator"}
    assert parse(roles).policy is None


def test_all_errors_of_all_files_are_told_with_their_places() -> None:
    first = """\
version: 2
grups: {}
groups:
  ops: [alice, 5, "a b"]
  ops: [bob]
roles:
  web:
    descripton: Restart
    hosts: {}
    run_as: [root, "#0"]
    commands:
      - systemctl restart nginx
      - "/bin/sh 'unfinished"
      - {path: /usr/bin/journalctl}
      - 7
    eligible: {groups: [ops], people: [dave]}
    approvers: {groups: [leads], person: [x]}
    approvals: "1"
    duration: {default: 3h, max: 2 hours}
    mfa: yes
    record: outputs
"""
    second = """\
version: 1
roles:
  a b: {}
  r:
    hosts: {tier: web}
    commands: ["/bin/true"]
    eligible: {groups: [opz], permanent: true}
    approvers: {people: [bob]}
    approvals: 2
    duration: {default: 3h, max: 2h}
    shell: true
"""
    assert parse(first, second).policy is None
    assert [line for line in told(first, second) if " error: " in line] == [
        "1.yaml:1:10: error: version must be 1",
        "1.yaml:2:1: error: unknown key 'grups'; did you mean groups?",
        "1.yaml:4:16: error: must be a text; put it in quotes",
        f"1.yaml:4:19: error: 'a b' cannot be a person's name; {NAMES}",
        "1.yaml:5:3: error: key 'ops' stands here twice",
        "1.yaml:8:5: error: unknown key 'descripton'; did you mean description?",
        "1.yaml:9:12: error: hosts: must not be empty",
        "1.yaml:10:20: error: run_as: '#0' is not the name of an account",
        _RELATIVE,
        "1.yaml:13:9: error: commands: cannot be split into words: no closing quotation",
        "1.yaml:14:9: error: args is missing",
        "1.yaml:15:9: error: commands: must be a command line, or a mapping with path and args, or {bundle: NAME}",
        "1.yaml:16:15: error: eligible: say until when, such as `until: 2027-03-31`, or write `permanent: true`",
        "1.yaml:17:34: error: unknown key 'person'",
        "1.yaml:18:16: error: approvals: must be a whole number",
        "1.yaml:19:34: error: duration.max: '2 hours' is not a duration: write 30m, 2h or 1h30m",
        "1.yaml:20:10: error: mfa: must be true, false or {age: 15m}",
        "1.yaml:21:13: error: record: 'outputs' is unknown: write none, events, output or input",
        "2.yaml:3:3: error: 'a b' cannot be a name: use letters, digits and . _ -, and begin with one of the first two",
        "2.yaml:3:3: error: hosts is missing",
        "2.yaml:3:3: error: commands is missing",
        "2.yaml:3:3: error: duration is missing",
        "2.yaml:7:25: error: unknown group 'opz'; did you mean ops?",
        "2.yaml:10:25: error: duration: default is longer than max",
        "2.yaml:11:12: error: shell: a shell runs anything, so it needs `commands: ALL`",
    ]


def test_a_role_in_two_files_is_refused_and_says_where_the_other_is() -> None:
    assert any("role r is defined at 1.yaml:3 too" in line for line in told(ROLE, ROLE))


def test_people_the_server_does_not_know_are_warned_about() -> None:
    assert told(ROLE.replace("[alice]", "[mallory]"))[0] == "1.yaml:6:25: warning: the server knows no mallory yet"


@pytest.mark.parametrize(
    ("lines", "meant"),
    [
        ("", (Record.OUTPUT, True, False, 0, 365 * 86_400)),
        ("record: none", (Record.NONE, True, False, 0, 365 * 86_400)),
        ("record: output\n    recording: best-effort", (Record.OUTPUT, False, False, 0, 365 * 86_400)),
        ("record: input\n    subcommands: true\n    watch: 5m", (Record.INPUT, True, True, 300, 365 * 86_400)),
        ("recording: required\n    retain: 30d", (Record.OUTPUT, True, False, 0, 30 * 86_400)),
    ],
)
def test_what_is_kept_of_sessions_is_the_roles_to_say(lines: str, meant: tuple[object, ...]) -> None:
    policy = parse(f"{ROLE}    {lines}\n").policy
    assert policy is not None
    role = policy.roles["r"]
    assert (role.record, role.required, role.subcommands, role.watch_s, role.retain_s) == meant


def test_no_input_is_a_crash() -> None:
    """Deep nesting, exponential aliases, huge numbers, odd types: an error each, quickly."""
    bomb = "a: &a [x,x]\n" + "".join(f"k{i}: &k{i} [*a,*a]\n" for i in range(50))
    for text in ["[" * 3000, "a: " + "9" * 5000, bomb, "a: 0b11", "- 1", "x", "\ufeff", "a: \ud800", "a: .nan", "? a"]:
        assert parse(text).policy is None, text[:20]
    assert parse("").policy is None


def test_a_policy_over_a_mebibyte_is_refused() -> None:
    assert "the limit is 1048576" in told("#" * (1024 * 1024 + 1))[0]


@pytest.mark.parametrize("character", ["\r", "\x85", "\u2028", "\u2029", "\u202e", "\u2066"])
def test_no_line_begins_or_turns_around_where_a_reviewer_does_not_see_it(character: str) -> None:
    """A lone carriage return ends a comment, and a diff shows what stands behind it as part of the comment."""
    hidden = f"    # harmless{character}    active: {{people: [erin], permanent: true, reason: none}}\n"
    parsed = parse(ROLE + hidden)
    assert parsed.policy is None
    (problem,) = [finding for finding in parsed.findings if not finding.rule]
    assert (problem.line, problem.column) == (9, 15)
    assert problem.message == f"character {ord(character):#x}: not allowed here"


@pytest.mark.parametrize(
    "text", [ROLE.replace("\n", "\r\n"), "\ufeff" + ROLE, ROLE + "    # Zürich, 東京 \U0001f510\n"]
)
def test_a_plain_text_of_any_language_and_system_is_read(text: str) -> None:
    assert parse(text).policy is not None
