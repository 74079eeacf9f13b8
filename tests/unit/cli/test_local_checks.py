"""What `jit doctor` judges by itself when the agent is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit_cli.local_checks import look, sudo_variant


@pytest.mark.parametrize("printed", ["Sudo version 1.9.13p3\nmore", "Sudo version 1.9.12", "Sudo version 1.10.0"])
def test_the_original_sudo_that_is_new_enough_is_good(printed: str) -> None:
    assert sudo_variant(printed).ok


@pytest.mark.parametrize("printed", [None, "", "sudo-rs 0.2.5", "Sudo version 1.9.9p2", "Sudo version 1.8.31", "what?"])
def test_any_other_sudo_is_not_and_the_mend_is_said(printed: str | None) -> None:
    check = sudo_variant(printed)
    assert not check.ok
    assert "1.9.12" in check.fix


def test_files_of_the_installation_are_looked_for(tmp_path: Path) -> None:
    def judged() -> dict[str, bool]:
        return {check.name: check.ok for check in look("silent", str(tmp_path))}

    assert (judged()["enrolment"], judged()["include line"], judged()["agent"]) == (False, False, False)
    for name in ("etc/jit/agent.toml", "etc/jit/trust.json", "etc/sudoers.d/zzz-jit"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert (judged()["enrolment"], judged()["include line"], judged()["agent"]) == (True, True, False)
