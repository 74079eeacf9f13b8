"""Time-based one-time codes (RFC 6238) through pyotp: the arithmetic; that a code works once is kept in the store."""

from __future__ import annotations

import pyotp
from pyotp.exceptions import OTPVerificationError

from jit_server.adapters.qr import qr_lines
from jit_server.ports import TotpOffer

SECRET_CHARACTERS = 32
"""Base 32: 160 bits."""
WINDOW_STEPS = 1
"""RFC 6238 5.2: one step of 30 s early or late."""


class PyotpTotp:
    """The codes of common authenticator programs: SHA-1, six digits, 30 seconds."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def new_secret(self) -> str:
        return pyotp.random_base32(length=SECRET_CHARACTERS)

    def matching_step(self, secret: str, code: str, now: int) -> int | None:
        """The 30-second step this code is for, one step early or late allowed; `now` in µs UTC."""
        try:
            return pyotp.TOTP(secret).verify_and_get_timecode(
                code, for_time=now // 1_000_000, valid_window=WINDOW_STEPS
            )
        except OTPVerificationError:
            return None

    def offer(self, secret: str, user_name: str) -> TotpOffer:
        uri = pyotp.TOTP(secret).provisioning_uri(name=user_name, issuer_name=self._issuer)
        return TotpOffer(uri, tuple(qr_lines(uri)))
