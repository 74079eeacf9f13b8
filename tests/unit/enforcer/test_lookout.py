"""A host that can no longer keep its grants ends them, and one that is merely asked at a bad moment does not (S6)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from jit_enforcer.applying import apply
from jit_enforcer.errors import Unsafe
from jit_enforcer.host import Host
from jit_enforcer.lookout import Lookout
from jit_enforcer.probe import Probe
from unit.enforcer.conftest import FakeClock, Signer, fields

GRANT = fields()["grant"]


class TestProbe(Probe):
    """Looks at the real files; what it finds wrong, or that it finds nothing out, is for the test to say."""

    __test__ = False
    wrong: tuple[str, ...] = ()
    silent = False
    asked = 0

    def known_problems(self) -> list[str]:
        self.asked += 1
        if self.silent:
            raise Unsafe("cvtsudoers cannot run")
        return list(self.wrong)


@dataclass
class World:
    host: Host
    clock: FakeClock
    probe: TestProbe
    lookout: Lookout

    def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        self.lookout.look()

    @property
    def lives(self) -> bool:
        return [entry.grant.grant for entry in self.host.live()] == [GRANT]


@pytest.fixture
def world(boot: Callable[[], Host], clock: FakeClock, signer: Signer) -> World:
    """One live grant, looked at once and found well."""
    host = boot()
    probe = TestProbe(host.paths)
    apply(host, signer.grant())
    host = replace(host, probe=probe)
    lookout = Lookout(host)
    lookout.look()
    return World(host, clock, probe, lookout)


def test_a_grant_lives_on_while_sudo_reads_what_was_meant(world: World) -> None:
    for _ in range(200):
        world.pass_s(1)
    assert world.lives


def test_a_problem_is_seen_when_sudo_or_a_file_of_its_changed(world: World) -> None:
    world.probe.wrong = ("this host's sudo is sudo-rs",)
    world.pass_s(1)
    assert world.lives
    world.host.paths.sudoers.write_text(world.host.paths.sudoers.read_text())
    world.pass_s(1)
    assert not world.lives
    proof = world.host.ledger.entries[GRANT].proof
    assert proof is not None
    assert (proof["reason"], proof["rule_removed"]) == ("stopped", True)


def test_a_problem_that_no_file_shows_is_seen_within_a_minute(world: World) -> None:
    world.probe.wrong = ("a file included from afar",)
    for _ in range(61):
        world.pass_s(1)
    assert not world.lives


@pytest.mark.parametrize("text", ["Defaults ignore_logfile_errors\n", "alice ALL=(ALL) NOPASSWD: ALL\n"])
def test_a_later_line_in_sudoers_ends_the_grant(world: World, text: str) -> None:
    sudoers = world.host.paths.sudoers
    sudoers.write_text(text + sudoers.read_text())
    world.pass_s(1)
    assert world.lives
    sudoers.write_text(sudoers.read_text() + text)
    world.pass_s(1)
    assert not world.lives


def test_a_rule_of_ours_that_somebody_changed_ends_the_grant(world: World) -> None:
    rule = world.host.paths.dropins / GRANT
    rule.chmod(0o640)
    rule.write_text(rule.read_text().replace("NOTAFTER", "NOTBEFORE"))
    for _ in range(61):
        world.pass_s(1)
    assert not world.lives


@pytest.mark.parametrize("emptied", [True, False])
def test_a_grant_whose_sudo_would_no_longer_be_led_to_the_gate_ends_at_once(world: World, emptied: bool) -> None:
    defaults = world.host.paths.dropins / f"uid-{fields()['uid']}"
    if emptied:
        defaults.chmod(0o640)
        defaults.write_text("")
    else:
        defaults.unlink()
    world.lookout.look()
    assert not world.lives


def test_silence_is_borne_for_ten_seconds(world: World) -> None:
    """The process table may be full, or an editor at work: no answer is not yet a bad one."""
    world.host.paths.sudoers.write_text(world.host.paths.sudoers.read_text())
    world.probe.silent = True
    for _ in range(9):
        world.pass_s(1)
    assert world.lives
    world.probe.silent = False
    world.pass_s(1)
    assert world.lives

    world.host.paths.sudoers.write_text(world.host.paths.sudoers.read_text())
    world.probe.silent = True
    for _ in range(11):
        world.pass_s(1)
    assert not world.lives


def test_a_host_without_a_live_grant_sleeps(world: World) -> None:
    assert world.lookout.wait_s() <= 1
    world.probe.wrong = ("x",)
    world.host.paths.sudoers.write_text("")
    world.pass_s(1)
    asked = world.probe.asked
    world.pass_s(1)
    assert (world.lookout.wait_s(), world.probe.asked) == (60, asked)
