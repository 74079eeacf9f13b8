"""The program `jit-server` as an administrator meets it, and a server that is killed at the worst moment."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jit_protos.v1 import admin_pb2, common_pb2, host_pb2, people_pb2
from jit_server.app import App
from jit_server.config import Address
from jit_server.rpc.server import CannotListen
from jit_testing.server_world import World, new_world

PROGRAM = str(Path(sys.executable).with_name("jit-server"))
TESTS = Path(__file__).parents[2]


def jit_server(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | environment,
    )  # fmt: skip


def tree(directory: Path) -> dict[str, int]:
    """Every path below the directory with its mode."""
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")}


def init(directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return jit_server(
        "init", "--state", directory / "state", "--config", directory / "etc" / "server.toml",
        "--domain", "example.org", "--name", "jit.example.org", "--admin", "root-admin", *more,
    )  # fmt: skip


def test_init_makes_an_installation_and_says_what_to_do_next(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    fingerprint = re.search(r"CA fingerprint: (sha256:[0-9a-f]{64})\n", done.stdout)
    assert fingerprint
    server = f"--server jit.example.org:7444 --ca {fingerprint[1]}"
    assert re.search(rf"jitctl mfa enroll {server} --user root-admin --token jit-mfa_[\w-]{{43}}\n", done.stdout)
    assert f"jitctl login {server} --user root-admin\n" in done.stdout
    assert tree(tmp_path / "state") == {
        "jit.db": 0o600,
        "keys": 0o700,
        "keys/grant.key": 0o600,
        "keys/kek.key": 0o600,
        "pki": 0o700,
        "pki/ca.crt": 0o644,
        "pki/ca.key": 0o600,
        "pki/server.pem": 0o600,
    }
    checked = jit_server("check-config", "--config", tmp_path / "etc" / "server.toml")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_init_for_machines_prints_one_object(tmp_path: Path) -> None:
    told = json.loads(init(tmp_path, "--json").stdout)
    assert told["admin"] == "root-admin"
    assert told["mfa_token"].startswith("jit-mfa_")
    assert told["ca_fingerprint"].startswith("sha256:")


def test_init_refuses_to_run_twice_and_changes_nothing(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = init(tmp_path)
    assert again.returncode == 7
    assert re.fullmatch(r"jit-server: .* holds an installation already: nothing was changed\n", again.stderr)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--name", "not a name"], "neither a host name nor an IP address"),
        (["--domain", "Upper.Case"], "not a domain name"),
        (["--admin", "a\nb"], "cannot be a person's name"),
        (["--database", "mysql://jit:hunter2@db/jit"], "unknown database 'mysql'"),
        (["--database", "postgresql://jit:hunter2@127.0.0.1:1/jit"], "database"),
    ],
)
def test_an_init_that_fails_is_one_line_and_leaves_nothing(tmp_path: Path, more: list[str], message: str) -> None:
    done = init(tmp_path, *more)
    assert done.returncode in {65, 69, 78}
    assert message in done.stderr
    assert all(line.startswith("jit-server: ") for line in done.stderr.splitlines())
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(tmp_path).keys() <= {"state"}
    assert init(tmp_path).returncode == 0


def test_remains_of_an_installation_are_never_built_upon(tmp_path: Path) -> None:
    (tmp_path / "state" / "keys").mkdir(parents=True)
    done = init(tmp_path)
    assert (done.returncode, "not whole" in done.stderr) == (78, True)
    assert tree(tmp_path / "state").keys() == {"keys"}


def test_run_without_an_installation_and_with_a_bad_configuration_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'state = "{tmp_path}"\n')
    missing = jit_server("run", "--config", file)
    assert (missing.returncode, missing.stderr.count("\n"), "run `jit-server init` first" in missing.stderr) == (
        78,
        1,
        True,
    )
    file.write_text("listn = 1\nissuer = 2\n")
    bad = jit_server("check-config", "--config", file)
    assert (bad.returncode, len(bad.stderr.splitlines())) == (78, 2)


def test_a_damaged_key_is_told_before_anything_is_served(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    config = tmp_path / "etc" / "server.toml"
    (tmp_path / "state" / "keys" / "grant.key").write_text("nonsense")
    for command in ("check-config", "run"):
        done = jit_server(command, "--config", config)
        assert (done.returncode, "is damaged" in done.stderr, "Traceback" in done.stderr) == (78, True, False)


def test_usage_errors_and_help(tmp_path: Path) -> None:
    assert jit_server("--help").returncode == 0
    assert jit_server("version").stdout.startswith("jit-server 0.")
    for wrong in (["no-such-command"], ["init", "--no-such-option"]):
        assert jit_server(*wrong).returncode == 2


def test_run_tells_systemd_serves_and_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    """sd_notify(3): READY=1 once it serves, WATCHDOG=1 while the loop turns, STOPPING=1 on SIGTERM; status 0."""
    assert init(tmp_path).returncode == 0
    config = tmp_path / "etc" / "server.toml"
    config.write_text(config.read_text() + 'listen = "127.0.0.1:0"\nlisten_bootstrap = "127.0.0.1:0"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(30)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with subprocess.Popen(
            [PROGRAM, "run", "--config", str(config)], stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert notified.recv(4096).startswith(b"READY=1")
            assert notified.recv(4096) == b"WATCHDOG=1"
            process.send_signal(signal.SIGHUP)
            assert notified.recv(4096) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            while not notified.recv(4096).startswith(b"STOPPING=1"):
                pass
            _, log = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in log


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    config = tmp_path / "etc" / "server.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(config.read_text() + f'listen = "127.0.0.1:{port}"\nlisten_bootstrap = "127.0.0.1:0"\n')
        done = jit_server("run", "--config", config)
    assert done.returncode == 69
    assert f"jit-server: cannot listen on 127.0.0.1:{port}: is another program there?" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_second_server_that_cannot_listen_calls_no_host_away(world: World) -> None:
    admin = await world.first_admin()
    session = world.session(await world.add_host(admin, "web1", tier="web"))
    await session.hello()
    await session.desired()
    second = App(
        dataclasses.replace(world.config, listen=Address("127.0.0.1", world.port)),
        passwords=world.passwords,
        clock=world.clock,
    )
    with pytest.raises(CannotListen):
        await second.start()
    hosts = (await world.admin(admin).ListHosts(admin_pb2.ListHostsRequest())).hosts
    assert [(host.name, host.connected) for host in hosts] == [("web1", True)]


class Process:
    """A server process of a world's own installation, to be killed and started again."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world, self._directory = world, directory
        file = directory / "server.toml"
        file.write_text(f'state = "{world.config.state}"\nlisten = "127.0.0.1:0"\nlisten_bootstrap = "127.0.0.1:0"\n')
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jit_testing.serve_with_fake_passwords",
            str(self._directory / "server.toml"), str(self._directory / "clock"),
            stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(TESTS)},
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            ports = (await self._process.stdout.readline()).split()
        self._world.port, self._world.bootstrap_port = map(int, ports)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()


@pytest.mark.parametrize("connected", [False, True], ids=["host away", "host connected"])
async def test_a_server_killed_between_approval_and_delivery_delivers_exactly_once(
    tmp_path: Path, policy_text: str, connected: bool
) -> None:
    world = await new_world(tmp_path)
    server = Process(world, tmp_path)
    await server.start()
    try:
        admin = await world.first_admin()
        alice, carol = await world.add_user(admin, "alice"), await world.add_user(admin, "carol")
        await world.apply_policy(admin, policy_text)
        web1 = await world.add_host(admin, "web1", tier="web")
        if connected:
            session = world.session(web1)
            await session.hello()
            await session.desired()
        ask = host_pb2.CreateRequestRequest(
            user=host_pb2.LocalUser(uid=1001, name="alice"),
            role="web",
            ask=common_pb2.Ask(argv=["/usr/bin/systemctl", "restart", "nginx.service"], run_as_user="root"),
            reason="it hangs",
            otp=world.code(alice),
        )
        request = await world.host(web1).CreateRequest(ask)
        decided = await world.people(carol).Approve(people_pb2.DecideRequest(request_id=request.request_id))
        await server.kill()
        await server.start()

        envelopes = set()
        for _ in range(2):
            session = world.session(web1)
            await session.hello()
            (signed,) = (await session.desired()).grants
            assert signed.grant_id == decided.grant.grant_id
            envelopes.add(signed.envelope)
        assert len(envelopes) == 1
        (listed,) = (await world.people(carol).ListGrants(people_pb2.ListGrantsRequest())).grants
        assert listed.grant_id == decided.grant.grant_id
    finally:
        await world.close()
        await server.kill()
