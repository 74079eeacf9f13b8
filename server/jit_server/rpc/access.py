"""Access: login of people and their first second factor, on the bootstrap port."""

from __future__ import annotations

from jit_protos.v1 import common_pb2, people_pb2
from jit_server.rpc import wire
from jit_server.rpc.dispatch import Service
from jit_server.rpc.identity import Gate, Stranger
from jit_server.services import Services

MAX_PASSWORD = 1_024
MAX_CSR = 8_192


class Access:
    """Turns messages into calls of the login and factor services; `advertised` is host:port of the mTLS listener."""

    def __init__(self, services: Services, advertised: str) -> None:
        self._services = services
        self._advertised = advertised

    def service(self, gate: Gate) -> Service[Stranger]:
        return Service(
            people_pb2.DESCRIPTOR.services_by_name["Access"],
            gate.stranger,
            {"Login": self._login, "BeginTotp": self._begin_totp, "ConfirmTotp": self._confirm_totp},
        )

    async def _login(self, _: Stranger, request: people_pb2.LoginRequest) -> people_pb2.LoginResponse:
        login = await self._services.login.login(
            wire.required(request.user, "the user"),
            wire.required(request.password, "the password", MAX_PASSWORD),
            wire.bounded(request.otp, "the one-time code"),
            wire.required(request.csr, "the certificate request", MAX_CSR),
        )
        return people_pb2.LoginResponse(
            certificate=login.certificate.pem,
            ca=login.ca,
            expires_at=login.certificate.expires_at,
            server=self._advertised,
        )

    async def _begin_totp(self, _: Stranger, request: people_pb2.BeginTotpRequest) -> common_pb2.TotpOffer:
        name, token = wire.required(request.user, "the user"), wire.required(request.token, "the token")
        return wire.totp_offer_message(await self._services.factors.begin(name, token))

    async def _confirm_totp(
        self, _: Stranger, request: people_pb2.ConfirmTotpRequest
    ) -> people_pb2.ConfirmTotpResponse:
        await self._services.factors.confirm(
            wire.required(request.user, "the user"),
            wire.required(request.token, "the token"),
            wire.required(request.otp, "the one-time code"),
        )
        return people_pb2.ConfirmTotpResponse()
