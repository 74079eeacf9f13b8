"""Checks passwords through PAM, with python-pam's bindings and a conversation of our own.

The stock conversation answers only the first message, keeps the clear password alive until garbage is collected, and
passes no flags, so that an account without a password would be let in.  Ours answers hidden prompts only, forbids empty
passwords, asks `pam_acct_mgmt` too, and drops everything at the end.  A missing service file would make PAM fall back
to the service `other` without a word: then every password is refused (S6).
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pam

from jit_server.errors import Unauthenticated, Unavailable

# The public module offers no type for a handle or a conversation; this is where they live.
_bindings = importlib.import_module("pam.__internals")

SERVICE = "jit-server"
SERVICE_FILE = Path("/etc/pam.d") / SERVICE
# Each check in flight costs about 16 MB (yescrypt).
THREADS = 4
TIMEOUT_S = 20.0
MAX_NAME = 256
MAX_PASSWORD = 1_024
_MAX_MESSAGES = 32
_REFUSAL = "the directory refuses this account or password"

_log = logging.getLogger(__name__)


class PamPasswordChecker:
    """Asks the PAM service `jit-server`, in a few threads of its own."""

    def __init__(self, service: str = SERVICE, service_file: Path = SERVICE_FILE) -> None:
        self._service = service
        self._service_file = service_file
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pam")
        # A check that timed out still holds its thread; the slot is free only when the thread is.
        self._slots = asyncio.Semaphore(THREADS)

    async def check(self, account: str, password: str) -> None:
        """Return when PAM accepts the password for the account now; else raise `Unauthenticated` or `Unavailable`."""
        if not self._service_file.is_file():
            raise Unavailable(f"{self._service_file} is missing: install it, or every login is refused")
        if not _is_plain(account, MAX_NAME) or not _is_plain(password, MAX_PASSWORD):
            raise Unauthenticated(_REFUSAL)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Unavailable("too many password checks at once") from None
        answer = asyncio.get_running_loop().run_in_executor(
            self._threads, _authenticate, self._service, account, bytearray(password.encode())
        )
        answer.add_done_callback(lambda _: self._slots.release())
        try:
            accepted = await asyncio.wait_for(asyncio.shield(answer), TIMEOUT_S)
        except TimeoutError:
            # Whatever PAM says later, nobody hears it.
            answer.add_done_callback(_log_late)
            raise Unavailable(f"PAM did not answer within {TIMEOUT_S:.0f} s") from None
        if not accepted:
            raise Unauthenticated(_REFUSAL)

    def close(self) -> None:
        """Let running checks finish in the background and take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _log_late(answer: asyncio.Future[bool]) -> None:
    if not answer.cancelled() and (error := answer.exception()) is not None:
        _log.warning("A password check failed after its time: %s", type(error).__name__)


def _is_plain(untrusted_text: str, limit: int) -> bool:
    return 0 < len(untrusted_text) <= limit and all(character.isprintable() for character in untrusted_text)


def _authenticate(service: str, account: str, password: bytearray) -> bool:
    """Run one PAM transaction to its end; `password` is wiped."""
    conversation = _Conversation(service, account, password)
    try:
        return conversation.authenticate()
    finally:
        conversation.end()
        password[:] = bytes(len(password))


class _Conversation(pam.PamAuthenticator):  # type: ignore[misc]  # python-pam has no types
    """One PAM transaction that gives the password to every hidden prompt, and nothing to any other."""

    def __init__(self, service: str, account: str, password: bytearray) -> None:
        super().__init__()
        self._password = password
        # Both must outlive the handle: PAM holds bare pointers to them.
        self._callback = _bindings.conv_func(self._converse)
        self._structure = _bindings.PamConv(self._callback, None)
        self.handle = _bindings.PamHandle()
        self.code = self.pam_start(
            service.encode(), account.encode(), ctypes.byref(self._structure), ctypes.byref(self.handle)
        )
        if self.code != pam.PAM_SUCCESS:
            self.handle = None
            raise Unavailable(f"pam_start failed with code {self.code}")

    def authenticate(self) -> bool:
        flags = pam.PAM_DISALLOW_NULL_AUTHTOK | pam.PAM_SILENT
        self.code = self.pam_authenticate(self.handle, flags)
        if self.code == pam.PAM_SUCCESS:
            self.code = self.pam_acct_mgmt(self.handle, flags)
        return bool(self.code == pam.PAM_SUCCESS)

    def _converse(self, count: int, messages: Any, responses: Any, _: Any) -> int:
        try:
            if not 0 < count <= _MAX_MESSAGES:
                return int(pam.PAM_CONV_ERR)
            address = self.calloc(count, ctypes.sizeof(_bindings.PamResponse))
            if not address:
                return int(pam.PAM_BUF_ERR)
            answers = ctypes.cast(address, ctypes.POINTER(_bindings.PamResponse))
            for index in range(count):
                if messages[index].contents.msg_style == pam.PAM_PROMPT_ECHO_OFF:
                    # PAM frees the copy; a c_char_p field would point into Python's own memory.
                    size = len(self._password)
                    copy = self.calloc(size + 1, 1)
                    if copy:
                        ctypes.memmove(copy, (ctypes.c_char * size).from_buffer(self._password), size)
                    ctypes.cast(ctypes.addressof(answers[index]), ctypes.POINTER(ctypes.c_void_p))[0] = copy
            responses[0] = answers
            return int(pam.PAM_SUCCESS)
        except BaseException:  # nothing may be raised through C
            return int(pam.PAM_CONV_ERR)
