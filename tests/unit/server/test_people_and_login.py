"""People: made by administrators, shut out at once, logged in without telling strangers anything."""

from __future__ import annotations

import asyncio

import pyotp
import pytest

from jit_server.domain.identity import Duty, Person
from jit_server.domain.lifecycle import GrantState, RequestState
from jit_server.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import PASSWORD, a_role


async def test_the_first_administrator_is_made_once(world: CoreWorld) -> None:
    with pytest.raises(Conflict, match="people already"):
        await world.services.people.create_first_admin("mallory")
    assert [view.user.name for view in await world.services.people.list_all(world.root)] == ["root-admin"]
    assert await world.kinds("user") == ["user.created"]


async def test_people_are_made_by_administrators_only(world: CoreWorld) -> None:
    alice, auditor = await world.person("alice"), await world.person("otto", Duty.AUDITOR)
    for caller in (alice, auditor):
        with pytest.raises(Denied):
            await world.services.people.create(caller, "eve", "", [Duty.ADMIN])
        with pytest.raises(Denied):
            await world.services.people.reset_mfa(caller, "alice")
    with pytest.raises(Denied):
        await world.services.people.list_all(alice)
    assert len(await world.services.people.list_all(auditor)) == 3
    with pytest.raises(Invalid):
        await world.services.people.create(world.root, "a b", "", ())
    with pytest.raises(Invalid):
        await world.services.people.create(world.root, "eve", "-rf", ())
    with pytest.raises(NotFound):
        await world.services.people.disable(world.root, "nobody")


async def test_who_am_i_names_duties_groups_and_roles(world: CoreWorld) -> None:
    carol = await world.person("carol", Duty.AUDITOR)
    await world.apply(a_role("web"), a_role("db", approvers=["dave"]))
    me = await world.services.people.whoami(carol)
    assert (me.user.name, me.user.duties, me.approver_of) == ("carol", frozenset({Duty.AUDITOR}), ("web",))
    with pytest.raises(Unauthenticated):
        await world.services.people.whoami(Person("usr-0000000000000000"))


async def test_disabling_somebody_ends_their_grants_and_requests_and_logins_at_once(world: CoreWorld) -> None:
    """S10."""
    alice = await world.person("alice")
    bob, carol = await world.person("bob"), await world.person("carol")
    host = await world.host()
    await world.apply(a_role(eligible=["alice", "bob"]))
    grant_id, other = await world.delivered(host, carol), await world.delivered(host, carol, "bob")
    pending = (await world.ask(host)).request.request_id
    view = await world.services.people.disable(world.root, "alice")
    assert view.user.disabled
    assert await world.state(grant_id) is GrantState.ENDING
    assert await world.state(other) is GrantState.ACTIVE
    assert (await world.services.requests.get(carol, pending)).request.state is RequestState.CANCELLED
    with pytest.raises(Unauthenticated):
        await world.services.people.authenticate(alice)
    assert (await world.services.people.authenticate(bob)).name == "bob"
    with pytest.raises(Conflict, match="disabled already"):
        await world.services.people.disable(world.root, "alice")

    assert not (await world.services.people.enable(world.root, "alice")).user.disabled
    assert await world.state(grant_id) is GrantState.ENDING
    with pytest.raises(Conflict, match="not disabled"):
        await world.services.people.enable(world.root, "alice")
    assert await world.kinds("user.disabled") + await world.kinds("user.enabled") == ["user.disabled", "user.enabled"]


async def test_administrators_cannot_shut_themselves_out(world: CoreWorld) -> None:
    with pytest.raises(Conflict, match="themselves"):
        await world.services.people.disable(world.root, "root-admin")


async def test_both_factors_right_make_a_certificate(world: CoreWorld) -> None:
    alice, totp = await world.with_factor("alice")
    login = await world.services.login.login("alice", PASSWORD, world.code(totp), "csr")
    assert (login.certificate.pem, login.ca) == (f"certificate of {alice.user_id}", "CA")
    assert await world.kinds("login") == ["login.succeeded"]


async def test_every_refused_login_reads_the_same(world: CoreWorld) -> None:
    _, totp = await world.with_factor("alice")
    await world.person("bob")
    _, gone_totp = await world.with_factor("gone")
    await world.services.people.disable(world.root, "gone")
    texts = set()
    for name, password, code in (
        ("alice", "wrong", world.code(totp)),
        ("alice", PASSWORD, "000000" if world.code(totp) != "000000" else "000001"),
        ("alice", PASSWORD, ""),
        ("alice", PASSWORD, "١٢٣٤٥٦"),
        ("nobody", PASSWORD, "123456"),
        ("bob", PASSWORD, "123456"),
        ("gone", PASSWORD, world.code(gone_totp)),
    ):
        with pytest.raises(Unauthenticated) as refusal:
            await world.services.login.login(name, password, code, "csr")
        assert type(refusal.value) is Unauthenticated
        texts.add((str(refusal.value), refusal.value.hint))
    assert len(texts) == 1
    assert await world.kinds("login") == ["login.failed"] * 7
    # The directory was asked for each, so the time taken tells nobody who exists.
    assert world.passwords.asked == ["alice"] * 4 + ["nobody", "bob", "gone"]
    assert not any("nobody" in str(recorded) for recorded in await world.events())


async def test_the_directory_is_asked_for_the_account_not_the_name(world: CoreWorld) -> None:
    await world.person("alice", account="asmith")
    with pytest.raises(Unauthenticated):
        await world.services.login.login("alice", PASSWORD, "123456", "csr")
    assert world.passwords.asked == ["asmith"]


async def test_five_wrong_passwords_lock_the_login_but_not_the_second_factor(world: CoreWorld) -> None:
    _, totp = await world.with_factor("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(mfa=True))
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await world.services.login.login("alice", "wrong", world.code(totp), "csr")
    with pytest.raises(Unauthenticated, match="login refused"):
        await world.services.login.login("alice", PASSWORD, world.code(totp), "csr")
    assert (await world.ask(host, otp=world.code(totp))).request.mfa_passed
    world.clock.advance(15 * 60)
    await world.services.login.login("alice", PASSWORD, world.code(totp), "csr")


async def test_wrong_codes_at_login_lock_the_second_factor(world: CoreWorld) -> None:
    _, totp = await world.with_factor("alice")
    right = world.code(totp)
    wrong = next(str(n).zfill(6) for n in range(10) if str(n).zfill(6) not in _near(totp, world))
    await asyncio.gather(
        *(world.services.login.login("alice", PASSWORD, wrong, "csr") for _ in range(10)), return_exceptions=True
    )
    with pytest.raises(Unauthenticated, match="login refused"):
        await world.services.login.login("alice", PASSWORD, right, "csr")
    assert await world.kinds("mfa.locked") == ["mfa.locked"]


def _near(totp: pyotp.TOTP, world: CoreWorld) -> set[str]:
    return {totp.at(world.clock.now() // 1_000_000 + offset) for offset in (-30, 0, 30)}


async def test_a_code_used_to_log_in_cannot_be_used_for_a_request(world: CoreWorld) -> None:
    """S9."""
    _, totp = await world.with_factor("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(mfa=True))
    code = world.code(totp)
    await world.services.login.login("alice", PASSWORD, code, "csr")
    with pytest.raises(Unauthenticated, match="used before"):
        await world.ask(host, otp=code)


async def test_a_bad_certificate_request_is_invalid_and_spends_no_code(world: CoreWorld) -> None:
    _, totp = await world.with_factor("alice")
    with pytest.raises(Invalid):
        await world.services.login.login("alice", PASSWORD, world.code(totp), "bad")
    await world.services.login.login("alice", PASSWORD, world.code(totp), "csr")
