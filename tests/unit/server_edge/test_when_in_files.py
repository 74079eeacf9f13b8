"""`when:` as it is written: what each key becomes, and every way to write it wrong with its message (SPEC 9.2)."""

from __future__ import annotations

import pytest

from jit_server.adapters.policy_yaml import YamlPolicyParser
from jit_server.domain.policy.finding import PolicyFile, Severity

ROLE = """\
version: 1
roles:
  web:
    hosts: {{tier: web}}
    commands: [/usr/bin/id]
    eligible: {{people: [alice], permanent: true}}
    approvers: {{people: [carol]}}
    duration: {{default: 10m, max: 1h}}
    when: {when}
"""


def conditions(when: str) -> list[str]:
    parsed = YamlPolicyParser().parse([PolicyFile("p.yaml", ROLE.format(when=when))], 1, ())
    assert parsed.policy is not None, parsed.findings
    return [str(condition) for condition in parsed.policy.roles["web"].when]


def errors(when: str) -> list[str]:
    parsed = YamlPolicyParser().parse([PolicyFile("p.yaml", ROLE.format(when=when))], 1, ())
    return [
        f"{finding.line}:{finding.column}: {finding.message}"
        for finding in parsed.findings
        if finding.severity is Severity.ERROR
    ]


HOURS = 'hours: {{days: {days}, from: "{begin}", to: "{end}", zone: {zone}}}'


def hours(days: str = "mon-fri", begin: str = "08:00", end: str = "18:00", zone: str = "Europe/Berlin") -> str:
    return "{" + HOURS.format(days=days, begin=begin, end=end, zone=zone) + "}"


@pytest.mark.parametrize(
    ("when", "meant"),
    [
        (hours(), ["Mon-Fri 08:00-18:00 Europe/Berlin"]),
        (hours("[sat, sun]", "22:00", "06:00", "UTC"), ["Sat,Sun 22:00-06:00 UTC"]),
        (hours("fri-mon", "00:00", "24:00"), ["Mon,Fri-Sun 00:00-24:00 Europe/Berlin"]),
        ('{hours: {from: "08:00", to: "12:00", zone: UTC}}', ["daily 08:00-12:00 UTC"]),
        ("{source: 10.0.0.0/8, login: ssh}", ["from 10.0.0.0/8", "login by ssh"]),
        ("{source: ['::ffff:10.0.0.0/104', '2001:db8::/32']}", ["from 10.0.0.0/8, 2001:db8::/32"]),
        ("[{terminal: true}, {live: 2}]", ["from a terminal", "at most 2 grants at once"]),
        ("{hosts: {stage: [dev, test]}, on_call: [dba, web]}", ["on stage=dev|test", "on call in dba or web"]),
        ("{cel: \"user == 'alice'\"}", ["user == 'alice'"]),
        (
            "{any: [{login: console}, {source: 10.0.0.0/8, terminal: true}]}",
            ["login by console or (from 10.0.0.0/8 and from a terminal)"],
        ),
    ],
)
def test_what_is_written_becomes_conditions(when: str, meant: list[str]) -> None:
    assert conditions(when) == meant


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (hours("mo"), "'mo' is no day: write mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily"),
        (hours("mon-fry"), "'mon-fry' is no day: write mon"),
        (hours(begin="8:00"), '\'8:00\' is no time of the day: write "08:00", and at most "24:00"'),
        (hours(end="24:01"), "'24:01' is no time of the day"),
        (hours(end="12:60"), "'12:60' is no time of the day"),
        (hours(begin="09:00", end="09:00"), 'it has no length: for the whole day write from "00:00" to "24:00"'),
        (hours(zone="Europe/Berln"), "there is no time zone 'Europe/Berln'; did you mean Europe/Berlin?"),
        (hours(zone="../../etc/passwd"), "there is no time zone '../../etc/passwd'"),
        (hours(zone="Europe"), "there is no time zone 'Europe'"),
        ('{hours: {from: "08:00", to: "12:00"}}', "zone is missing"),
        ("{source: 10.0.0.1/8}", "10.0.0.1/8 has bits set beyond its length: write 10.0.0.0/8"),
        ("{source: office}", "'office' is no network: write one such as 10.0.0.0/8 or 2001:db8::/32"),
        ("{source: []}", "when.source: must not be empty"),
        ("{login: unknown}", "'unknown' is unknown: write ssh, console or other"),
        ("{terminal: false}", "when.terminal: must be true, or be left out"),
        ("{live: 0}", "when.live: must be at least 1"),
        ("{on_call: [a b]}", "'a b' cannot be the name of a rota"),
        ("{any: [{live: 1}]}", "when.any: must have at least 2 entries"),
        ("{any: [{live: 1}, {}]}", "it is empty: write one or more of hours, source"),
        ("{source: }", "nothing stands here: write a value, or leave the key out"),
        ("{}", "it is empty"),
        ("[]", "when: must not be empty"),
        ("yes", "must be a mapping such as {source: 10.0.0.0/8}, or a list of such"),
        ("{sources: 10.0.0.0/8}", "unknown key 'sources'; did you mean source?"),
        ("{hours: {form: '08:00', to: '12:00', zone: UTC}}", "unknown key 'form'; did you mean from?"),
        ("{cel: user}", "the expression gives a string, and has to give a bool, at 1:1 of the expression"),
        ("{cel: \"usr == 'a'\"}", "undeclared reference to 'usr', at 1:1 of the expression"),
        ("{cel: \"true && live == 'a'\"}", "'(int, string)', at 1:14 of the expression"),
    ],
)
def test_what_is_written_wrong_is_told_at_its_place(when: str, message: str) -> None:
    found = errors(when)
    assert any(message in error for error in found), found
    assert all(error.startswith("9:") for error in found)
