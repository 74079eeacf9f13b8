"""`jit-agent enroll` as an administrator runs it: the real program against a real TLS server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jit_agent import config, enroll, identity, keys
from jit_agent.errors import AgentError, Malformed
from jit_testing.fake_enforcer import HOST
from jit_testing.fake_server import TOKEN, FakeServer
from jit_testing.host_certificates import TestAuthority


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as made:
        yield made


@pytest.fixture
def places(tmp_path: Path) -> enroll.Places:
    (tmp_path / "etc").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    return enroll.Places(
        config=tmp_path / "etc" / "agent.toml",
        trust=tmp_path / "etc" / "trust.json",
        state=tmp_path / "state",
        account="root",
    )


async def run(
    places: enroll.Places, server: FakeServer, *, ca: str = "", token: str = TOKEN, force: bool = False, at: str = ""
) -> config.Enrolment:
    return await asyncio.to_thread(
        enroll.enroll,
        places,
        server=at or server.bootstrap,
        ca=ca or server.authority.fingerprint,
        token=token,
        force=force,
    )


async def test_enrolment_leaves_an_identity_a_trust_and_a_configuration(
    server: FakeServer, places: enroll.Places
) -> None:
    enrolment = await run(places, server)
    assert enrolment == config.Enrolment(server.address, HOST, "web1")
    assert config.load(places.config).enrolment == enrolment
    trust = json.loads(places.trust.read_text())
    assert trust == {"host": HOST, "grant_keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]}
    pki = places.state / "pki"
    assert identity.load(pki).ca == server.authority.pem
    modes = {path.name: path.stat().st_mode & 0o777 for path in (places.config, places.trust, pki, *pki.iterdir())}
    assert modes == {
        "agent.toml": 0o644, "trust.json": 0o644, "pki": 0o700, "host.key": 0o600, "host.crt": 0o600, "ca.crt": 0o600
    }  # fmt: skip


async def test_another_authority_than_the_pinned_one_gets_no_token(server: FakeServer, places: enroll.Places) -> None:
    with pytest.raises(AgentError, match="does not show the CA certificate") as refused:
        await run(places, server, ca=TestAuthority().fingerprint)
    assert refused.value.code == "unauthenticated"
    assert TOKEN in server.tokens
    assert not places.config.exists()


async def test_the_fingerprint_of_a_leaf_is_not_an_authority(server: FakeServer, places: enroll.Places) -> None:
    host, port = config.split_address(server.bootstrap)
    leaf, _ = await asyncio.to_thread(enroll.fetch_chain, host, port)
    with pytest.raises(AgentError, match="not a CA"):
        await run(places, server, ca=f"sha256:{hashlib.sha256(leaf).hexdigest()}")
    assert TOKEN in server.tokens


async def test_a_token_works_once(server: FakeServer, places: enroll.Places) -> None:
    await run(places, server)
    before = places.config.read_bytes(), (places.state / "pki" / "host.crt").read_bytes()
    with pytest.raises(AgentError, match="the token is not valid") as refused:
        await run(places, server, force=True)
    assert (refused.value.code, refused.value.hint) == ("unauthenticated", "ask for a new one")
    assert (places.config.read_bytes(), (places.state / "pki" / "host.crt").read_bytes()) == before


async def test_an_enrolled_host_is_not_enrolled_again_without_force(server: FakeServer, places: enroll.Places) -> None:
    await run(places, server)
    server.tokens.add("another")
    with pytest.raises(AgentError, match="enrolled already") as refused:
        await run(places, server, token="another")
    assert refused.value.code == "conflict"
    assert "another" in server.tokens
    old = (places.state / "pki" / "host.key").read_bytes()
    await run(places, server, token="another", force=True)
    assert (places.state / "pki" / "host.key").read_bytes() != old
    assert identity.load(places.state / "pki").not_after > 0


async def test_what_is_missing_on_the_host_is_found_before_the_token_is_used(
    server: FakeServer, places: enroll.Places
) -> None:
    places.state.rmdir()
    with pytest.raises(AgentError, match="is missing"):
        await run(places, server)
    assert TOKEN in server.tokens


async def test_a_certificate_that_is_not_for_our_key_is_not_taken(server: FakeServer, places: enroll.Places) -> None:
    _, foreign = keys.new_key_and_csr()
    server.issue = lambda _: server.authority.host(foreign, HOST)
    with pytest.raises(AgentError, match="not for its key"):
        await run(places, server)
    assert not places.config.exists()


async def test_a_server_that_does_not_answer_is_one_line(places: enroll.Places, server: FakeServer) -> None:
    await server.stop()
    with pytest.raises(AgentError, match="does not answer") as refused:
        await run(places, server)
    assert refused.value.code == "unavailable"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--server", "nowhere", "--ca", "sha256:" + "0" * 64, "--token", "t"], 78),
        (["--server", "127.0.0.1:1", "--ca", "sha256:zz", "--token", "t"], 2),
        (["--server", "127.0.0.1:1"], 2),
    ],
)
async def test_the_program_says_what_is_wrong_in_one_line_and_no_traceback(arguments: list[str], status: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jit_agent.main", "enroll", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode == status
    assert output == b""
    assert b"Traceback" not in errors
    assert b"jit-agent" in errors


async def test_an_answer_with_another_authority_is_refused(server: FakeServer, places: enroll.Places) -> None:
    real, other = server.authority, TestAuthority()
    fingerprint = real.fingerprint
    server.authority = other
    with pytest.raises(Malformed, match="another CA"):
        await run(places, server, ca=fingerprint)
    assert not places.config.exists()
