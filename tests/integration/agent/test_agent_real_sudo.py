"""The real sudo of this machine against the real agent, with the enforcer's yes or no played.

sudo runs in a mount namespace of its own in which /etc/sudoers.d is a folder of the test, so nothing of the machine is
changed.  What is proved is the protocol and the gate; scopes and expiry are the system level's.
"""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import BinaryIO

import pytest

from .conftest import NOBODY, World, as_user
from .test_agent_gate import ALICE
from .test_agent_stream import connected

RULES = """\
Defaults:#{uid} log_servers=127.0.0.1:{port}, log_server_timeout=10, !ignore_logfile_errors, !ignore_iolog_errors
Defaults:#{uid} log_allowed, log_denied, log_output, use_pty, timestamp_timeout=0, passwd_timeout=1, !pam_session
#{uid} ALL=(root) NOPASSWD:NOSETENV:LOG_OUTPUT: ALL
"""


@pytest.fixture
def rules(world: World, tmp_path: Path) -> Path:
    directory = tmp_path / "sudoers.d"
    directory.mkdir(mode=0o755)
    (directory / "jit").write_text(RULES.format(uid=NOBODY.pw_uid, port=world.log_port))
    (directory / "jit").chmod(0o440)
    return directory


async def sudo(rules: Path, *words: str, to: BinaryIO | None = None) -> asyncio.subprocess.Process:
    """Start `sudo -n WORDS` as nobody."""
    return await start(rules, "/usr/bin/sudo", "-n", *words, to=to)


async def start(rules: Path, *words: str, to: BinaryIO | None = None) -> asyncio.subprocess.Process:
    """Start these words as nobody, where the rules are sudo's."""
    command = shlex.join([*as_user(NOBODY.pw_uid), *words])
    return await asyncio.create_subprocess_exec(
        "/usr/bin/unshare", "--mount", "--propagation=private", "/bin/sh", "-c",
        f"mount --bind {shlex.quote(str(rules))} /etc/sudoers.d && exec {command}",
        stdin=asyncio.subprocess.DEVNULL, stdout=to or asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def outcome(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, (output or b"").decode("utf-8", "backslashreplace"), errors.decode()


async def test_an_admitted_command_runs_and_is_recorded_to_its_exit(world: World, rules: Path) -> None:
    await connected(world)
    world.enforcer.admission = ALICE
    status, output, errors = await outcome(await sudo(rules, "/bin/sh", "-c", "id -u; exit 7"))
    assert (status, output.strip()) == (7, "0"), errors
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    [started] = world.server.told("session_started")
    assert (list(started.argv), started.run_as_user) == (["/bin/sh", "-c", "id -u; exit 7"], "root")
    assert started.command in {"/bin/sh", "/usr/bin/sh"}
    [ended] = world.server.told("session_ended")
    assert (ended.exit_value, ended.lost) == (7, False)


async def test_a_command_that_is_not_admitted_has_no_effect_and_says_what_to_do(world: World, rules: Path) -> None:
    await connected(world)
    trace = world.directory / "trace"
    status, _, errors = await outcome(await sudo(rules, "/usr/bin/touch", str(trace)))
    assert status == 1
    assert "jit: no live grant covers this command; ask with: jit sudo COMMAND" in errors
    assert not trace.exists()
    assert world.server.told("session_started") == []


async def test_nothing_runs_while_the_enforcer_is_dead(world: World, rules: Path) -> None:
    await connected(world)
    await world.enforcer.__aexit__(None, None, None)
    trace = world.directory / "trace"
    status, _, errors = await outcome(await sudo(rules, "/usr/bin/touch", str(trace)))
    assert (status, trace.exists()) == (1, False)
    assert "cannot check grants" in errors


async def test_a_command_whose_record_cannot_go_on_is_ended(world: World, rules: Path) -> None:
    """S5: "a lost record ends the session"."""
    await connected(world)
    world.enforcer.admission = ALICE
    process = await sudo(rules, "/bin/sleep", "60")
    await world.server.until(lambda: bool(world.server.told("session_started")))
    await world.stop()
    status, _, _ = await outcome(process)
    assert status != 0
    await world.start()
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    assert world.server.told("session_ended")[0].lost


async def test_a_signal_is_told_by_its_name(world: World, rules: Path) -> None:
    await connected(world)
    world.enforcer.admission = ALICE
    await outcome(await sudo(rules, "/bin/sh", "-c", "kill -KILL $$"))
    await world.server.until(lambda: bool(world.server.told("session_ended")))
    assert world.server.told("session_ended")[0].signal == "KILL"


async def test_an_argument_that_is_not_utf8_is_recorded_and_does_not_end_the_command(world: World, rules: Path) -> None:
    await connected(world)
    world.enforcer.admission = ALICE
    script = "sudo -n /bin/echo $(printf 'na\\357ve')"
    status, output, errors = await outcome(await start(rules, "/bin/sh", "-c", script))
    assert (status, output.strip()) == (0, "na\\xefve"), errors
    await world.server.until(lambda: bool(world.server.told("session_started")))
    assert list(world.server.told("session_started")[0].argv) == ["/bin/echo", "na\\xefve"]


async def test_a_megabyte_of_output_passes(world: World, rules: Path) -> None:
    """Into a file: into a pipe whose reader is slow, sudo 1.9.13p3 loses the end with its own sudo_logsrvd as well."""
    await connected(world)
    world.enforcer.admission = ALICE
    with (world.directory / "output").open("wb") as output:
        status, _, errors = await outcome(await sudo(rules, "/usr/bin/head", "-c", "1000000", "/dev/zero", to=output))
    assert (status, errors) == (0, "")
    assert (world.directory / "output").stat().st_size == 1_000_000
