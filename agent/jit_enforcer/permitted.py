"""One command of a grant (SPEC 2.3): read from the signed JSON, or refused; and which arguments it lets through."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jit_enforcer import pattern
from jit_enforcer.errors import Malformed

# Bytes of a path that mean nothing to sudoers, fnmatch or a terminal.
_PATH: Final = re.compile(r"(/[A-Za-z0-9._+@%~-]+)+")
_ARGUMENT: Final = re.compile(r"[!-~]{1,4096}")
_DIGEST: Final = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class Command:
    """`args` None: any arguments; else exactly these, or what the expression matches.  `sha256` empty: any content."""

    path: str
    args: tuple[str, ...] | pattern.Pattern | None
    sha256: str

    def takes(self, arguments: Sequence[str]) -> bool:
        """Whether these arguments may be; whether the file is the right one is sudo's own to find out."""
        if isinstance(self.args, pattern.Pattern):
            return self.args.matches(arguments)
        return self.args in (None, tuple(arguments))


def path(what: str, untrusted: str) -> str:
    """A path that stays itself wherever it is written.  Raises `Malformed`."""
    if len(untrusted) > 4096 or not _PATH.fullmatch(untrusted) or posixpath.normpath(untrusted) != untrusted:
        raise Malformed(f"grant with a {what} that cannot be written safely")
    return untrusted


def parse(untrusted: object) -> Command:
    """Raises `Malformed`."""
    match untrusted:
        case {"path": str(program), "args": None | [*_] | {"regex": str()} as args, "sha256": str(digest), **rest} if (
            not rest and not (isinstance(args, dict) and len(args) > 1)
        ):
            pass
        case _:
            raise Malformed("grant with a bad command")
    path("command path", program)
    if posixpath.basename(program) == "sudoedit":
        raise Malformed("grant for sudoedit, which is not supported")
    if not _DIGEST.fullmatch(digest):
        raise Malformed("grant with a digest that is not SHA-256")
    return Command(program, pattern.parse(args["regex"]) if isinstance(args, dict) else _words(args), digest)


def _words(args: list[object] | None) -> tuple[str, ...] | None:
    if args is None:
        return None
    words = tuple(word for word in args if isinstance(word, str) and _ARGUMENT.fullmatch(word))
    if len(words) < len(args):
        raise Malformed("grant with a command argument that cannot be written safely")
    if words == ('""',):
        raise Malformed('grant with the argument "", which sudoers reads as no argument')
    return words
