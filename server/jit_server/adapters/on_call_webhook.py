"""A rota that a web service tells: `GET` over HTTPS, answered with a JSON list of names or `{"people": [...]}`.

It is asked in the background, so that no request for access ever waits for it.  Redirects are not followed, and the
certificate is always checked.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from jit_server.adapters.on_call import MAX_BYTES, RotaError, names

TIMEOUT_S = 2.0
ASK_EVERY_S = 30.0
COUNTS_S = 60.0
"""An answer counts so long: one question may fail and the next still come in time."""
_NEVER = RotaError("it was not asked yet")


class WebhookRota:
    """`url` begins with https://; `token_file` holds a bearer token, `ca_file` whom to trust, not the system's."""

    def __init__(self, url: str, token_file: Path | None, ca_file: Path | None, monotonic: Callable[[], float]) -> None:
        self._url = url
        self._token_file = token_file
        self._ca_file = ca_file
        self._monotonic = monotonic
        self._people: frozenset[str] = frozenset()
        self._heard_at: float | None = None
        self._asked_at: float | None = None
        self._problem = _NEVER
        self._asking: asyncio.Future[frozenset[str]] | None = None

    def people(self) -> frozenset[str]:
        if self._heard_at is None or self._monotonic() - self._heard_at > COUNTS_S:
            raise self._problem.with_traceback(None)
        return self._people

    async def refresh(self) -> None:
        now = self._monotonic()
        if self._asked_at is not None and now - self._asked_at < ASK_EVERY_S:
            return
        if self._asking is not None and not self._asking.done():
            return  # A service that drips its answer gets no second thread.
        self._asked_at = now
        self._asking = asyncio.ensure_future(asyncio.to_thread(self._ask))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                people = await asyncio.shield(self._asking)
        except TimeoutError:
            self._problem = RotaError(f"{self._url} did not answer within {TIMEOUT_S:g} s")
            self._asking.add_done_callback(_forget)
        except RotaError as error:
            self._problem = error
        else:
            self._people, self._heard_at = people, self._monotonic()
            self._problem = RotaError(f"{self._url} was last heard more than {COUNTS_S:g} s ago")

    def _ask(self) -> frozenset[str]:
        parts = urlsplit(self._url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            headers = {"Accept": "application/json", "User-Agent": "jit-server"}
            if self._token_file is not None:
                headers["Authorization"] = f"Bearer {_token(self._token_file)}"
            context = ssl.create_default_context(cafile=self._ca_file)
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=TIMEOUT_S, context=context
            )
            try:
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                content = response.read(MAX_BYTES + 1)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise RotaError(f"{self._url} cannot be asked: {str(error)[:200] or type(error).__name__}") from None
        if response.status != http.client.OK:
            raise RotaError(f"{self._url} answered with status {response.status}")
        return self._parsed(content)

    def _parsed(self, untrusted_content: bytes) -> frozenset[str]:
        if len(untrusted_content) > MAX_BYTES:
            raise RotaError(f"{self._url} answered with more than {MAX_BYTES} bytes")
        try:
            answer = json.loads(untrusted_content)
        except (ValueError, RecursionError):
            raise RotaError(f"{self._url} did not answer with JSON") from None
        try:
            return names(answer["people"] if isinstance(answer, dict) and "people" in answer else answer)
        except RotaError as error:
            raise RotaError(f"{self._url}: {error}") from None


def _token(file: Path) -> str:
    text = file.read_text(encoding="ascii").strip()
    if not text or not text.isprintable():
        raise RotaError(f"{file} holds no token")
    return text


def _forget(asked: asyncio.Future[frozenset[str]]) -> None:
    """The answer that comes too late, or the error, is nobody's any more."""
    if not asked.cancelled():
        asked.exception()
