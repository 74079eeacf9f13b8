"""Command lines, the way sudo and getopt read them, and the help text from the same table.

`argparse` would cost 10 ms on each `jit sudo` and cannot stop at the first word
that is not an option.
"""

from __future__ import annotations

from jit_cli.errors import usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Option:
    """One option.  `value` names its argument in the help, empty for a switch; `refused` says why it is not taken.

    Given more than once, the last value counts; those of one that is `repeatable` are joined with commas.
    """

    __slots__ = ("long", "meaning", "optional_value", "refused", "repeatable", "short", "value")

    def __init__(
        self,
        short: str,
        long: str,
        value: str = "",
        meaning: str = "",
        *,
        refused: str = "",
        optional_value: bool = False,
        repeatable: bool = False,
    ) -> None:
        self.short = short
        self.long = long
        self.value = value
        self.meaning = meaning
        self.refused = refused
        self.optional_value = optional_value
        self.repeatable = repeatable

    @property
    def written(self) -> str:
        """How the option is named to people."""
        if self.short and self.long:
            return f"-{self.short} (--{self.long})"
        return f"--{self.long}" if self.long else f"-{self.short}"


class Verb:
    """What a verb takes, and what its help says.

    `takes_command`: the first word that is not an option ends the options.  `like_sudo`: that too, and every failure
    before the command starts is status 1 (SPEC 4.3).
    """

    __slots__ = ("examples", "like_sudo", "name", "notes", "options", "summary", "takes_command", "usage")

    def __init__(
        self,
        name: str,
        *,
        usage: str,
        summary: str,
        examples: Sequence[tuple[str, str]],
        options: Sequence[Option] = (),
        notes: str = "",
        takes_command: bool = False,
        like_sudo: bool = False,
    ) -> None:
        self.name = name
        self.usage = usage
        self.summary = summary
        self.examples = examples
        self.options = (*options, HELP)
        self.notes = notes
        self.takes_command = takes_command or like_sudo
        self.like_sudo = like_sudo


class Parsed:
    """Options by long name (short when there is none), the other words, and those after `--` (None without it)."""

    __slots__ = ("after_dashes", "values", "words")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.words: list[str] = []
        self.after_dashes: list[str] | None = None

    def text(self, name: str) -> str:
        """The value given, or the empty text."""
        return self.values.get(name, "")

    def given(self, name: str) -> bool:
        return name in self.values


HELP = Option("h", "help", "", "show this help")
# What a request may need; shared by `jit sudo`, `jit request` and `jit extend`.
ASKING = (
    Option("m", "reason", "TEXT", "why you need it"),
    Option("t", "ticket", "ID", "the ticket it is for"),
    Option("d", "duration", "TIME", "for how long: 30m, 2h, 1h30m; else the role's default"),
    Option("", "otp", "CODE", "a one-time code of your second factor"),
    Option("n", "non-interactive", "", "never ask anything, never wait for a person"),
    Option("", "no-wait", "", "do not wait for the approval"),
)
# How a grant may be made narrower than its role; shared by `jit sudo` and `jit request`.
NARROWING = (
    Option("", "once", "", "for one sudo only; then the grant is over"),
    Option("", "this-session", "", "only from the login session this is typed in"),
)
OUTPUT = Option("o", "output", "FORMAT", "json: for programs; name: only the names, one a line")


def parse(verb: Verb, words: Sequence[str], parsed: Parsed) -> None:
    """Read a command line into `parsed`, in order; raise a usage `Failure` for what the verb does not take."""
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            parsed.after_dashes = queue
            break
        if word.startswith("--"):
            _long(verb, parsed, word[2:], queue)
        elif word.startswith("-") and word != "-":
            _short(verb, parsed, word[1:], queue)
        elif verb.takes_command:
            parsed.words = [word, *queue]
            break
        else:
            parsed.words.append(word)


def _long(verb: Verb, parsed: Parsed, text: str, queue: list[str]) -> None:
    name, equals, value = text.partition("=")
    option = next((option for option in verb.options if option.long == name), None)
    if option is None:
        known = [f"--{option.long}" for option in verb.options if option.long]
        raise usage(f"unknown option --{name}", meant(f"--{name}", known) or _see(verb))
    if equals and not (option.value or option.optional_value):
        raise usage(f"--{name} takes no value", _see(verb))
    _take(verb, parsed, option, value if equals else None, queue)


def _short(verb: Verb, parsed: Parsed, cluster: str, queue: list[str]) -> None:
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        option = next((option for option in verb.options if option.short == letter), None)
        if option is None:
            raise usage(f"unknown option -{letter}", _see(verb))
        if option.value:
            _take(verb, parsed, option, cluster or None, queue)
            return
        _take(verb, parsed, option, None, queue)


def _take(verb: Verb, parsed: Parsed, option: Option, value: str | None, queue: list[str]) -> None:
    if option.refused:
        raise usage(f"{option.written} is not taken: {option.refused}")
    if option.value and value is None:
        if not queue:
            raise usage(f"{option.written} needs a value ({option.value})", _see(verb))
        value = queue.pop(0)
    name = option.long or option.short
    if option.repeatable and parsed.given(name):
        value = f"{parsed.text(name)},{value}"
    parsed.values[name] = value or ""


def _see(verb: Verb) -> str:
    return f"see `jit {verb.name} --help`"


def meant(word: str, known: Iterable[str]) -> str:
    """Return "did you mean …?", or the empty text when nothing is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def output_format(parsed: Parsed, *, names: bool = True) -> str:
    """Return `json`, `name` or the empty text for people; refuse any other `-o`."""
    wanted = parsed.text("output")
    if parsed.given("output") and wanted not in ({"json", "name"} if names else {"json"}):
        raise usage(f"unknown output format {wanted!r}", "-o takes json or name" if names else "-o takes json")
    return wanted


def no_more_words(verb: Verb, parsed: Parsed, most: int = 0) -> list[str]:
    """Return the words of a verb that takes at most so many; raise a usage `Failure` for more."""
    words = parsed.words + (parsed.after_dashes or [])
    if len(words) > most:
        raise usage(f"unexpected word {words[most]!r}", f"usage: {verb.usage}")
    return words


def help_text(verb: Verb) -> str:
    """The text of `jit VERB --help`."""
    lines = [f"Usage: {verb.usage}", "", verb.summary, "", "Examples:"]
    width = max(len(example) for example, _ in verb.examples)
    lines += [f"  {example:<{width}}   {what}" for example, what in verb.examples]
    lines += ["", "Options:"]
    shown = [option for option in verb.options if not option.refused]
    lines += [f"  {_left(option):<26} {option.meaning}" for option in shown]
    if verb.notes:
        lines += ["", verb.notes]
    return "\n".join(lines) + "\n"


def _left(option: Option) -> str:
    short = f"-{option.short}" if option.short else "  "
    separator = ", " if option.short and option.long else "  "
    long = f"--{option.long}" if option.long else ""
    return f"{short}{separator}{long} {option.value}".rstrip()
