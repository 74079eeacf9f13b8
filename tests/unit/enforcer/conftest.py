"""A host in a temporary folder: real files, real visudo and cvtsudoers, a clock and scopes that the test holds."""

import base64
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jit_enforcer import admission, connection, processes, programs
from jit_enforcer.errors import Expired, Unsafe
from jit_enforcer.host import Host
from jit_enforcer.ledger import Ledger
from jit_enforcer.paths import Paths, below
from jit_enforcer.probe import Probe
from jit_enforcer.rules import Rules
from jit_enforcer.scope import Scopes
from jit_enforcer.units import Scope

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
BOOT = "8267f942-9f41-46c3-b228-af21deaa6931"
HOST = "hst-0000000000000000"
SESSION = "ses-0000000000000001"
TAG = b"jit grant v1"


@dataclass
class FakeClock:
    wall: int = NOW
    boot: int = 5_000 * SECOND

    def wall_us(self) -> int:
        return self.wall

    def boot_us(self) -> int:
        return self.boot

    def pass_s(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.boot += int(seconds * SECOND)


class FakeScopes(Scopes):
    """Scopes as sets of pids; a signal ends all but the `deaf` and the frozen, KILL ends those too.

    `broken` makes systemd refuse, `immortal` keeps processes alive, `maimed` scopes have lost their placeholder, and
    systemd has given the `forgotten` up.  `sent` is what was sent to each pid, `session_of` what it was let in as;
    what is in the `still` sessions is frozen, and a process that is `stuck` does not freeze.
    """

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.held: dict[Scope, set[int]] = {}
        self.broken = False
        self.immortal = False
        self.deaf: set[int] = set()
        self.maimed: set[Scope] = set()
        self.forgotten: set[Scope] = set()
        self.sent: dict[int, list[signal.Signals]] = {}
        self.timers: set[Scope] = set()
        self.session_of: dict[int, str] = {}
        self.still: set[str] = set()
        self.stuck = False

    def start(self, scope: Scope, *, left_us: int, not_after: int) -> None:
        if left_us <= SECOND:
            raise Expired("less than a second is left")
        if self.broken:
            raise Unsafe("systemd refused")
        self.held[scope] = set()
        self.timers.add(scope)

    def mend(self, scope: Scope) -> None:
        if scope in self.forgotten:
            raise Unsafe("systemd refused")
        self.maimed.discard(scope)

    def stop_timer(self, scope: Scope) -> None:
        self.timers.discard(scope)

    def exists(self, scope: Scope) -> bool:
        return scope in self.held

    def whole(self, scope: Scope) -> bool:
        return scope in self.held and scope not in self.maimed

    def admit(self, scope: Scope, session: str, pid: int) -> None:
        self.held[scope].add(pid)
        self.session_of[pid] = session

    def has_session(self, scope: Scope, session: str) -> bool:
        return any(self.session_of.get(pid) == session for pid in self.held.get(scope, ()))

    def freeze(self, scope: Scope, session: str) -> bool:
        changed = session not in self.still
        self.still.add(session)
        return changed

    def await_frozen(self, scope: Scope, session: str) -> None:
        if self.stuck:
            raise Unsafe("does not freeze")

    def thaw(self, scope: Scope, session: str) -> bool:
        changed = session in self.still
        self.still.discard(session)
        return changed

    def kill_session(self, scope: Scope, session: str) -> int:
        if self.immortal:
            raise Unsafe("still populated")
        gone = {pid for pid in self.held[scope] if self.session_of.get(pid) == session}
        killed = len(gone & set(self.programs(scope)))
        self.held[scope] -= gone
        return killed

    def kill_frozen(self, scope: Scope) -> None:
        self.held[scope] -= {pid for pid in self.held[scope] if self.session_of.get(pid) in self.still}

    def holds(self, scope: Scope, pid: int) -> bool:
        return pid in self.held.get(scope, set())

    def processes(self, scope: Scope) -> list[int]:
        return sorted(self.held.get(scope, set()))

    def send(self, scope: Scope, pid: int, *numbers: signal.Signals) -> None:
        self.sent.setdefault(pid, []).extend(numbers)
        frozen = self.session_of.get(pid) in self.still
        if not (frozen or pid in self.deaf) or signal.SIGKILL in numbers:
            self.held[scope].discard(pid)

    def move(self, old: Scope, new: Scope) -> None:
        self.held[new] |= self.held.pop(old, set())

    def kill(self, scope: Scope, *, patience_s: float = 2.0) -> int:
        if self.immortal:
            raise Unsafe("still populated")
        killed = len(self.programs(scope))
        self.held.pop(scope, None)
        return killed

    def found(self) -> Iterator[Scope]:
        yield from list(self.held)


class SuitableProbe(Probe):
    def known_problems(self) -> list[str]:
        return []


def fields(**changes: Any) -> dict[str, Any]:
    """The JSON of a grant, in force for an hour from NOW."""
    return {
        "grant": "gnt-0000000000000001",
        "revision": 1,
        "host": HOST,
        "boot": BOOT,
        "uid": 4001,
        "user": "alice",
        "run_as_user": "root",
        "run_as_group": "",
        "commands": "ALL",
        "directory": "",
        "environment": [],
        "shell": False,
        "record": "output",
        "required": False,
        "subcommands": False,
        "watch_s": 0,
        "role": "web",
        "not_before": NOW,
        "not_after": NOW + 3600 * SECOND,
        "until": changes.get("not_after", NOW + 3600 * SECOND),
        "once": False,
        "session": 0,
        "remaining_s": 3600,
    } | changes


@dataclass
class Signer:
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def seal(self, payload: bytes, tag: bytes = TAG) -> bytes:
        message = len(tag).to_bytes(2, "big") + tag + payload
        return hashlib.sha256(self.public).digest()[:8] + self.key.sign(message) + message

    def grant(self, **changes: Any) -> bytes:
        return self.seal(json.dumps(fields(**changes)).encode())


@dataclass(frozen=True)
class Person:
    pw_name: str
    pw_uid: int


@dataclass(frozen=True)
class Group:
    gr_name: str
    gr_gid: int


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """This host's accounts; a test may change the list."""
    known = [Person("root", 0), Person("alice", 4001), Person("bob", 4002), Person("postgres", 4100)]
    groups = [Group("root", 0), Group("adm", 4)]

    def one(found: list[Any]) -> Any:
        if not found:
            raise KeyError
        return found[0]

    monkeypatch.setattr("pwd.getpwall", lambda: list(known))
    monkeypatch.setattr("pwd.getpwnam", lambda name: one([p for p in known if p.pw_name == name]))
    monkeypatch.setattr("pwd.getpwuid", lambda uid: one([p for p in known if p.pw_uid == uid]))
    monkeypatch.setattr("grp.getgrnam", lambda name: one([g for g in groups if g.gr_name == name]))
    return known


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def paths(tmp_path: Path, signer: Signer) -> Paths:
    found = below(tmp_path, owner=os.getuid())
    for folder in (
        found.dropins,
        found.markers,
        found.ledger,
        found.trust.parent,
        found.proc / "1/root/proc/sys/kernel/random",
    ):
        folder.mkdir(parents=True, mode=0o755)
    (found.proc / "1/root/proc/sys/kernel/random/boot_id").write_text(BOOT + "\n")
    keys = [base64.b64encode(signer.public).decode()]
    found.trust.write_text(json.dumps({"host": HOST, "grant_keys": keys}))
    found.ceiling.write_text("")
    found.sudoers.write_text(f"root ALL=(ALL:ALL) ALL\n@includedir {found.dropins}\n")
    return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def scopes(paths: Paths) -> FakeScopes:
    return FakeScopes(paths)


@pytest.fixture
def boot(paths: Paths, clock: FakeClock, scopes: FakeScopes, people: list[Person]) -> Callable[..., Host]:
    """Start the enforcer's state anew, as after a crash; the disk and the scopes stay."""

    def start(boot_id: str = BOOT) -> Host:
        return Host(paths, clock, boot_id, Ledger(paths), Rules(paths), scopes, SuitableProbe(paths))

    return start


@pytest.fixture
def host(boot: Callable[..., Host]) -> Host:
    return boot()


@dataclass(frozen=True)
class AtTheGate:
    """Lets a sudo of alice stand at the gate, pid 100; the answer is the grant it is let into."""

    host: Host

    def __call__(self, line: str, *, session: int = 7, started_us: int | None = None) -> str | None:
        return self.admit(line, session=session, started_us=started_us).grant

    def admit(self, line: str, *, session: int = 7, started_us: int | None = None) -> admission.Admitted:
        """The whole answer; as a session it is `SESSION`."""
        folder = self.host.paths.proc / "100"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "fd").mkdir(parents=True)
        (folder / "fd/5").symlink_to("socket:[4242]")
        (folder / "exe").symlink_to(programs.SUDO)
        (folder / "status").write_text("Name:\tsudo\nUid:\t4001\t0\t0\t0\n")
        start = processes.ticks(self.host.clock.boot_us() if started_us is None else started_us)
        (folder / "stat").write_text(f"100 (sudo) S 7 {' '.join(['0'] * 17)} {start} 0\n")
        (folder / "sessionid").write_text(str(session))
        (folder / "cmdline").write_bytes("\0".join([*line.split(), ""]).encode())
        return admission.admit(self.host, ("127.0.0.1", 40_000), ("127.0.0.1", 843), SESSION)

    def leave(self, scopes: FakeScopes) -> None:
        """It has ended."""
        shutil.rmtree(self.host.paths.proc / "100")
        for held in scopes.held.values():
            held.discard(100)


@pytest.fixture
def at_the_gate(host: Host, monkeypatch: pytest.MonkeyPatch) -> AtTheGate:
    monkeypatch.setattr("os.pidfd_open", lambda _: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(processes, "alive", lambda _: True)
    monkeypatch.setattr(connection, "inode", lambda *_: 4242)
    return AtTheGate(host)


def rules(paths: Paths) -> set[str]:
    """The files in which sudo would read something."""
    return {path.name for path in paths.dropins.iterdir() if path.stat().st_size}


def proof(host: Host, grant_id: str) -> dict[str, Any]:
    found = host.ledger.entries[grant_id].proof
    assert found is not None
    return found
