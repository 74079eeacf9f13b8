"""The server asks whose an account is here, before it makes a grant for it that was asked for elsewhere (SPEC 9.7).

The answer is NSS's word, in both directions: a name that two uids have, or a uid that goes by another name, is nobody.
"""

from __future__ import annotations

import asyncio
import logging
import pwd
from concurrent.futures import ThreadPoolExecutor

from jit_agent.changes import Bell
from jit_agent.model import AccountQuery, Person
from jit_agent.text import safe

log = logging.getLogger(__name__)

LOOK_S = 2.5
"""The server waits 3 s; a directory service may be slow, or away."""
MAX_OPEN = 64
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="accounts")
"""Their own: a directory that hangs must not take the threads that callers of the local socket wait for."""


class AccountQueries:
    """Looks accounts up beside the stream; `answered` rings when there is an answer to send."""

    def __init__(self, answered: Bell) -> None:
        self._answered = answered
        self._looking: set[asyncio.Task[None]] = set()
        self._answers: list[tuple[int, Person | None]] = []

    def ask(self, query: AccountQuery) -> None:
        """Begin to look; a question too many is not answered, which to the server is the same as a slow host."""
        if len(self._looking) >= MAX_OPEN:
            log.warning("The server asks for too many accounts at once")
            return
        task = asyncio.create_task(self._look(query))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    def answers(self) -> list[tuple[int, Person | None]]:
        """The answers that were not taken yet, by the number of their question."""
        taken, self._answers = self._answers, []
        return taken

    async def close(self) -> None:
        """Stop looking: nobody listens any more."""
        looking = list(self._looking)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _look(self, query: AccountQuery) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                found = await asyncio.get_running_loop().run_in_executor(_THREADS, owner, query.account)
        except TimeoutError:
            log.warning("The account %s cannot be looked up now", safe(query.account))
            return
        self._answers.append((query.number, found))
        self._answered.ring()


def owner(account: str) -> Person | None:
    """Whose account this is: one ordinary uid, which goes by exactly this name; else None."""
    try:
        entry = pwd.getpwnam(account)
        if entry.pw_name != account or entry.pw_uid < 1 or pwd.getpwuid(entry.pw_uid).pw_name != account:
            return None
    except (KeyError, ValueError, OSError):
        return None
    return Person(entry.pw_uid, account)
