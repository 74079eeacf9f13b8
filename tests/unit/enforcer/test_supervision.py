"""What systemd hears of the enforcer, so that one that hangs is killed and started anew (S2)."""

import configparser
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jit_enforcer import supervision
from jit_enforcer.host import Host
from jit_enforcer.listener import Listener

UNIT = Path(__file__).parents[3] / "packaging/jit-agent/root/usr/lib/systemd/system/jit-enforcer.service"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The end that systemd hears at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield ear


def test_an_idle_enforcer_tells_again_and_again_that_its_loop_turns(
    host: Host, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    wake, stop = socket.socketpair()
    with wake, stop:
        listener = Listener(host, stop)
        loop = threading.Thread(target=listener.serve)
        loop.start()
        try:
            assert [systemd.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        finally:
            wake.send(b"!")
            loop.join()
            listener.close()


def test_nothing_is_told_where_nobody_watches(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    supervision.Heartbeat().beat()
    supervision.notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_a_systemd_that_does_not_listen_holds_nothing_up(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "4")  # each beat is due
    heartbeat = supervision.Heartbeat()
    for _ in range(10_000):  # far more than its queue takes
        heartbeat.beat()
    assert heartbeat.wait_s() <= 1e-6


def test_systemd_watches_and_kills_with_what_reaches_a_stopped_process_too() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(UNIT)
    assert unit["Service"]["WatchdogSec"] == "60s"
    assert unit["Service"]["WatchdogSignal"] == "SIGKILL"
    assert unit["Service"]["Restart"] == "always"
