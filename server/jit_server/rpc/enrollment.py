"""Enrollment: a host joins with a one-time token, on the bootstrap port."""

from __future__ import annotations

from jit_protos.v1 import host_pb2
from jit_server.rpc import wire
from jit_server.rpc.access import MAX_CSR
from jit_server.rpc.dispatch import Service
from jit_server.rpc.identity import Gate, Stranger
from jit_server.services import Services


class Enrollment:
    """Turns messages into calls of the host service; `advertised` is host:port of the mTLS listener."""

    def __init__(self, services: Services, advertised: str) -> None:
        self._services = services
        self._advertised = advertised

    def service(self, gate: Gate) -> Service[Stranger]:
        return Service(
            host_pb2.DESCRIPTOR.services_by_name["Enrollment"],
            gate.stranger,
            {"Enroll": self._enroll},
        )

    async def _enroll(self, _: Stranger, request: host_pb2.EnrollRequest) -> host_pb2.EnrollResponse:
        enrolled = await self._services.hosts.enroll(
            wire.required(request.token, "the token"),
            wire.required(request.csr, "the certificate request", MAX_CSR),
        )
        return host_pb2.EnrollResponse(
            host_id=enrolled.host.host_id,
            host_name=enrolled.host.name,
            certificate=enrolled.certificate.pem,
            ca=enrolled.ca,
            grant_keys=enrolled.grant_keys,
            server=self._advertised,
        )
