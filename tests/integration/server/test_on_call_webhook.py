"""A rota that a web service tells, over real HTTPS: what it says counts for a minute, and its silence names nobody."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jit_server.adapters.on_call import RotaError, Rotas
from jit_server.adapters.on_call_webhook import ASK_EVERY_S, COUNTS_S, TIMEOUT_S, WebhookRota
from jit_testing.host_certificates import TestAuthority


@dataclass
class Service:
    """A web service on a port of its own; answers with `status` and `body`, or not at all while `silent`."""

    body: bytes = b'["alice"]'
    status: str = "200 OK"
    silent: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        if not self.silent:
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n\r\n".encode() + self.body)
            await writer.drain()
        else:
            await reader.read()
        writer.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[Service, Path]]:
    authority = TestAuthority()
    key, certificate = authority.server()
    (directory / "key").write_bytes(key)
    (directory / "crt").write_bytes(certificate)
    ca = directory / "ca"
    ca.write_bytes(authority.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "crt", directory / "key")
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=context)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service, ca


async def test_a_web_service_is_asked_with_the_token_and_its_answer_counts_for_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    async with serving(tmp_path) as (service, ca):
        token = tmp_path / "token"
        token.write_text("s3cret\n")
        rota = WebhookRota(f"https://127.0.0.1:{service.port}/on-call?team=dba", token, ca, clock)
        rotas = Rotas({"dba": rota})
        assert rotas.of("alice").heard == frozenset()
        await rotas.refresh()
        assert rotas.of("alice").naming == {"dba"}
        assert service.asked[0].startswith("GET /on-call?team=dba HTTP/1.1\r\n")
        assert "Authorization: Bearer s3cret\r\n" in service.asked[0]
        await rotas.refresh()
        assert len(service.asked) == 1
        service.body = json.dumps({"people": ["bob"]}).encode()
        clock.now += ASK_EVERY_S
        await rotas.refresh()
        assert rotas.of("alice").naming == frozenset()
        assert rotas.of("bob").naming == {"dba"}
        clock.now += COUNTS_S + 1
        assert rotas.of("bob").heard == frozenset()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        ("500 Oh", b"[]", "answered with status 500"),
        ("302 Found\r\nLocation: https://127.0.0.1/", b'["alice"]', "answered with status 302"),
        ("200 OK", b"alice", "did not answer with JSON"),
        ("200 OK", b"[" * 100_000, "did not answer with JSON"),
        ("200 OK", b'{"names": ["alice"]}', "a rota is a list"),
        ("200 OK", b'[{"name": "alice"}]', "no text"),
        ("200 OK", b'["' + b"a" * 1024 * 1024 + b'"]', "more than 1048576 bytes"),
    ],
)
async def test_an_answer_that_is_none_names_nobody(tmp_path: Path, status: str, body: bytes, why: str) -> None:
    async with serving(tmp_path) as (service, ca):
        service.status, service.body = status, body
        rota = WebhookRota(f"https://127.0.0.1:{service.port}/", None, ca, Clock())
        await rota.refresh()
        with pytest.raises(RotaError, match=why):
            rota.people()


async def test_a_certificate_that_nobody_vouches_for_is_no_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as (service, _):
        rota = WebhookRota(f"https://127.0.0.1:{service.port}/", None, None, Clock())
        await rota.refresh()
        with pytest.raises(RotaError, match="certificate verify failed"):
            rota.people()
        assert service.asked == []


async def test_a_service_that_does_not_answer_holds_up_nobody_and_what_it_said_before_counts_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jit_server.adapters.on_call_webhook.TIMEOUT_S", 0.2)
    assert TIMEOUT_S == 2
    clock = Clock()
    async with serving(tmp_path) as (service, ca):
        rota = WebhookRota(f"https://127.0.0.1:{service.port}/", None, ca, clock)
        await rota.refresh()
        service.silent = True
        clock.now += ASK_EVERY_S
        await rota.refresh()
        assert rota.people() == {"alice"}
        clock.now += COUNTS_S
        with pytest.raises(RotaError, match=r"did not answer within 0.2 s|cannot be asked"):
            rota.people()


async def test_a_token_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    rota = WebhookRota("https://127.0.0.1:1/", tmp_path / "none", None, Clock())
    await rota.refresh()
    with pytest.raises(RotaError, match="No such file"):
        rota.people()
