"""The reports of one stream (SPEC 5.3): which of them the server keeps, and which it is sent next.

Nothing is sent before the server has said what it keeps: after a restore that may be less than it once said, and it is
told again.  A disk that takes no note of its word holds up reports, and never what takes rights away (S6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from jit_agent.changes import Bell
from jit_agent.errors import Malformed, SpoolUnavailable
from jit_agent.reports import Reports

log = logging.getLogger(__name__)

IDLE_S = 60.0
RETRY_S = 0.5
BATCH = 100
WINDOW = 1_000
"""Reports sent and not yet kept; more wait in the spool."""


class ReportFlow:
    """One stream's; `to_send` rings when there is more to send."""

    def __init__(self, reports: Reports, to_send: Bell) -> None:
        self._reports = reports
        self._to_send = to_send
        self._heard = Bell()
        self._kept = 0
        self._agreed = False
        self._sent = reports.acknowledged

    def hear(self, kept: int) -> None:
        """The server keeps all reports up to this number; raises `Malformed` for a number that was never given."""
        # It may keep more than this stream sent: a crash of ours can lose its word, never its reports.
        if self._agreed and kept > self._reports.last:
            raise Malformed("the server keeps reports that were never made")
        self._kept = kept
        self._heard.ring()

    async def keep(self) -> str:
        """Take note of what the server keeps; returns, with the reason, when only a new stream can go on."""
        seen, said = 0, ""
        while True:
            await self._heard.wait_beyond(seen, timeout_s=IDLE_S)
            if self._heard.count == seen:
                continue
            heard, kept = self._heard.count, self._kept
            try:
                if not self._agreed and await self._reports.agree(kept):
                    return "the server and this host had counted other reports; they are told under a new name"
                await self._reports.acknowledge(kept)
            except SpoolUnavailable as e:
                if str(e) != said:
                    log.warning("What the server keeps cannot be noted: %s", e)
                said = str(e)
                await asyncio.sleep(RETRY_S)
                continue
            if not self._agreed:
                self._agreed, self._sent = True, self._reports.acknowledged
            seen, said, self._sent = heard, "", max(self._sent, kept)
            self._to_send.ring()

    async def unsent(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """What may be sent now, in order; each is counted as sent when it is taken from here."""
        while self._agreed and (room := WINDOW - (self._sent - self._reports.acknowledged)) > 0:
            batch = await self._reports.pending(self._sent, min(BATCH, room))
            for sequence, encoded in batch:
                # Before it is written: the server may keep it before the write returns.
                self._sent = sequence
                yield sequence, encoded
            if not batch:
                return
