"""`jit status`: what is in force, what is asked for, and what is not known (SPEC 4)."""

from __future__ import annotations

import json

import pytest

from jit_testing import fake_agent as fake
from jit_testing.fake_agent import GRANT, REQUEST, FakeAgent
from jit_testing.jit_program import Jit

_OTHER = "gnt-7fzz000000000000"


def _rows(shown: str) -> dict[str, str]:
    return {name.strip(): text for name, _, text in (row.partition(": ") for row in shown.splitlines())}


def test_status_shows_a_grant_with_its_end_its_approver_and_the_way_out(agent: FakeAgent, jit: Jit) -> None:
    request = fake.approved(grant=fake.grant(state="active"), ticket="INC-7")
    agent.on("status", fake.status(lives=[fake.live(processes=2)], requests=[request]))
    done = jit.run("status")
    first, *rows = done.stdout.splitlines()
    assert first == "● web-operator on web1 as root"
    shown = {name.strip(): text for name, _, text in (row.partition(": ") for row in rows)}
    assert shown["Ends"].endswith("(in 30 min)")
    assert shown["Since"].endswith("(0 s ago)")
    assert shown["Approved"] == "by bob"
    assert shown["Reason"] == "deploy (INC-7)"
    assert shown["Allows"] == "everything"
    assert shown["Running"] == "2 processes"
    assert shown["Give back"] == f"jit drop {GRANT}"
    assert (done.stderr, done.returncode) == ("", 0)


def test_status_shows_how_a_grant_is_narrower_than_its_role(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live(once=True, session=16)]))
    rows = _rows(jit.run("status").stdout)
    assert (rows["Once"], rows["Session"]) == ("for one sudo; not used yet", "only from login session 16")
    agent.on("status", fake.status(lives=[fake.live(once=True, used=True)]))
    rows = _rows(jit.run("status").stdout)
    assert (rows["Once"], "Session" in rows) == ("used; it ends with what runs", False)


def test_status_shows_a_lease_with_what_ends_it(agent: FakeAgent, jit: Jit) -> None:
    live = fake.live(not_after=fake.now_us() + 45_000_000)
    request = fake.approved(grant=fake.grant(state="active", lease_s=60, extensions=2))
    agent.on("status", fake.status(lives=[live], requests=[request]))
    rows = _rows(jit.run("status").stdout)
    assert rows["Ends"].endswith("(in 30 min), extended 2 times")
    assert rows["Lease"].startswith("ends 1 min after the server is last heard: now ")
    assert rows["Lease"].endswith("(in 45 s)")
    agent.on("status", fake.status(lives=[live], server_error="connection refused"))
    assert _rows(jit.run("status").stdout)["Lease"].startswith("ends unless the server is heard: now ")
    agent.on("status", fake.status(lives=[fake.live()]))
    assert "Lease" not in _rows(jit.run("status").stdout)


def test_status_shows_a_pending_extension_with_the_grant_it_is_for(agent: FakeAgent, jit: Jit) -> None:
    active = fake.grant(state="active")
    asked = [fake.extension(grant=active), fake.approved(grant=active)]
    agent.on("status", fake.status(lives=[fake.live()], requests=asked))
    done = jit.run("status")
    assert done.stdout.count("web-operator on web1") == 1
    rows = _rows(done.stdout)
    assert rows["Extension"] == f"30 min more; pending: 1 approval by bob or carol ({fake.EXTENSION})"
    assert (rows["Approved"], rows["Extend"]) == ("by bob", f"jit extend {GRANT}")
    alone = jit.run("status", fake.EXTENSION).stdout
    assert "○ web-operator on web1 as root: pending" in alone
    assert "for 30 min more\n" in alone
    assert f"Grant: {GRANT}\n" in alone


def test_status_shows_what_a_grant_left_behind(agent: FakeAgent, jit: Jit) -> None:
    over = fake.grant(state="ended", end_reason="expired", leftovers=["77: sleep\x1b[2J 1000"])
    agent.on("status", fake.status(requests=[fake.approved(grant=over)]))
    assert "Left behind: 77: sleep\\x1b[2J 1000\n" in jit.run("status", "--all").stdout


def test_status_shows_what_starts_later_and_how_to_take_it_back(agent: FakeAgent, jit: Jit) -> None:
    at = fake.now_us() + 7_200_000_000
    scheduled = fake.approved(starts_at=at, once=True, grant=fake.grant(state="scheduled", not_before=at))
    agent.on("status", fake.status(requests=[scheduled]))
    rows = _rows(jit.run("status").stdout)
    assert rows["Starts"].endswith("+0000 (UTC) (in 2 h)")
    assert (rows["Only"], rows["Take back"]) == ("for one sudo", f"jit cancel {REQUEST}")


def test_status_shows_a_waiting_request_with_its_command_quoted(agent: FakeAgent, jit: Jit) -> None:
    request = fake.request(ask=fake.ask("/bin/echo", "a b", "$(id)", run_as_user="postgres"))
    agent.on("status", fake.status(requests=[request]))
    shown = jit.run("status").stdout
    assert "○ web-operator on web1 as postgres: pending" in shown
    assert "sudo -u postgres /bin/echo 'a b' '$(id)'" in shown
    assert "1 approval by bob or carol; lapses" in shown
    assert f"jit status -w {REQUEST}" in shown
    assert f"jit cancel {REQUEST}" in shown


@pytest.mark.parametrize(
    ("grant", "standing"),
    [
        (fake.grant(state="issued"), "approved, not yet in force"),
        (fake.grant(state="scheduled"), "approved, not yet started"),
        (fake.grant(state="ending"), "ending, not yet confirmed by the host"),
        (fake.grant(state="ended", end_reason="expired", ended_at=2**52), "expired, confirmed by the host"),
        (fake.grant(state="ended", end_reason="dropped", ended_at=1), "dropped before it started"),
        (fake.grant(state="unconfirmed"), "over, unconfirmed: the host has not answered"),
        (
            fake.grant(state="unconfirmed", unconfirmed_at=4_000_000_000_000_000),
            "over, unconfirmed since 2096-10-02 07:06:40 UTC: the host has not answered",
        ),
        (fake.grant(state="refused", end_reason="wrong_user"), "refused: wrong_user"),
    ],
)
def test_what_no_host_confirmed_is_not_called_done(
    agent: FakeAgent, jit: Jit, grant: fake.Object, standing: str
) -> None:
    agent.on("status", fake.status(requests=[fake.approved(grant=grant)]))
    assert f"as root: {standing}\n" in jit.run("status", "--all").stdout
    assert agent.asked("status") == [{"all": True}]


def test_status_without_anything_says_so(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status())
    assert jit.run("status").stdout == "No grant is in force on web1, and nothing is asked for.\n"


def test_status_without_the_server_shows_the_grants_and_says_what_is_missing(agent: FakeAgent, jit: Jit) -> None:
    commands = [
        {"path": "/usr/bin/id", "args": [], "sha256": ""},
        {"path": "/usr/bin/psql", "args": None, "sha256": ""},
    ]
    agent.on("status", fake.status(lives=[fake.live(commands=commands)], server_error="connection refused"))
    done = jit.run("status")
    assert "Allows: /usr/bin/id; /usr/bin/psql …\n" in done.stdout
    assert done.stderr == "the server cannot be reached (connection refused): requests are not shown\n"
    away = fake.status(server_error="connection refused", server_since=fake.now_us() - 90_000_000)
    agent.on("status", away)
    assert "the server cannot be reached since " in jit.run("status").stderr
    assert "(1 min 30 s ago) (connection refused)" in jit.run("status").stderr


def test_status_never_says_that_nothing_is_asked_for_without_knowing(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(server_error="connection refused"))
    assert jit.run("status").stdout == "No grant is in force on web1.\n"
    refused = fake.status(lives=[fake.live()]) | {
        "server": {"connected": True, "error": "alice is disabled", "since": 1}
    }
    agent.on("status", refused)
    done = jit.run("status")
    assert (done.returncode, done.stderr) == (0, "requests are not shown: alice is disabled\n")
    assert fake.GRANT in done.stdout


def test_an_id_that_only_the_server_could_know_is_not_called_unknown_without_it(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(server_error="connection refused"))
    assert jit.run("status", fake.REQUEST).returncode == 69
    agent.on("status", fake.status())
    assert jit.run("status", fake.REQUEST).returncode == 6


def test_who_waits_also_waits_for_the_server(agent: FakeAgent, jit: Jit) -> None:
    granted = fake.approved()
    agent.on(
        "status",
        fake.status(server_error="connection refused"),
        fake.status(lives=[fake.live()], requests=[granted]),
    )
    agent.on("wait", [{"ok": True, "request": granted, "in_force": True}])
    done = jit.run("status", "-w", fake.REQUEST)
    assert (done.returncode, len(agent.asked("status"))) == (0, 2)
    assert done.stderr.startswith("the server cannot be reached; trying again")


def test_who_waits_for_what_is_in_force_needs_no_server(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live()], server_error="connection refused"))
    assert jit.run("status", "-w", fake.GRANT).returncode == 0


def test_what_is_in_force_is_not_guessed_without_the_enforcer(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(enforcer_error="no such file or directory"))
    shown = jit.run("status")
    assert shown.stdout == ""
    assert "grants in force are not known" in shown.stderr
    dropped = jit.run("drop")
    assert (dropped.stdout, dropped.returncode, agent.asked("drop")) == ("", 69, [])


def test_status_finds_one_thing_by_a_start_of_its_id(agent: FakeAgent, jit: Jit) -> None:
    lives = [fake.live(), fake.live(grant=_OTHER, role="dba")]
    agent.on("status", fake.status(lives=lives, requests=[fake.request(request_id="req-9000000000000000")]))
    assert "dba" not in jit.run("status", "gnt-7f3").stdout
    assert "web-operator" not in jit.run("status", "7fz").stdout
    assert "pending" in jit.run("status", "9").stdout
    several = jit.run("status", "7f")
    assert (several.returncode, several.stdout) == (2, "")
    assert f"'7f' names several: {GRANT}, {_OTHER}" in several.stderr
    assert jit.run("status", "req-zzz").returncode == 6


def test_status_for_programs(agent: FakeAgent, jit: Jit) -> None:
    answer = fake.status(lives=[fake.live()], requests=[fake.request()])
    agent.on("status", answer)
    assert json.loads(jit.run("status", "-o", "json").stdout) == {key: answer[key] for key in answer if key != "ok"}
    assert jit.run("status", "-o", "name").stdout == f"{GRANT}\n{REQUEST}\n"
    assert jit.run("status", "-o", "yaml").returncode == 2


def test_the_prompt_line_is_short_and_its_status_says_whether_elevated(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(lives=[fake.live(role="web%op$(id)`")]))
    done = jit.run("status", "--prompt")
    assert (done.stdout, done.stderr, done.returncode) == ("[web?op??id?? 30m]\n", "", 0)
    agent.on("status", fake.status(lives=[fake.live(), fake.live(grant=_OTHER)]))
    assert jit.run("status", "--prompt").stdout == "[web-operator+1 30m]\n"


@pytest.mark.parametrize(
    "answer", [fake.status(), fake.error("unavailable", "no"), {"ok": True, "live": [{"role": 1}]}]
)
def test_the_prompt_line_is_silent_without_a_grant(agent: FakeAgent, jit: Jit, answer: fake.Object) -> None:
    agent.on("status", answer)
    done = jit.run("status", "--prompt")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 1)


def test_status_waits_for_the_request_under_way(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(requests=[fake.request()]))
    agent.on("wait", [fake.waited(fake.request()), fake.waited(fake.approved(), in_force=True)])
    done = jit.run("status", "-w")
    assert done.returncode == 0
    assert "is in force until" in done.stderr
    assert agent.asked("wait") == [{"request": REQUEST}]


def test_status_does_not_wait_for_what_is_over(agent: FakeAgent, jit: Jit) -> None:
    agent.on("status", fake.status(requests=[fake.request(state="denied", decisions=[fake.decision(approved=False)])]))
    done = jit.run("status", "-w", REQUEST)
    assert "denied by bob" in done.stderr
    assert done.returncode == 5
    assert jit.run("status", "-w").returncode == 6
    assert agent.asked("wait") == []


def test_who_waits_for_a_scheduled_request_waits_for_its_start(agent: FakeAgent, jit: Jit) -> None:
    scheduled = fake.approved(grant=fake.grant(state="scheduled"))
    agent.on("status", fake.status(requests=[scheduled]))
    agent.on("wait", [fake.waited(scheduled), fake.waited(fake.approved(), in_force=True)])
    done = jit.run("status", "-w", REQUEST)
    assert (done.returncode, "is in force until" in done.stderr) == (0, True)
