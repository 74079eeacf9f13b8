"""Who calls is what the client certificate says (SPEC 1.3, 1.4), at every call and for as long as it counts."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from jit_protos.v1 import admin_pb2, audit_pb2, host_pb2, people_pb2
from jit_server.adapters import ca
from jit_testing.refusals import refused
from jit_testing.server_world import Identity, World, new_csr

FOR_PEOPLE = [
    people_pb2.DESCRIPTOR.services_by_name["PeopleService"],
    audit_pb2.DESCRIPTOR.services_by_name["AuditService"],
    admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
]
FOR_HOSTS = [host_pb2.DESCRIPTOR.services_by_name["HostService"]]
BOOTSTRAP = [
    host_pb2.DESCRIPTOR.services_by_name["Enrollment"],
    people_pb2.DESCRIPTOR.services_by_name["Access"],
]


def methods(*services: ServiceDescriptor) -> list[MethodDescriptor]:
    return [method for service in services for method in service.methods]


async def call(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    """The status of a call of the method with an empty message."""
    assert method.containing_service is not None
    path = f"/{method.containing_service.full_name}/{method.name}"
    empty = GetMessageClass(method.input_type)()
    codec = (lambda message: message.SerializeToString(), GetMessageClass(method.output_type).FromString)
    try:
        if method.client_streaming:
            stream = channel.stream_stream(path, *codec)()
            await stream.read()
            return await stream.code()
        if method.server_streaming:
            reading = channel.unary_stream(path, *codec)(empty)
            await reading.read()
            return await reading.code()
        await channel.unary_unary(path, *codec)(empty)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_no_method_for_people_serves_a_host_and_none_for_hosts_serves_a_person(world: World) -> None:
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1")
    as_host, as_person = world.channel(host.identity), world.channel(admin.identity)
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert {m.full_name: await call(as_host, m) for m in methods(*FOR_PEOPLE)} == {
        m.full_name: denied for m in methods(*FOR_PEOPLE)
    }
    assert {m.full_name: await call(as_person, m) for m in methods(*FOR_HOSTS)} == {
        m.full_name: denied for m in methods(*FOR_HOSTS)
    }


async def test_each_port_serves_its_own_services_only(world: World) -> None:
    admin = await world.first_admin()
    unimplemented = {grpc.StatusCode.UNIMPLEMENTED}
    bootstrap, mutual = world.bootstrap(), world.channel(admin.identity)
    assert {await call(bootstrap, method) for method in methods(*FOR_PEOPLE, *FOR_HOSTS)} == unimplemented
    assert {await call(mutual, method) for method in methods(*BOOTSTRAP)} == unimplemented


async def test_a_certificate_by_another_authority_of_the_same_name_opens_nothing(world: World) -> None:
    admin = await world.first_admin()
    key, csr = new_csr()
    forged = ca.create("example.org", world.clock.now()).issue_user(csr, "usr-0123456789abcdef", world.clock.now())
    identity = Identity(key, forged.pem.encode(), world.ca)
    for method in methods(*FOR_PEOPLE)[:3]:
        assert await call(world.channel(identity), method) is grpc.StatusCode.UNAVAILABLE
    assert await call(world.channel(admin.identity), methods(*FOR_PEOPLE)[0]) is grpc.StatusCode.OK


async def test_without_a_certificate_the_mutual_port_does_not_answer(world: World) -> None:
    credentials = grpc.ssl_channel_credentials(world.ca)
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.port}", credentials) as channel:
        assert await call(channel, methods(*FOR_PEOPLE)[0]) is grpc.StatusCode.UNAVAILABLE


async def test_an_open_connection_does_not_outlive_its_certificate(world: World) -> None:
    admin = await world.first_admin()
    people = world.people(admin)
    assert (await people.WhoAmI(people_pb2.WhoAmIRequest())).name == admin.name
    world.clock.advance(12 * 3600 + 1)
    assert (await refused(people.WhoAmI(people_pb2.WhoAmIRequest()))).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_disabled_person_is_out_at_once(world: World) -> None:
    admin = await world.first_admin()
    alice = await world.add_user(admin, "alice")
    people = world.people(alice)
    assert (await people.WhoAmI(people_pb2.WhoAmIRequest())).name == "alice"
    await world.admin(admin).DisableUser(admin_pb2.UserRef(user="alice"))
    assert (await refused(people.WhoAmI(people_pb2.WhoAmIRequest()))).code() is grpc.StatusCode.UNAUTHENTICATED
    await world.admin(admin).EnableUser(admin_pb2.UserRef(user="alice"))
    assert (await people.WhoAmI(people_pb2.WhoAmIRequest())).name == "alice"


async def test_a_removed_host_is_out_at_once_and_its_stream_ends(world: World) -> None:
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1", tier="web")
    session = world.session(host)
    await session.hello()
    await session.desired()
    await world.admin(admin).RemoveHost(admin_pb2.HostRef(host="web1"))
    assert [message async for message in session.messages()] == []
    assert await session.call.code() is grpc.StatusCode.UNAUTHENTICATED
    user = host_pb2.LocalUser(uid=1001, name="alice")
    error = await refused(world.host(host).Plan(host_pb2.PlanRequest(user=user)))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_removed_host_that_comes_back_is_told_to_hold_nothing(world: World) -> None:
    """S1: its grants were revoked, and no other word of the server would ever reach it."""
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1", tier="web")
    await world.admin(admin).RemoveHost(admin_pb2.HostRef(host="web1"))
    session = world.session(host)
    await session.hello()
    desired = await session.desired()
    assert (desired.generation, list(desired.grants)) == (0, [])
    await session.call.write(host_pb2.HostMessage(settled=host_pb2.Settled(generation=0)))
    assert [message async for message in session.messages()] == []
    assert await session.call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_host_renews_its_certificate(world: World) -> None:
    admin = await world.first_admin()
    host = await world.add_host(admin, "web1")
    key, csr = new_csr()
    renewed = await world.host(host).RenewCertificate(host_pb2.RenewCertificateRequest(csr=csr))
    identity = Identity(key, renewed.certificate.encode(), renewed.ca.encode())
    user = host_pb2.LocalUser(uid=1001, name="root-admin")
    plan = await world.host(type(host)(host.host_id, identity, ())).Plan(host_pb2.PlanRequest(user=user))
    assert len(plan.refusals) == 1


@pytest.mark.parametrize("duty", ["", "auditor"])
async def test_only_administrators_administrate(world: World, duty: str) -> None:
    admin = await world.first_admin()
    someone = await world.add_user(admin, "someone", *filter(None, [duty]))
    error = await refused(world.admin(someone).CreateUser(admin_pb2.CreateUserRequest(name="friend")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await world.admin(admin).CreateUser(admin_pb2.CreateUserRequest(name="friend"))).user.name == "friend"
