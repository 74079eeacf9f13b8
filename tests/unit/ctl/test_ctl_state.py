"""What is kept between runs: private, whole, and never half of anything."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jit_ctl import state
from jit_ctl.errors import CtlError

SESSION = state.Session("jit:7443", "alice", "2026-11-23T12:00:00Z", "KEY", "CERTIFICATE")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_session_is_read_as_it_was_written_and_forgotten_once() -> None:
    assert state.read_session() is None
    state.write_session(SESSION)
    assert state.read_session() == SESSION
    assert (state.forget_session(), state.forget_session()) == (True, False)
    assert state.read_session() is None


def test_a_new_session_replaces_the_old_one_and_leaves_nothing_beside_it() -> None:
    state.write_session(SESSION)
    state.write_session(SESSION)
    assert [file.name for file in state.session_path().parent.iterdir()] == ["session.json"]
    assert stat.S_IMODE(state.session_path().stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_session_others_can_reach_is_refused(mode: int) -> None:
    state.write_session(SESSION)
    state.session_path().chmod(mode)
    with pytest.raises(CtlError, match="not a private file"):
        state.read_session()


def test_a_session_behind_a_link_is_refused(home: Path) -> None:
    state.write_session(SESSION)
    state.session_path().rename(home / "elsewhere")
    state.session_path().symlink_to(home / "elsewhere")
    with pytest.raises(CtlError, match="not a private file"):
        state.read_session()


@pytest.mark.parametrize("user", ["alice", "jürgen", 'quo"te', "back\\slash", "日本"])
def test_the_configuration_reads_back_whatever_the_name(user: str) -> None:
    config = state.Config("jit.example.org:7444", user)
    state.write_config(config)
    assert state.read_config() == config


@pytest.mark.parametrize("text", ["server", "server = 1", 'colour = "red"', "[server]", "\x00"])
def test_a_configuration_that_is_none_is_told_with_its_path(text: str) -> None:
    state.config_path().parent.mkdir(parents=True)
    state.config_path().write_text(text)
    with pytest.raises(CtlError, match=r"config\.toml") as refused:
        state.read_config()
    assert refused.value.code == "config"


def test_a_place_that_cannot_be_written_is_one_line(home: Path) -> None:
    (home / "state").write_text("a file where a folder should be")
    with pytest.raises(CtlError, match="cannot write") as refused:
        state.write_session(SESSION)
    assert refused.value.code == "config"


def test_a_relative_xdg_path_is_ignored(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """XDG Base Directory Specification: "All paths set in these environment variables must be absolute." """
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(home))
    assert state.session_path() == home / ".local/state/jitctl/session.json"
