"""Warnings, and the end of programs before the end of their grant (SPEC 3.5, S4, S12)."""

import os
import select
import signal
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jit_enforcer import applying, closing, ending, notices
from jit_enforcer.closing import LastMinutes
from jit_enforcer.host import Host
from unit.enforcer.conftest import NOW, SECOND, SESSION, FakeClock, FakeScopes, Person, Signer

ONE = "gnt-0000000000000001"
HOST = os.uname().nodename


class Screen:
    """What arrives on a terminal."""

    def __init__(self, uid: int) -> None:
        self._screen, self.terminal = os.openpty()
        tty.setraw(self.terminal)
        self.path = Path(os.ttyname(self.terminal))
        if os.getuid() == 0:
            os.chown(self.path, uid, -1)
        self.path.chmod(0o620)

    def lines(self) -> list[str]:
        found = b""
        while select.select([self._screen], [], [], 0)[0]:
            found += os.read(self._screen, 65536)
        return [line for line in found.decode().split("\r\n") if line]

    def close(self) -> None:
        os.close(self._screen)
        os.close(self.terminal)


@pytest.fixture
def uid() -> int:
    """Whose terminals these tests may make: root anybody's, others only their own."""
    return 4001 if os.getuid() == 0 else os.getuid()


@pytest.fixture
def screen(uid: int) -> Iterator[Screen]:
    opened = Screen(uid)
    yield opened
    opened.close()


@pytest.fixture
def there(host: Host, people: list[Person], uid: int) -> Host:
    """The host with this machine's terminals."""
    people[1] = Person("alice", uid)
    return replace(host, paths=replace(host.paths, dev=Path("/dev")))


def text(minutes: str, at: str, grant: str = "gnt-0000") -> str:
    return f"jit: web on {HOST} ends in {minutes}, at {at}; to go on: jit extend {grant}"


def test_five_minutes_and_one_minute_before_the_end_the_person_is_told_once(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int
) -> None:
    applying.apply(there, signer.grant(uid=uid))
    last = LastMinutes(there)
    said = []
    for _ in range(3597):
        last.tick()
        said += [(clock.wall - NOW, line) for line in screen.lines()]
        clock.pass_s(1)
    assert said == [
        (3300 * SECOND, text("5 minutes", "09:00:00 UTC")),
        (3540 * SECOND, text("1 minute", "09:00:00 UTC")),
    ]


def test_the_loop_wakes_in_time_for_each_step(there: Host, clock: FakeClock, signer: Signer, uid: int) -> None:
    applying.apply(there, signer.grant(uid=uid))
    last = LastMinutes(there)
    woken = []
    for _ in range(4):
        clock.pass_s(last.wait_s())
        woken.append((clock.wall - NOW) / SECOND)
        last.tick()
    assert woken == [3300, 3540, 3597.5, 3598.5]


@pytest.mark.parametrize(("length", "heard"), [(306, ["5 minutes"]), (305, []), (60, []), (66, ["1 minute"])])
def test_a_grant_that_begins_within_the_last_minutes_has_no_notice_at_its_start(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int, length: int, heard: list[str]
) -> None:
    applying.apply(there, signer.grant(uid=uid, not_after=NOW + length * SECOND, remaining_s=length))
    last = LastMinutes(there)
    for _ in range(9):
        last.tick()
        clock.pass_s(1)
    assert [line.split(" ends in ")[1].split(",")[0] for line in screen.lines()] == heard


def test_after_an_extension_the_notices_are_those_of_the_new_end(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int
) -> None:
    applying.apply(there, signer.grant(uid=uid))
    last = LastMinutes(there)
    clock.pass_s(3301)
    last.tick()
    applying.apply(there, signer.grant(uid=uid, revision=2, not_after=NOW + 7200 * SECOND, remaining_s=3899))
    clock.pass_s(3598)
    last.tick()
    last.tick()
    clock.pass_s(1)
    last.tick()
    assert screen.lines() == [text("5 minutes", "09:00:00 UTC"), text("5 minutes", "10:00:00 UTC")]


def test_the_renewal_of_a_lease_says_nothing_and_notices_follow_what_was_promised(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int
) -> None:
    last = LastMinutes(there)
    revision = 0
    while (left := 3600 - (clock.wall - NOW) // SECOND) > 10:
        revision += 1
        lease = min(600, left)
        times = {"not_after": clock.wall + lease * SECOND, "until": NOW + 3600 * SECOND, "remaining_s": lease}
        applying.apply(there, signer.grant(uid=uid, revision=revision, **times))
        for _ in range(299):
            last.tick()
            clock.pass_s(1)
    assert screen.lines() == [text("5 minutes", "09:00:00 UTC"), text("1 minute", "09:00:00 UTC")]


@pytest.mark.parametrize(("gap_s", "heard"), [(10, 1), (31, 0)])
def test_a_notice_that_fell_due_while_the_enforcer_was_dead_is_given_if_it_is_still_true(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int, gap_s: int, heard: int
) -> None:
    applying.apply(there, signer.grant(uid=uid))
    clock.pass_s(3300 + gap_s)
    LastMinutes(there).tick()
    assert len(screen.lines()) == heard


def test_only_terminals_of_the_person_that_take_messages_are_written_to(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int
) -> None:
    quiet, others = Screen(uid), Screen(uid + 1)
    quiet.path.chmod(0o600)
    if os.getuid() != 0:
        others.path.chmod(0o600)
    entry = applying.apply(there, signer.grant(uid=uid))
    notices.ended(there.paths, entry.grant, reason="dropped", stopped=0)
    assert (len(screen.lines()), quiet.lines(), others.lines()) == (1, [], [])
    quiet.close()
    others.close()


def test_a_terminal_that_nobody_reads_holds_nothing_up(there: Host, signer: Signer, screen: Screen, uid: int) -> None:
    entry = applying.apply(there, signer.grant(uid=uid))
    os.set_blocking(screen.terminal, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(screen.terminal, b"x" * 4096)
    notices.ended(there.paths, entry.grant, reason="dropped", stopped=0)


def test_a_folder_of_terminals_that_is_a_trap_is_passed_over(
    host: Host, signer: Signer, tmp_path: Path, uid: int
) -> None:
    pts = host.paths.dev / "pts"
    pts.mkdir(parents=True)
    (tmp_path / "victim").write_text("untouched")
    (pts / "1").symlink_to(tmp_path / "victim")
    os.mkfifo(pts / "2")
    (pts / "3").write_text("untouched")
    (host.paths.dev / "tty1").symlink_to(tmp_path / "victim")
    entry = applying.apply(host, signer.grant())
    notices.ended(host.paths, entry.grant, reason="dropped", stopped=0)
    assert ((tmp_path / "victim").read_text(), (pts / "3").read_text()) == ("untouched", "untouched")


def test_a_role_cannot_write_to_a_terminal_what_it_likes(there: Host, signer: Signer, screen: Screen, uid: int) -> None:
    entry = applying.apply(there, signer.grant(uid=uid, role="wéb\u2066"[:3]))
    hostile = replace(entry.grant, role="\x1b]0;x\x07\r\nroot#\u202e")
    notices.ended(there.paths, hostile, reason="dropped", stopped=0)
    (line,) = screen.lines()
    assert line == f"jit: \\x1b]0;x\\x07\\r\\nroot#\\u202e on {HOST} has ended: it was given back"


def test_what_somebody_has_to_say_cannot_write_to_a_terminal_what_it_likes(
    there: Host, signer: Signer, screen: Screen, uid: int
) -> None:
    entry = applying.apply(there, signer.grant(uid=uid))
    notices.said(there.paths, entry.grant, "carol: \x1b[31mstop\r\nroot# é\u202e")
    notices.said(there.paths, entry.grant, "")
    assert screen.lines() == [f"jit: web on {HOST}: carol: \\x1b[31mstop\\r\\nroot# \\xe9\\u202e"]


@pytest.mark.parametrize(
    ("reason", "stopped", "lease", "end"),
    [
        ("expired", 0, False, "has ended"),
        ("expired", 1, False, "has ended; 1 program was stopped"),
        ("expired", 3, True, "has ended: the jit server was not heard; 3 programs were stopped"),
        ("revoked", 3, True, "has ended: it was revoked; 3 programs were stopped"),
        ("used", 0, False, "has ended: its one command is over"),
    ],
)
def test_at_the_end_the_person_is_told_why(
    there: Host, signer: Signer, screen: Screen, uid: int, reason: str, stopped: int, lease: bool, end: str
) -> None:
    until = NOW + (7200 if lease else 3600) * SECOND
    entry = applying.apply(there, signer.grant(uid=uid, until=until))
    notices.ended(there.paths, entry.grant, reason=reason, stopped=stopped)
    assert screen.lines() == [f"jit: web on {HOST} {end}"]


def test_an_end_is_told_and_a_reboot_is_not(
    there: Host, clock: FakeClock, signer: Signer, screen: Screen, uid: int
) -> None:
    entry = applying.apply(there, signer.grant(uid=uid))
    other = applying.apply(there, signer.grant(uid=uid, grant="gnt-0000000000000002"))
    ending.end(there, [entry], "rebooted")
    assert screen.lines() == []
    ending.end(there, [other], "revoked")
    assert screen.lines() == [f"jit: web on {HOST} has ended: it was revoked"]


def test_programs_are_asked_then_killed_and_sudo_outlives_them(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer
) -> None:
    entry = applying.apply(host, signer.grant())
    polite, stubborn, sudo = 71, 72, 73
    for pid in (polite, stubborn, sudo):
        scopes.admit(entry.scope, SESSION, pid)
    scopes.deaf = {stubborn, sudo}
    (host.paths.proc / "73").mkdir()
    (host.paths.proc / "73/exe").symlink_to("/usr/bin/sudo")
    last = LastMinutes(host)
    clock.pass_s(3597.4)
    last.tick()
    assert scopes.sent == {}
    clock.pass_s(0.1)
    last.tick()
    hangup = [signal.SIGHUP, signal.SIGTERM]
    assert scopes.sent == {polite: hangup, stubborn: hangup, sudo: [signal.SIGTERM]}
    assert scopes.processes(entry.scope) == [stubborn, sudo]
    clock.pass_s(1)
    last.tick()
    assert scopes.processes(entry.scope) == [sudo]
    clock.pass_s(1.5)
    ending.tick(host)
    proof = host.ledger.entries[ONE].proof
    assert proof is not None
    assert (proof["killed"], scopes.exists(entry.scope)) == (2, False)


def test_an_extension_in_the_last_seconds_starts_the_count_anew(
    host: Host, clock: FakeClock, scopes: FakeScopes, signer: Signer
) -> None:
    entry = applying.apply(host, signer.grant())
    scopes.admit(entry.scope, SESSION, 71)
    scopes.deaf = {71}
    last = LastMinutes(host)
    clock.pass_s(3598)
    last.tick()
    extended = applying.apply(host, signer.grant(revision=2, not_after=NOW + 7200 * SECOND, remaining_s=3602))
    clock.pass_s(1)
    last.tick()
    assert (scopes.processes(extended.scope), extended.killed) == ([71], 0)
    clock.pass_s(3600)
    last.tick()
    assert scopes.processes(extended.scope) == []


def test_an_end_that_was_ordered_gives_programs_a_moment_and_no_more(
    host: Host, scopes: FakeScopes, signer: Signer
) -> None:
    entries = [applying.apply(host, signer.grant(grant=f"gnt-000000000000000{n}")) for n in (1, 2)]
    for number, entry in enumerate(entries):
        scopes.admit(entry.scope, SESSION, 71 + number)
    scopes.deaf = {72}
    assert closing.close_now(host, [entry.scope for entry in entries]) == {entry.scope: 1 for entry in entries}
    assert [scopes.processes(entry.scope) for entry in entries] == [[], []]
    assert scopes.sent == {
        71: [signal.SIGHUP, signal.SIGTERM],
        72: [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL],
    }
