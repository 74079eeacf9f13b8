"""Hosts join with one-time tokens that fix their names and labels, and are seen coming and going."""

from __future__ import annotations

import asyncio

import pytest

from jit_server.domain.identity import Duty, HostCaller
from jit_server.domain.report import Hello
from jit_server.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from jit_testing.core_world import SPOOL, CoreWorld
from jit_testing.server_fakes import BOOT


async def test_a_token_fixes_name_and_labels_and_is_used_up(world: CoreWorld) -> None:
    issued = await world.services.hosts.create_token(world.root, "web1", {"tier": "web"})
    assert issued.expires_at == world.clock.now() + 3_600_000_000
    assert issued.token not in repr(issued)
    enrolled = await world.services.hosts.enroll(issued.token, "csr")
    assert (enrolled.host.name, enrolled.host.labels) == ("web1", {"tier": "web"})
    assert (enrolled.ca, enrolled.grant_keys) == ("CA", (b"P" * 32,))
    assert enrolled.certificate.pem == f"certificate of {enrolled.host.host_id}"
    with pytest.raises(Unauthenticated, match="wrong, expired or used up"):
        await world.services.hosts.enroll(issued.token, "csr")
    assert await world.kinds("host") == ["host.token_created", "host.enrolled"]
    assert not any(issued.token in str(recorded) for recorded in await world.events())


async def test_a_token_used_twice_at_once_enrols_one_host(world: CoreWorld) -> None:
    issued = await world.services.hosts.create_token(world.root, "web1", {})
    results = await asyncio.gather(
        *(world.services.hosts.enroll(issued.token, "csr") for _ in range(10)), return_exceptions=True
    )
    assert [isinstance(result, Unauthenticated) for result in results].count(True) == 9
    assert len(await world.services.hosts.list_all(world.root)) == 1


async def test_an_expired_or_invented_token_enrols_nobody(world: CoreWorld) -> None:
    issued = await world.services.hosts.create_token(world.root, "web1", {}, 60)
    world.clock.advance(60)
    texts = set()
    for token in (issued.token, "jit-host_x", ""):
        with pytest.raises(Unauthenticated) as refusal:
            await world.services.hosts.enroll(token, "csr")
        texts.add(str(refusal.value))
    assert len(texts) == 1
    assert await world.services.hosts.list_all(world.root) == ()


async def test_a_bad_certificate_request_does_not_use_the_token_up(world: CoreWorld) -> None:
    issued = await world.services.hosts.create_token(world.root, "web1", {})
    with pytest.raises(Invalid):
        await world.services.hosts.enroll(issued.token, "bad")
    await world.services.hosts.enroll(issued.token, "csr")


async def test_only_administrators_make_tokens_and_remove_hosts(world: CoreWorld) -> None:
    alice, auditor = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    await world.host("web1")
    for caller in (alice, auditor):
        with pytest.raises(Denied, match="only an administrator"):
            await world.services.hosts.create_token(caller, "web2", {})
        with pytest.raises(Denied, match="only an administrator"):
            await world.services.hosts.remove(caller, "web1")
    assert len(await world.services.hosts.list_all(auditor)) == 1
    with pytest.raises(Denied):
        await world.services.hosts.list_all(alice)


@pytest.mark.parametrize(
    ("name", "labels", "valid_s"),
    [("Web1", {}, 0), ("", {}, 0), ("web1", {"a b": "c"}, 0), ("web1", {}, -1), ("web1", {}, 7 * 86_400 + 1)],
)
async def test_bad_names_labels_and_lifetimes_are_refused(
    world: CoreWorld, name: str, labels: dict[str, str], valid_s: int
) -> None:
    with pytest.raises(Invalid):
        await world.services.hosts.create_token(world.root, name, labels, valid_s)


async def test_a_name_in_use_is_refused_until_its_host_is_removed(world: CoreWorld) -> None:
    first = await world.services.hosts.create_token(world.root, "web1", {})
    second = await world.services.hosts.create_token(world.root, "web1", {})
    await world.services.hosts.enroll(first.token, "csr")
    with pytest.raises(Conflict, match="web1 is enrolled already"):
        await world.services.hosts.create_token(world.root, "web1", {})
    with pytest.raises(Conflict, match="web1 is enrolled already"):
        await world.services.hosts.enroll(second.token, "csr")
    await world.services.hosts.remove(world.root, "web1")
    await world.services.hosts.enroll(second.token, "csr")
    with pytest.raises(NotFound):
        await world.services.hosts.remove(world.root, "web9")


async def test_a_host_is_found_by_name_or_a_unique_beginning_of_its_id(world: CoreWorld) -> None:
    host = await world.host("web1")
    view = await world.services.hosts.remove(world.root, host.host_id[:12])
    assert view.host.name == "web1"
    with pytest.raises(Conflict, match="removed already"):
        await world.services.hosts.remove(world.root, host.host_id)


async def test_a_certificate_is_renewed_for_an_enrolled_host_only(world: CoreWorld) -> None:
    host = await world.host("web1")
    renewed = await world.services.hosts.renew(host, "csr")
    assert renewed.certificate.pem == f"certificate of {host.host_id}"
    assert await world.kinds("host.certificate_renewed") == ["host.certificate_renewed"]
    with pytest.raises(Unauthenticated):
        await world.services.hosts.renew(HostCaller("hst-0000000000000000"), "csr")


async def test_coming_and_going_is_seen_and_told_once(world: CoreWorld) -> None:
    host = await world.host("web1")
    (view,) = await world.services.hosts.list_all(world.root)
    assert (view.host.connected, view.host.boot_id, view.host.sudo_version) == (True, BOOT, "1.9.13p3")
    await world.services.hosts.disconnected(host)
    await world.services.hosts.disconnected(host)
    (view,) = await world.services.hosts.list_all(world.root)
    assert not view.host.connected
    await world.hello(host)
    await world.services.hosts.disconnect_all()
    await world.services.hosts.disconnect_all()
    assert await world.kinds("host.connected") == ["host.connected"] * 2
    assert await world.kinds("host.disconnected") == ["host.disconnected"] * 2


async def test_heartbeats_are_written_down_now_and_then(world: CoreWorld) -> None:
    host = await world.host("web1")
    seen = (await world.services.hosts.authenticate(host)).last_seen
    world.clock.advance(29)
    await world.services.hosts.seen(host, world.clock.now())
    assert (await world.services.hosts.authenticate(host)).last_seen == seen
    world.clock.advance(1)
    await world.services.hosts.seen(host, world.clock.now())
    assert (await world.services.hosts.authenticate(host)).last_seen == world.clock.now()
    world.clock.advance(1)
    await world.services.hosts.seen(host, world.clock.now() - 301_000_000)
    assert (await world.services.hosts.authenticate(host)).clock_is_off


async def test_a_hello_that_makes_no_sense_is_refused(world: CoreWorld) -> None:
    host = await world.host("web1")
    for hello in (
        Hello("not a uuid", world.clock.now(), "", "", SPOOL, ()),
        Hello(BOOT, world.clock.now(), "", "", "", ()),
        Hello(BOOT, world.clock.now(), "", "", "x" * 65, ()),
    ):
        with pytest.raises(Invalid):
            await world.services.hosts.hello(host, hello)
