"""Hosts join with one-time tokens, people with password and code; both find the authority they were told to pin."""

from __future__ import annotations

import asyncio
import subprocess

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from jit_protos.v1 import admin_pb2, host_pb2, host_pb2_grpc, people_pb2
from jit_server.adapters import ca
from jit_testing.refusals import refused
from jit_testing.server_world import PASSWORD, World, new_csr


async def test_a_host_joins_once_with_the_name_and_labels_its_token_fixed(world: World) -> None:
    admin = await world.first_admin()
    stub = world.admin(admin)
    asked = admin_pb2.CreateEnrollTokenRequest(host_name="web1", labels={"tier": "web"})
    token = await stub.CreateEnrollToken(asked)
    assert token.bootstrap == f"127.0.0.1:{world.bootstrap_port}"
    assert token.ca_fingerprint == world.installed.ca_fingerprint

    host = await world.enroll(token.token)
    (listed,) = (await stub.ListHosts(admin_pb2.ListHostsRequest())).hosts
    assert (listed.host_id, listed.name, dict(listed.labels)) == (host.host_id, "web1", {"tier": "web"})
    certificate = x509.load_pem_x509_certificate(host.identity.certificate)
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in sans] == [f"spiffe://example.org/host/{host.host_id}"]

    again = await refused(world.enroll(token.token))
    assert again.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len((await stub.ListHosts(admin_pb2.ListHostsRequest())).hosts) == 1


async def test_an_expired_and_an_invented_token_are_refused_alike(world: World) -> None:
    admin = await world.first_admin()
    asked = admin_pb2.CreateEnrollTokenRequest(host_name="web1", valid_s=60)
    token = await world.admin(admin).CreateEnrollToken(asked)
    world.clock.advance(61)
    late, invented = await refused(world.enroll(token.token)), await refused(world.enroll("jit-host_guess"))
    assert (late.code(), late.details()) == (invented.code(), invented.details())
    assert late.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_bad_certificate_request_does_not_use_up_the_token(world: World) -> None:
    admin = await world.first_admin()
    asked = admin_pb2.CreateEnrollTokenRequest(host_name="web1")
    token = await world.admin(admin).CreateEnrollToken(asked)
    bad = await refused(world.enrollment().Enroll(host_pb2.EnrollRequest(token=token.token, csr="nonsense")))
    assert bad.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await world.enroll(token.token)).host_id.startswith("hst-")


async def test_the_authority_that_is_pinned_comes_with_the_handshake(world: World) -> None:
    """Who joins knows only the fingerprint, so the chain must hold the certificate it is of."""
    for port in (world.port, world.bootstrap_port):
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts"],
            input="", capture_output=True, text=True, check=False, timeout=30,
        ).stdout  # fmt: skip
        chain = x509.load_pem_x509_certificates(shown.encode())
        assert world.installed.ca_fingerprint in {f"sha256:{one.fingerprint(hashes.SHA256()).hex()}" for one in chain}


async def test_a_server_of_another_authority_is_not_spoken_to(world: World) -> None:
    stranger = ca.create("example.org", world.clock.now()).certificate().encode()
    credentials = grpc.ssl_channel_credentials(stranger)
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.bootstrap_port}", credentials) as channel:
        stub = host_pb2_grpc.EnrollmentStub(channel)
        error = await refused(stub.Enroll(host_pb2.EnrollRequest(token="t", csr="c")))
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_login_needs_password_and_a_fresh_code_and_tells_nobody_which_was_wrong(world: World) -> None:
    admin = await world.first_admin()
    access = world.access()
    code = world.code(admin)
    _, csr = new_csr()

    def attempt(user: str = admin.name, password: str = PASSWORD, otp: str = "") -> people_pb2.LoginRequest:
        return people_pb2.LoginRequest(user=user, password=password, otp=otp or code, csr=csr)

    wrong_code = f"{(int(code) + 1) % 1_000_000:06}"
    refusals = [
        await refused(access.Login(attempt(password="guess"))),
        await refused(access.Login(attempt(user="nobody"))),
        await refused(access.Login(attempt(otp=wrong_code))),
        await refused(access.Login(attempt(otp="１２３４５６"))),
    ]
    granted = await access.Login(attempt())
    refusals.append(await refused(access.Login(attempt())))
    assert {error.code() for error in refusals} == {grpc.StatusCode.UNAUTHENTICATED}
    assert len({error.details() for error in refusals}) == 1
    assert granted.server == f"127.0.0.1:{world.port}"
    assert granted.expires_at <= world.clock.now() + 12 * 3_600_000_000


async def test_a_call_under_way_is_finished_by_a_stopping_server_and_a_new_one_is_not_begun(world: World) -> None:
    admin = await world.first_admin()
    world.passwords.asked.clear()
    world.passwords.open.clear()
    login = asyncio.ensure_future(world.log_in(admin))
    await world.passwords.asked.wait()
    stopping = asyncio.ensure_future(world.stop())
    late = await refused(world.people(admin).WhoAmI(people_pb2.WhoAmIRequest()))
    assert late.code() is grpc.StatusCode.UNAVAILABLE
    world.passwords.open.set()
    assert (await login).certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    await stopping


async def test_an_old_code_is_refused(world: World) -> None:
    admin = await world.first_admin()
    code = world.code(admin)
    world.clock.advance(90)
    _, csr = new_csr()
    request = people_pb2.LoginRequest(user=admin.name, password=PASSWORD, otp=code, csr=csr)
    assert (await refused(world.access().Login(request))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_missing_field_is_named(world: World) -> None:
    error = await refused(world.access().Login(people_pb2.LoginRequest(user="alice")))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "the password is missing")
    assert ("jit-error-code", "invalid") in tuple(error.trailing_metadata())


async def test_attempts_from_one_address_are_limited_before_any_password_is_checked(world: World) -> None:
    access = world.access()
    request = people_pb2.LoginRequest(user="alice", password="guess", otp="000000", csr="c")
    codes = [(await refused(access.Login(request))).code() for _ in range(40)]
    assert codes[0] is grpc.StatusCode.UNAUTHENTICATED
    assert codes[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("token", ["", "x" * 10_000])
async def test_an_mfa_token_nobody_gave_is_refused(world: World, token: str) -> None:
    request = people_pb2.BeginTotpRequest(user=world.installed.admin, token=token)
    assert (await refused(world.access().BeginTotp(request))).code() in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
