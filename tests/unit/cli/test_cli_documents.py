"""The man page and the completion scripts say what the program does."""

from __future__ import annotations

import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from jit_cli.errors import EXIT_STATUS
from jit_cli.main import VERBS
from jit_cli.options import Verb

_PACKAGING = Path(__file__).parents[3] / "packaging"
_MODULES = [module for module, _ in VERBS.values() if module]


def _verb(module: str) -> Verb:
    verb = import_module(f"jit_cli.{module}").VERB
    assert isinstance(verb, Verb)
    return verb


@pytest.mark.parametrize("module", _MODULES)
def test_the_man_page_has_every_verb_and_option(module: str) -> None:
    page = (_PACKAGING / "man" / "jit.1.scd").read_text()
    verb = _verb(module)
    missing = [option.long for option in verb.options if not option.refused and f"*--{option.long}*" not in page]
    assert (missing, f"*jit {verb.name}" in page) == ([], True)


def test_the_man_page_has_every_exit_status() -> None:
    page = (_PACKAGING / "man" / "jit.1.scd").read_text()
    assert [status for status in (0, 1, *EXIT_STATUS.values(), 130) if f"\n*{status}*\n" not in page] == []


@pytest.mark.parametrize("module", _MODULES)
@pytest.mark.parametrize(("shell", "written"), [("bash", "--{}"), ("zsh", "--{}"), ("fish", "-l {} ")])
def test_every_verb_and_option_can_be_completed(shell: str, written: str, module: str) -> None:
    script = (_PACKAGING / "completions" / f"jit.{shell}").read_text()
    assert script.isascii()
    verb = _verb(module)
    wanted = [option.long for option in verb.options if not option.refused and option.long != "help"]
    assert [name for name in wanted if written.format(name) not in script] == []
    assert verb.name in script


@pytest.mark.parametrize(
    ("line", "offset"),
    [
        ("jit sudo systemctl resta", 2),
        ("jit sudo -u postgres -- psq", 5),
        ("jit sudo -nu postgres psq", 4),
        ("jit sudo --user=postgres --exact psq", 4),
    ],
)
def test_bash_completes_after_jit_sudo_as_after_nothing(line: str, offset: int) -> None:
    words = line.split()
    program = f"""
        _init_completion() {{ words=({line}); cword={len(words) - 1}; cur={words[-1]}; prev={words[-2]}; }}
        _command_offset() {{ echo "command line from word $1"; }}
        . '{_PACKAGING}/completions/jit.bash'
        _jit
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"command line from word {offset}\n", "")


def test_bash_completes_roles_from_the_host() -> None:
    program = f"""
        jit() {{ printf 'dba\\nweb-operator\\n'; }}
        _init_completion() {{ words=(jit sudo -r w); cword=3; cur=w; prev=-r; }}
        . '{_PACKAGING}/completions/jit.bash'
        _jit
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "web-operator\n"
