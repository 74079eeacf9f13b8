"""One-time codes: once each, by the person they belong to, a few wrong tries only (S9, SPEC 7)."""

from __future__ import annotations

import asyncio

import pyotp
import pytest

from jit_server.domain.identity import HostCaller
from jit_server.errors import Conflict, Denied, FactorLocked, Unauthenticated
from jit_server.services.views import RequestView
from jit_testing.core_world import CoreWorld
from jit_testing.server_fakes import a_role


async def _mfa_role(world: CoreWorld) -> tuple[HostCaller, pyotp.TOTP]:
    _, totp = await world.with_factor("alice")
    await world.person("carol")
    host = await world.host()
    await world.apply(a_role(mfa=True, eligible=["alice", "bob"]))
    return host, totp


def _wrong(world: CoreWorld, totp: pyotp.TOTP) -> str:
    near = {totp.at(world.clock.now() // 1_000_000 + offset) for offset in (-60, -30, 0, 30, 60)}
    return next(code for code in ("000000", "000001", "000002", "000003", "000004", "000005") if code not in near)


async def test_a_right_code_is_accepted_and_the_request_says_so(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    view = await world.ask(host, otp=world.code(totp))
    assert view.request.mfa_passed


@pytest.mark.parametrize(("steps", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_code_counts_one_step_early_or_late(world: CoreWorld, steps: int, accepted: bool) -> None:
    host, totp = await _mfa_role(world)
    code = totp.at(world.clock.now() // 1_000_000 + steps * 30)
    if accepted:
        assert (await world.ask(host, otp=code)).request.mfa_passed
    else:
        with pytest.raises(Unauthenticated, match="wrong one-time code; 4 tries left"):
            await world.ask(host, otp=code)


async def test_a_code_works_once(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    code = world.code(totp)
    await world.ask(host, otp=code)
    with pytest.raises(Unauthenticated, match="used before"):
        await world.ask(host, otp=code)
    earlier = totp.at(world.clock.now() // 1_000_000 - 30)
    with pytest.raises(Unauthenticated, match="used before"):
        await world.ask(host, otp=earlier)
    world.clock.advance(30)
    await world.ask(host, otp=world.code(totp))


async def test_of_a_hundred_uses_of_one_code_at_once_one_is_accepted(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    code = world.code(totp)
    results = await asyncio.gather(*(world.ask(host, otp=code) for _ in range(100)), return_exceptions=True)
    assert [isinstance(result, RequestView) for result in results].count(True) == 1
    assert [isinstance(result, Unauthenticated) for result in results].count(True) == 99
    assert await world.kinds("request.created") == ["request.created"]
    assert len(await world.kinds("mfa.failed")) == 99


@pytest.mark.parametrize("text", ["١٢٣٤٥٦", "１２３４５６", "12345", "1234567", "12 345", "abcdef"])
async def test_what_is_not_six_ascii_digits_is_refused(world: CoreWorld, text: str) -> None:
    host, _ = await _mfa_role(world)
    with pytest.raises(Unauthenticated, match="six digits"):
        await world.ask(host, otp=text)


async def test_the_right_code_in_digits_of_another_script_is_refused(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    arabic = world.code(totp).translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    with pytest.raises(Unauthenticated, match="six digits"):
        await world.ask(host, otp=arabic)
    await world.ask(host, otp=world.code(totp))


async def test_a_missing_code_is_asked_for_and_no_factor_is_explained(world: CoreWorld) -> None:
    host, _ = await _mfa_role(world)
    await world.person("bob")
    with pytest.raises(Unauthenticated, match="a one-time code is needed"):
        await world.ask(host)
    with pytest.raises(Unauthenticated, match="bob has no second factor") as refusal:
        await world.ask(host, "bob", otp="123456")
    assert "jit mfa enroll" in refusal.value.hint


async def test_a_code_of_somebody_else_does_not_count(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    await world.with_factor("bob")
    with pytest.raises(Unauthenticated, match="wrong one-time code"):
        await world.ask(host, "bob", otp=world.code(totp))


async def test_five_wrong_codes_lock_the_factor_for_fifteen_minutes_durably(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    for left in (4, 3, 2, 1):
        with pytest.raises(Unauthenticated, match=rf"wrong one-time code; {left} tr(y|ies) left"):
            await world.ask(host, otp=_wrong(world, totp))
    with pytest.raises(FactorLocked, match="locked for 15 min"):
        await world.ask(host, otp=_wrong(world, totp))
    assert await world.kinds("mfa.failed") == ["mfa.failed"] * 5
    assert await world.kinds("mfa.locked") == ["mfa.locked"]

    world.services = world.compose()  # a restart forgets nothing
    with pytest.raises(FactorLocked):
        await world.ask(host, otp=world.code(totp))
    world.clock.advance(15 * 60 - 1)
    with pytest.raises(FactorLocked, match="1 more min"):
        await world.ask(host, otp=world.code(totp))
    world.clock.advance(1)
    assert (await world.ask(host, otp=world.code(totp))).request.mfa_passed


async def test_wrong_codes_at_once_are_all_counted(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    wrong = _wrong(world, totp)
    results = await asyncio.gather(*(world.ask(host, otp=wrong) for _ in range(50)), return_exceptions=True)
    assert sum("tries left" in str(result) or "try left" in str(result) for result in results) == 4
    assert sum(isinstance(result, FactorLocked) for result in results) == 46


async def test_wrong_codes_are_forgotten_after_fifteen_minutes_or_a_right_one(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    for _ in range(4):
        with pytest.raises(Unauthenticated):
            await world.ask(host, otp=_wrong(world, totp))
    await world.ask(host, otp=world.code(totp))
    for _ in range(4):
        with pytest.raises(Unauthenticated):
            await world.ask(host, otp=_wrong(world, totp))
    world.clock.advance(15 * 60)
    with pytest.raises(Unauthenticated, match="4 tries left"):
        await world.ask(host, otp=_wrong(world, totp))


async def test_a_code_is_not_used_up_by_a_request_that_is_refused_for_something_else(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    with pytest.raises(Denied):
        await world.ask(host, role="no-such-role", otp=world.code(totp))
    await world.ask(host, otp=world.code(totp))


async def test_a_factor_counts_only_after_one_code_and_its_token_works_once(world: CoreWorld) -> None:
    created = await world.services.people.create(world.root, "bob", "", ())
    token = created.token.token
    first = await world.services.factors.begin("bob", token)
    offer = await world.services.factors.begin("bob", token)
    assert first.uri != offer.uri
    stale, totp = (pyotp.TOTP(pyotp.parse_uri(one.uri).secret) for one in (first, offer))
    with pytest.raises(Unauthenticated, match="wrong one-time code"):
        await world.services.factors.confirm("bob", token, world.code(stale))
    assert not (await world.services.people.list_all(world.root))[0].user.mfa_enrolled
    code = world.code(totp)
    await world.services.factors.confirm("bob", token, code)
    assert (await world.services.people.list_all(world.root))[0].user.mfa_enrolled
    assert await world.kinds("mfa.enrolled") == ["mfa.enrolled"]
    for again in (world.services.factors.begin("bob", token), world.services.factors.confirm("bob", token, code)):
        with pytest.raises(Unauthenticated, match="token cannot be used"):
            await again
    # The code that proved the factor is spent.
    host = await world.host()
    await world.person("carol")
    await world.apply(a_role(mfa=True, eligible=["bob"]))
    with pytest.raises(Unauthenticated, match="used before"):
        await world.ask(host, "bob", otp=code)


async def test_an_enrolment_token_is_for_one_person_and_one_day(world: CoreWorld) -> None:
    bob = await world.services.people.create(world.root, "bob", "", ())
    await world.services.people.create(world.root, "dave", "", ())
    texts = set()
    for name, token in (("dave", bob.token.token), ("nobody", bob.token.token), ("bob", "jit-mfa_guess"), ("bob", "")):
        with pytest.raises(Unauthenticated) as refusal:
            await world.services.factors.begin(name, token)
        texts.add(str(refusal.value))
    assert len(texts) == 1
    world.clock.advance(24 * 3_600)
    with pytest.raises(Unauthenticated):
        await world.services.factors.begin("bob", bob.token.token)
    assert bob.token.token not in repr(bob)


async def test_confirming_without_an_offer_is_refused(world: CoreWorld) -> None:
    bob = await world.services.people.create(world.root, "bob", "", ())
    with pytest.raises(Unauthenticated, match="no second factor was offered"):
        await world.services.factors.confirm("bob", bob.token.token, "123456")


async def test_a_factor_can_be_enrolled_from_a_host(world: CoreWorld) -> None:
    host = await world.host()
    bob = await world.services.people.create(world.root, "bob", "", ())
    await world.services.people.create(world.root, "dave", "", ())
    offer = await world.services.factors.begin_local(host, world.local("bob"), bob.token.token)
    totp = pyotp.TOTP(pyotp.parse_uri(offer.uri).secret)
    with pytest.raises(Unauthenticated):
        await world.services.factors.confirm_local(host, world.local("dave"), bob.token.token, world.code(totp))
    await world.services.factors.confirm_local(host, world.local("bob"), bob.token.token, world.code(totp))
    assert await world.kinds("mfa.enrolled") == ["mfa.enrolled"]


async def test_a_reset_takes_the_old_factor_away_at_once(world: CoreWorld) -> None:
    host, totp = await _mfa_role(world)
    reset = await world.services.people.reset_mfa(world.root, "alice")
    assert not reset.view.user.mfa_enrolled
    with pytest.raises(Unauthenticated, match="no second factor"):
        await world.ask(host, otp=world.code(totp))
    offer = await world.services.factors.begin("alice", reset.token.token)
    new = pyotp.TOTP(pyotp.parse_uri(offer.uri).secret)
    await world.services.factors.confirm("alice", reset.token.token, world.code(new))
    world.clock.advance(60)
    with pytest.raises(Unauthenticated):
        await world.ask(host, otp=world.code(totp))
    await world.ask(host, otp=world.code(new))


async def test_a_secret_moved_to_another_person_does_not_open(world: CoreWorld, database: str) -> None:
    host, totp = await _mfa_role(world)
    bob = await world.person("bob")
    async with world.store.write() as tx:
        alice = await tx.people.by_name("alice")
        if alice is None:
            raise Conflict("alice is gone")
        await tx.factors.set_factor(bob.user_id, await tx.factors.factor(alice.user_id))
    with pytest.raises(Exception, match="sealed for something else"):
        await world.ask(host, "bob", otp=world.code(totp))
