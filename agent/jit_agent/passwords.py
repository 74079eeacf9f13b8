"""Whether what is typed answers a question for a password, and what stands for it in a recording (SPEC 8.1).

sudo leaves it to whoever writes the log to take passwords out of typed input.  A `Watch` looks at what is shown; what
is typed after a question for a secret becomes asterisks to the end of its line, and on until something is shown again:
who pastes three lines at a question has answered the next two as well.  All depends on what is shown and on the ends of
typed lines, never on how the stream is cut, so that input which is masked already, seen once more, is masked the same.
"""

from __future__ import annotations

import re
from typing import NamedTuple

REMEMBERED = 2_048
"""So many of the last bytes that were shown are searched for a question."""
ENDS = b"\r\n\x03\x04\x1a\x1c"
"""What ends a typed line, and stays readable: CR, LF, and the control characters C, D, Z and \\."""
_MASK = bytes(byte if byte in ENDS else ord("*") for byte in range(256))

# Not looked at yet; looked at, and no question; an answer is typed; its line is over, and nothing was shown since.
_SHOWN, _PLAIN, _HIDING, _ENDED = "shown", "plain", "hiding", "ended"

_WORDS = re.compile(
    r"""
    pass (?:word | wd | [ -]?phrase | [ -]?code | wort) | kennwort | mot\ de\ passe | palavra-passe | contraseña | senha
    | wachtwoord | lösenord | heslo | hasło | salasana | adgangskode | пароль | パスワード | 密码 | 密碼 | 암호
    | secret | (?:pin | puk | otp) (?<![a-z]...) (?![a-z])
    | (?:encryption | decryption) \ key
    | (?:verification | security | authentication | authenticator | auth | access | one[ -]time | 2fa | mfa | totp
      | recovery | backup) \ (?:code | token | key)
    | (?P<code> codes? (?![a-z]))
    """,
    re.VERBOSE,
)
"""What is asked for; a mere code only where somebody is told to enter it."""
_ASKED = re.compile(r"[^\n]{0,100}[:：?>]|[ ]*(?:\n|\Z)")
"""What follows such a word in a question."""
_TOLD = re.compile(r"(?<![a-z])(?:enter|type|retype|re-enter)(?![a-z])[^\n]*\Z")
"""What stands before it in a request."""
_SHELL = re.compile(r"(?:[#$%❯]|[\w)\]>]>) \Z")
_PLACE = re.compile(rb"\x1b\[[0-9;]*[Hfd]")
"""The cursor goes to another line."""
_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Watch(NamedTuple):
    """What was shown and typed so far at one terminal, or through a command's pipes, as far as it matters."""

    phase: str = _SHOWN
    shown: bytes = b""

    @classmethod
    def load(cls, text: str) -> Watch:
        """From what `dump` made; raises `ValueError`."""
        if not text:
            return cls()
        phase, _, shown = text.partition(" ")
        if phase not in {_SHOWN, _PLAIN, _HIDING, _ENDED} or len(shown) > REMEMBERED:
            raise ValueError("not the state of a watch for passwords")
        return cls(phase, shown.encode("latin-1"))

    def dump(self) -> str:
        return f"{self.phase} {self.shown.decode('latin-1')}"

    def show(self, output: bytes) -> Watch:
        """After something was shown; of more than `REMEMBERED` bytes the last of them are enough."""
        if not output or self.phase == _HIDING:
            return self
        return Watch(_SHOWN, (self.shown + output)[-REMEMBERED:])

    def type(self, typed: bytes) -> tuple[Watch, bytes]:
        """After something was typed; and as many bytes, which may be recorded for it."""
        if not typed:
            return self, typed
        watch = self._look() if self.phase == _SHOWN else self
        if watch.phase == _PLAIN:
            return watch, typed
        return Watch(_ENDED if typed[-1] in ENDS else _HIDING), typed.translate(_MASK)

    def _look(self) -> Watch:
        # An erased or interrupted line may join what is one word, or part what are two; both readings count.
        joined, parted = _text(self.shown, b""), _text(self.shown, b" ")
        line = joined[joined.rfind("\n") + 1 :]
        if _SHELL.search(line[-4:]) and not (line.endswith("> ") and _asks(line)):
            # A shell waits for a command: whatever asked before it has its answer.
            return Watch(_PLAIN)
        if _asks(joined) or (parted != joined and _asks(parted)):
            return Watch(_HIDING)
        return Watch(_PLAIN, self.shown)


def _asks(text: str) -> bool:
    """Whether any of its lines asks for a secret."""
    for word in _WORDS.finditer(text):
        if word["code"] is None and _ASKED.match(text, word.end()):
            return True
        if _TOLD.search(text, max(0, word.start() - 60), word.start()):
            return True
    return False


def _text(shown: bytes, between: bytes) -> str:
    """What a person reads of it, in small letters, with this in place of escape sequences and carriage returns."""
    lines = _PLACE.sub(b"\n", shown).replace(b"\r\n", b"\n")
    return _CONTROL.sub(b"", _SEQUENCE.sub(between, lines).replace(b"\r", between)).decode("utf-8", "replace").lower()
