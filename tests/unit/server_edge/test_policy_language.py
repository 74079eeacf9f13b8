"""What each key of a policy file means, once the file is read (SPEC 9.1, 9.5, 9.6)."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.ask import ALL, Ask, Command
from jit_server.domain.identity import User
from jit_server.domain.pattern import Pattern
from jit_server.domain.policy.circumstances import Login, LoginKind
from jit_server.domain.policy.conditions import AnyOf
from jit_server.domain.policy.finding import PolicyFile, Severity
from jit_server.domain.policy.model import ChangeControl, Concurrency, Eligibility, LabelTest, Party, Policy, Role
from jit_testing.server_fakes import a_user, labelled

PEOPLE = [a_user(name) for name in ("alice", "bob", "carol", "dave", "erin", "frank")]
DIGEST = "0123456789abcdef" * 4
ROLE = """\
  web:
    hosts: {tier: web}
    commands: [/usr/bin/id]
    eligible: {people: [alice], permanent: true}
    approvers: {people: [carol, dave]}
    duration: {default: 30m, max: 2h}
"""


def read(*texts: str, people: list[User] = PEOPLE) -> Policy:
    files = [PolicyFile(f"{number}.yaml", text) for number, text in enumerate(texts, 1)]
    parsed = YamlPolicyParser().parse(files, 1, people)
    assert parsed.policy is not None, parsed.findings
    return parsed.policy


def policy(role: str = "", *, sections: str = "") -> Policy:
    return read(f"version: 1\n{sections}roles:\n{ROLE}{role}")


def role_with(lines: str, *, sections: str = "", without: str = "") -> Role:
    kept = "".join(line for line in ROLE.splitlines(keepends=True) if not without or f"    {without}:" not in line)
    return read(f"version: 1\n{sections}roles:\n{kept}    {lines}\n").roles["web"]


def micros(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def test_a_group_holds_everybody_of_the_groups_within_it() -> None:
    groups = """\
groups:
  night: [erin]
  operators: {people: [alice], groups: [night]}
  everybody: {groups: [operators, leads]}
  leads: {people: [carol]}
  nobody: []
"""
    assert policy(sections=groups).groups == {
        "night": frozenset({"erin"}),
        "operators": frozenset({"alice", "erin"}),
        "everybody": frozenset({"alice", "carol", "erin"}),
        "leads": frozenset({"carol"}),
        "nobody": frozenset(),
    }


def test_groups_within_groups_are_found_in_other_files_too() -> None:
    first = "version: 1\ngroups: {everybody: {groups: [night]}}\n"
    second = f"version: 1\ngroups: {{night: [erin]}}\nroles:\n{ROLE}"
    assert read(first, second).groups["everybody"] == frozenset({"erin"})


def test_a_chain_of_groups_as_long_as_the_files_have_room_is_no_trouble() -> None:
    links = "".join(f"  g{number}: {{groups: [g{number + 1}]}}\n" for number in range(5_000))
    groups = policy(sections=f"groups:\n{links}  g5000: [alice]\n").groups
    assert groups["g0"] == frozenset({"alice"})


@pytest.mark.parametrize(
    ("written", "labels", "reached"),
    [
        ("{tier: web}", {"tier": "web", "stage": "prod"}, True),
        ("{tier: web}", {"tier": "db"}, False),
        ("{stage: [dev, test]}", {"stage": "test"}, True),
        ("{stage: [dev, test]}", {"stage": "prod"}, False),
        ("{tier: web, zone: {not: [dmz]}}", {"tier": "web", "zone": "a"}, True),
        ("{tier: web, zone: {not: [dmz]}}", {"tier": "web", "zone": "dmz"}, False),
        ("{tier: web, zone: {not: dmz}}", {"tier": "web"}, False),
        ("all", {"anything": "else"}, True),
        ("outside", {"zone": "dmz"}, True),
        ("outside", {"zone": "a"}, False),
    ],
)
def test_hosts_are_selected_by_all_labels_or_by_a_selectors_name(
    written: str, labels: dict[str, str], reached: bool
) -> None:
    role = role_with(f"hosts: {written}", sections="hosts: {outside: {zone: dmz}}\n", without="hosts")
    assert role.hosts.fits(labels) is reached


def test_commands_are_exact_any_or_an_expression_and_bundles_are_their_commands() -> None:
    written = f"""commands:
      - /usr/bin/systemctl restart nginx.service
      - {{path: /usr/bin/journalctl, args: any}}
      - {{path: /usr/bin/systemctl, args: {{regex: '^(start|stop) php[0-9]$'}}, sha256: {DIGEST}}}
      - {{bundle: disks}}
      - /usr/bin/df"""
    bundles = "commands:\n  disks: [/usr/bin/df, {path: /usr/bin/lsblk, args: [-f]}]\n"
    assert role_with(written, sections=bundles, without="commands").commands == (
        Command("/usr/bin/systemctl", ("restart", "nginx.service")),
        Command("/usr/bin/journalctl", None),
        Command("/usr/bin/systemctl", Pattern("^(start|stop) php[0-9]$"), DIGEST),
        Command("/usr/bin/df", ()),
        Command("/usr/bin/lsblk", ("-f",)),
    )
    assert role_with("commands: ALL", without="commands").commands == ALL


def test_a_role_has_no_more_commands_than_a_grant_holds_with_those_of_its_bundles() -> None:
    many = ", ".join(f"/usr/bin/a{number}" for number in range(150))
    more = ", ".join(f"/usr/bin/b{number}" for number in range(150))
    text = f"version: 1\ncommands:\n  many: [{many}]\n  more: [{more}]\nroles:\n" + ROLE.replace(
        "[/usr/bin/id]", "[{bundle: many}, {bundle: more}]"
    )
    parsed = YamlPolicyParser().parse([PolicyFile("p.yaml", text)], 1, PEOPLE)
    assert [finding.message for finding in parsed.findings] == [
        "commands: 300 with those of the bundles, the limit is 200"
    ]
    assert parsed.policy is None


@pytest.mark.parametrize(
    ("written", "since", "until"),
    [
        ("permanent: true", 0, 0),
        ("until: 2027-03-31", 0, micros(2027, 4, 1)),
        ("from: 2027-03-31, until: 2027-03-31", micros(2027, 3, 31), micros(2027, 4, 1)),
        ("until: 2027-03-31T18:00:00+02:00", 0, micros(2027, 3, 31, 16)),
        ("until: 2028-02-29T23:59Z", 0, micros(2028, 2, 29, 23, 59)),
        ("from: 2027-01-01T00:00:30Z, permanent: true", micros(2027, 1, 1, 0, 0, 30), 0),
    ],
)
def test_an_eligibility_lasts_from_the_begin_of_a_day_to_the_end_of_one(written: str, since: int, until: int) -> None:
    role = role_with(f"eligible: {{people: [alice], {written}}}", without="eligible")
    assert role.eligible == (Eligibility(Party(frozenset({"alice"})), since, until),)


def test_active_assignments_stand_beside_eligible_ones_and_say_why() -> None:
    written = """eligible:
      - {people: [alice], until: 2027-03-31}
      - {groups: [ops], permanent: true}
    active: {people: [bob], until: 2027-03-31, reason: on duty over the holidays}"""
    role = role_with(written, sections="groups: {ops: [erin]}\n", without="eligible")
    end = micros(2027, 4, 1)
    assert role.eligible == (
        Eligibility(Party(frozenset({"alice"})), 0, end),
        Eligibility(Party(groups=frozenset({"ops"}))),
        Eligibility(Party(frozenset({"bob"})), 0, end, active=True, reason="on duty over the holidays"),
    )


def test_a_flow_says_who_approves_for_every_role_that_names_it() -> None:
    flows = "flows: {double: {approvers: {people: [carol, erin]}, approvals: 2, request_timeout: 2h}}\n"
    role = role_with("flow: double", sections=flows, without="approvers")
    assert (role.flow, role.approvals, role.request_timeout_s) == ("double", 2, 7_200)
    assert role.approvers == Party(frozenset({"carol", "erin"}))


@pytest.mark.parametrize(
    ("written", "field", "meant"),
    [
        ("directory: /srv/www", "directory", "/srv/www"),
        ("directory: /", "directory", "/"),
        ("environment: [LC_ALL, LANG, LANG]", "environment", ("LANG", "LC_ALL")),
        ("renew: 180d", "renew_s", 180 * 86_400),
        ("mfa: false", "mfa", False),
        ("mfa: {age: 15m}", "mfa_age_s", 900),
        ("ticket: true", "ticket", True),
        ("ticket: {pattern: '^INC-[0-9]{4,8}$'}", "ticket_pattern", "^INC-[0-9]{4,8}$"),
        ("once: true", "once", True),
        ("concurrent: {person: 1}", "concurrent", Concurrency(1, 0)),
        ("concurrent: {person: 1, everybody: 5}", "concurrent", Concurrency(1, 5)),
        ("max_hosts: 20", "max_hosts", 20),
        ("run_as: [postgres]", "run_as_users", ("postgres",)),
        ("run_as_groups: [adm]", "run_as_groups", ("adm",)),
        ("reason: false", "reason", False),
        ("request_timeout: 1h", "request_timeout_s", 3_600),
    ],
)
def test_a_key_of_a_role_sets_what_it_says_and_nothing_sets_it_by_itself(
    written: str, field: str, meant: object
) -> None:
    assert getattr(role_with(written), field) == meant
    assert getattr(policy().roles["web"], field) != meant


def test_a_pattern_or_an_age_says_that_ticket_or_code_is_wanted() -> None:
    assert role_with("ticket: {pattern: '^INC-[0-9]{4,8}$'}").ticket
    assert role_with("mfa: {age: 15m}").mfa


def test_every_condition_of_a_role_is_read() -> None:
    written = """when:
      hours: {days: mon-fri, from: "08:00", to: "18:00", zone: Europe/Berlin}
      source: [10.0.0.0/8]
      any: [{login: console}, {hosts: {stage: test}}]"""
    role = role_with(written)
    hours, source, either = role.when
    assert str(hours) == "Mon-Fri 08:00-18:00 Europe/Berlin"
    assert str(source) == "from 10.0.0.0/8"
    assert isinstance(either, AnyOf)
    assert len(either.conditions) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ChangeControl()),
        ("changes: {approvers: {groups: [leads]}}\n", ChangeControl(Party(groups=frozenset({"leads"})), 1, True)),
        (
            "changes: {approvers: {people: [carol, dave]}, approvals: 2, for: everything}\n",
            ChangeControl(Party(frozenset({"carol", "dave"})), 2, False),
        ),
    ],
)
def test_changes_says_who_approves_a_change_and_of_what(written: str, meant: ChangeControl) -> None:
    assert policy(sections=f"groups: {{leads: [carol]}}\n{written}").changes == meant


def test_changes_stands_in_one_file_only() -> None:
    text = "version: 1\nchanges: {approvers: {people: [carol]}}\n"
    files = [PolicyFile("a.yaml", text), PolicyFile("b.yaml", f"{text}roles:\n{ROLE}")]
    parsed = YamlPolicyParser().parse(files, 1, PEOPLE)
    assert parsed.policy is None
    assert [(one.file, one.message) for one in parsed.findings] == [("b.yaml", "changes is defined at a.yaml:2 too")]


@pytest.mark.parametrize(
    ("section", "one", "thing"),
    [
        ("groups", "x: [alice]", "group"),
        ("hosts", "x: {tier: web}", "selector"),
        ("commands", "x: [/usr/bin/id]", "bundle"),
        ("flows", "x: {approvers: {people: [carol]}}", "flow"),
    ],
)
def test_a_name_is_defined_once_over_all_files(section: str, one: str, thing: str) -> None:
    text = f"version: 1\n{section}: {{{one}}}\n"
    files = [PolicyFile("a.yaml", text), PolicyFile("b.yaml", f"{text}roles:\n{ROLE}")]
    parsed = YamlPolicyParser().parse(files, 1, PEOPLE)
    assert [one.message for one in parsed.findings] == [f"{thing} x is defined at a.yaml:2 too"]


def test_a_test_says_who_asks_for_what_where_and_when() -> None:
    tests = """\
tests:
  - {name: alice may look, who: alice, on: web1, run: /usr/bin/id -u, expect: allow}
  - name: not at night
    who: bob
    on: {labels: {tier: web, stage: prod}}
    as: postgres
    role: web
    at: 2027-03-31T23:00:00+02:00
    login: ssh
    from: 10.1.2.3
    terminal: false
    for: 1h
    expect: deny
    because: hours
"""
    first, second = read(f"version: 1\nroles:\n{ROLE}{tests}").tests
    assert (first.name, first.person, first.host, first.allow) == ("alice may look", "alice", "web1", True)
    assert (first.ask, first.role, first.at) == (Ask(("/usr/bin/id", "-u")), "", 0)
    assert first.login == Login(LoginKind.SSH, None, terminal=True)
    assert (first.file, first.line) == ("1.yaml", 10)
    assert (second.host, second.labels) == ("", {"tier": "web", "stage": "prod"})
    assert (second.ask, second.role) == (Ask((), run_as_user="postgres"), "web")
    assert second.login == Login(LoginKind.SSH, ip_address("10.1.2.3"), terminal=False)
    assert (second.at, second.duration_s) == (micros(2027, 3, 31, 21), 3_600)
    assert (second.allow, second.because) == (False, "hours")


def test_a_suppression_names_a_finding_of_a_role_and_ends() -> None:
    suppress = "suppress:\n  - {rule: root-without-mfa, role: web, reason: hardware keys, until: 2027-03-31}\n"
    (one,) = read(f"version: 1\nroles:\n{ROLE}{suppress}").suppressions
    assert (one.rule, one.role, one.reason, one.until) == (
        "root-without-mfa",
        "web",
        "hardware keys",
        micros(2027, 4, 1),
    )
    assert (one.spot.file, one.spot.line) == ("1.yaml", 10)


def test_somebody_the_server_does_not_know_is_a_warning_with_the_name_of_a_rule() -> None:
    text = f"version: 1\nroles:\n{ROLE.replace('[carol, dave]', '[mallory, carol]')}"
    findings = YamlPolicyParser().parse([PolicyFile("p.yaml", text)], 1, PEOPLE).findings
    assert [(one.severity, one.rule, one.line) for one in findings] == [(Severity.WARNING, "unknown-person", 7)]


def test_a_policy_is_the_same_policy_however_its_files_are_cut() -> None:
    whole = read(f"version: 1\ngroups: {{ops: [erin]}}\nhosts: {{w: {{tier: web}}}}\nroles:\n{ROLE}")
    parts = read(
        "version: 1\ngroups: {ops: [erin]}\n", "version: 1\nhosts: {w: {tier: web}}\n", f"version: 1\nroles:\n{ROLE}"
    )
    assert whole == parts
    assert whole.roles["web"].hosts == labelled(tier="web")
    assert whole.roles["web"].hosts.labels["tier"] == LabelTest(frozenset({"web"}))
