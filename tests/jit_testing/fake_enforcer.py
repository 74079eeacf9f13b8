"""The enforcer as the agent sees it: SPEC 3 over a real SEQPACKET socket, rights kept in memory.

It verifies nothing and changes nothing on the machine.  A test sets what it shall refuse, whom it shall admit, and
which problems the host has, and reads what was asked of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]

BOOT = "5f0c1a52-3f5a-4f0e-9a36-0d2f3c8a1b77"
HOST = "hst-0000000000000001"


ADMITTED: Json = {"argv": ["sudo", "id"], "record": "output", "required": True, "subcommands": False, "watch_s": 0}
"""What an admission says of its session, unless a test says otherwise."""

_SHOWN = (
    "grant", "revision", "uid", "user", "role", "run_as_user", "run_as_group", "commands", "shell", "not_after",
    "until", "once", "session",
)  # fmt: skip


def envelope(grant_id: str, *, revision: int = 1, **changes: Any) -> bytes:
    """An envelope of SPEC 2.1 whose signature nobody made; the fake reads what it says."""
    body = {
        "grant": grant_id, "revision": revision, "host": HOST, "boot": BOOT, "uid": 1001, "user": "alice",
        "run_as_user": "root", "run_as_group": "", "commands": "ALL", "shell": False, "record": "output",
        "required": True, "subcommands": False, "watch_s": 0,
        "role": "web-operator", "not_before": 1, "not_after": 4_000_000_000_000_000, "until": 4_000_000_000_000_000,
        "once": False, "session": 0, "remaining_s": 3600,
    } | changes  # fmt: skip
    tag = b"jit grant v1"
    return bytes(72) + len(tag).to_bytes(2, "big") + tag + json.dumps(body).encode()


class FakeEnforcer:
    """`async with FakeEnforcer(path) as enforcer:`; leaving closes every connection, as a dead enforcer would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.host: str | None = HOST
        self.boot = BOOT
        self.problems: list[str] = []
        self.live: dict[str, Json] = {}
        self.ended: dict[str, Json] = {}
        self.reported: set[str] = set()
        self.refuse: dict[str, str] = {}
        """Grant id to the error code its `apply` gets."""
        self.admission: Json | str = "not_admitted"
        """The answer to every `admit`, besides `ADMITTED`, or the error code it gets."""
        self.sessions: dict[str, str] = {}
        """What became of each session that was admitted: running, frozen or killed."""
        self.told: list[tuple[str, str]] = []
        """Session and message of each line that was shown to a person."""
        self.refused: Json = {}
        """What an `admit` that gets an error is told besides: `uid`, `user`, `argv`."""
        self.may_apply = asyncio.Event()
        """Cleared: every `apply` takes until it is set."""
        self.may_apply.set()
        self.may_admit = asyncio.Event()
        """Cleared: every `admit` takes until it is set."""
        self.may_admit.set()
        self.silent = False
        """Read, and never answer."""
        self.requests: list[Json] = []
        self._watchers: list[socket.socket] = []
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    async def __aenter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._start(self._accept(self._listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in [*self._connections, *([self._listener] if self._listener else [])]:
            connection.close()
        self._connections.clear()
        self._watchers.clear()
        self.path.unlink(missing_ok=True)

    def operations(self) -> list[str]:
        """The names of the requests so far, without the `status` that is asked all the time."""
        return [request["op"] for request in self.requests if request["op"] != "status"]

    async def end(self, grant_id: str, reason: str, *, late_us: int = 1_500, leftovers: Sequence[Json] = ()) -> None:
        """End a live grant, as its deadline or an order would, and tell the watchers."""
        grant = self.live.pop(grant_id)
        self.ended[grant_id] = {
            "grant": grant_id, "revision": grant["revision"], "reason": reason, "ended_at": 1_700_000_000_000_000,
            "late_us": late_us, "killed": 2, "scope_empty": True, "rule_removed": True,
            "leftovers": list(leftovers),
        }  # fmt: skip
        for watcher in self._watchers:
            await self._send(watcher, {"event": "ended", "proof": self.ended[grant_id]})

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            self._connections.add(connection)
            self._start(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._converse(connection)
        except ConnectionError:
            # The agent is gone.
            pass
        finally:
            self._connections.discard(connection)
            if connection in self._watchers:
                self._watchers.remove(connection)
            connection.close()

    async def _converse(self, connection: socket.socket) -> None:
        while packet := await _packet(connection):
            request = json.loads(packet)
            self.requests.append(request)
            if self.silent:
                continue
            if request["op"] == "watch":
                await self._send(connection, {"ok": True})
                for grant_id, proof in self.ended.items():
                    if grant_id not in self.reported:
                        await self._send(connection, {"event": "ended", "proof": proof})
                self._watchers.append(connection)
            else:
                await self._send(connection, await self._answer(request))

    async def _answer(self, request: Json) -> Json:
        match request:
            case {"op": "apply", "grant": str(text)}:
                await self.may_apply.wait()
                return self._apply(base64.b64decode(text, validate=True))
            case {"op": "end", "grant": str(grant_id), "reason": str(reason)}:
                if grant_id in self.live:
                    await self.end(grant_id, reason)
                return {"ok": True, "known": grant_id in self.ended, "proof": self.ended.get(grant_id)}
            case {"op": "sync", "live": [*listed]}:
                gone = [grant_id for grant_id in self.live if grant_id not in listed]
                for grant_id in gone:
                    await self.end(grant_id, "revoked")
                return {"ok": True, "ended": gone}
            case {
                "op": "admit", "client": ["127.0.0.1", int()], "server": ["127.0.0.1", int()], "session": str(session),
            }:  # fmt: skip
                await self.may_admit.wait()
                if isinstance(self.admission, str):
                    return _error(self.admission, "no live grant covers this command") | self.refused
                self.sessions[session] = "running"
                return {"ok": True, **ADMITTED, **self.admission}
            case {
                "op": ("freeze" | "thaw" | "kill" | "tell") as op, "session": str(session), "message": str(message),
            } if len(message) <= 300:  # fmt: skip
                return self._order(op, session, message)
            case {"op": "status"}:
                return {
                    "ok": True, "boot": self.boot, "host": self.host, "sudo": "1.9.13p3", "problems": self.problems,
                    "live": list(self.live.values()),
                }  # fmt: skip
            case {"op": "reported", "grant": str(grant_id)}:
                self.reported.add(grant_id)
                return {"ok": True}
            case _:
                return _error("malformed", "unknown request")

    def _order(self, op: str, session: str, message: str) -> Json:
        known = session in self.sessions
        became = {"freeze": "frozen", "thaw": "running", "kill": "killed"}.get(op)
        if known and message and became != self.sessions[session]:
            self.told.append((session, message))
        if known and became is not None:
            self.sessions[session] = became
        return {"ok": True, "known": known} | ({"killed": int(known)} if op == "kill" else {})

    def _apply(self, untrusted_envelope: bytes) -> Json:
        tag_length = int.from_bytes(untrusted_envelope[72:74], "big")
        grant = json.loads(untrusted_envelope[74 + tag_length :])
        grant_id, revision = grant["grant"], grant["revision"]
        if grant_id in self.refuse:
            return _error(self.refuse[grant_id], "refused by the test")
        if grant_id in self.ended:
            return _error("replayed", "this grant is over")
        known = self.live.get(grant_id)
        if known and revision < known["revision"]:
            return _error("replayed", "a newer revision came before")
        scope = f"jit-{grant_id}-r{revision}.scope" if known else f"jit-{grant_id}.scope"
        if known and revision == known["revision"]:
            scope = known["scope"]
        used = bool(known and known["used"])
        self.live[grant_id] = {key: grant[key] for key in _SHOWN} | {"used": used, "scope": scope, "processes": 0}
        return {"ok": True, "grant": grant_id, "revision": revision, "scope": scope}

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, connection: socket.socket, answer: Json) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, json.dumps(answer).encode())


async def _packet(connection: socket.socket) -> bytes:
    """The next packet; empty when the agent is gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(connection, 65_537)
    except ConnectionError:
        return b""


def _error(code: str, message: str) -> Json:
    return {"ok": False, "error": code, "message": message}
