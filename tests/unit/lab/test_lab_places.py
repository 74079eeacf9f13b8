"""Labs are apart by their names; nothing of one can be taken for another's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import network
from lab.places import Places, checked, default_name
from lab.process import LabError, run

LAB = Path(__file__).parents[2] / "lab" / "lab"


@pytest.mark.parametrize("name", ["lab", "web1", "a-b-c", "x" * 31])
def test_plain_names_are_taken(name: str) -> None:
    assert checked(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a.b", "a/b", "../etc", "-x", "1a", "A", "a b", "ä", "x" * 32, "a\n"])
def test_names_that_could_reach_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(LabError):
        checked(name)


def test_no_two_labs_share_the_name_of_anything() -> None:
    one, other = Places("a"), Places("a-b")
    assert one.machine("b-c") != other.machine("c")
    assert not other.machine("c").startswith(f"{one.switch}.")


def test_every_checkout_has_a_lab_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JIT_LAB", raising=False)
    ours = default_name()
    monkeypatch.setattr("lab.places.REPOSITORY", Path("/somewhere/else/main"))
    assert default_name() != ours
    assert checked(default_name())
    monkeypatch.setenv("JIT_LAB", "mine")
    assert default_name() == "mine"


def test_each_host_has_an_address_and_a_port_of_its_own() -> None:
    hosts = network.plan(["server", "web1", "web2"])
    assert len({host.ip for host in hosts}) == len({host.port for host in hosts}) == 3
    assert [host.host for host in hosts] == ["server", "web1", "web2"]


def test_a_host_is_of_the_release_it_is_written_with_or_of_the_first() -> None:
    hosts = network.plan(["server", "web1:12", "web2:13"])
    assert [(host.host, host.release) for host in hosts] == [("server", 12), ("web1", 12), ("web2", 13)]
    for wrong in ("web1:", "web1:11", "web1:13:13", "web1:trixie", ":13", "a.b:13"):
        with pytest.raises(LabError):
            network.plan([wrong])


def test_what_was_written_about_hosts_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.places.RUN", tmp_path)
    hosts = network.plan(["web1", "web2:13"])
    Places("one").write_hosts(hosts)
    assert list(Places("one").hosts().values()) == hosts
    with pytest.raises(LabError, match="no lab named 'two' is up"):
        Places("two").hosts()


def test_a_program_that_fails_says_what_it_said() -> None:
    with pytest.raises(LabError, match="status 3: no such luck"):
        run(["sh", "-c", "echo no such luck >&2; exit 3"])


@pytest.mark.parametrize("words", [["exec", "web1", "--", "true"], ["cut", "web1"], ["status"], ["otp", "alice"]])
def test_without_a_lab_every_verb_says_so_in_one_line(words: list[str]) -> None:
    done = subprocess.run([LAB, "--name", "never-booted", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lab: ")
    assert done.stderr.count("\n") == 1


def test_the_lab_explains_itself() -> None:
    said = subprocess.run([LAB, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(verb in said for verb in ("up", "exec", "put", "cut", "heal", "down", "status", "logs", "otp"))
