"""What sudo itself reads in a file, compared with what we meant (S1, G3, G9).

`check_text` asks before anything is written; `check_whole` about the host's whole configuration, in which ours must
come last and nothing may loosen what we set.
"""

import json
import re
from collections.abc import Sequence, Set
from typing import Any, Final

from jit_enforcer import programs, strictjson, sudoersfiles
from jit_enforcer.errors import Denied, Unsafe, Unsuitable
from jit_enforcer.paths import Paths
from jit_enforcer.sudoers import STRICT, guarded

# cvtsudoers below 1.9.16 forgets the braces around these two, which is no JSON.
_BARE: Final = re.compile(rb'^(\s*)("(?:runcwd|runchroot)": "(?:[^"\\]|\\.)*")(,?)$', re.MULTILINE)
# How an option of a list is written that adds or takes away.
_SIGNS: Final = {"list_assign": "", "list_add": "+", "list_remove": "-"}


class _Added(Unsuitable):
    """Defaults add to, or take from, a list of ours instead of setting one; the text is its name."""


def check_text(text: str, *, defaults: Sequence[dict[str, Any]], rules: Sequence[dict[str, Any]]) -> None:
    """Raise `Unsafe` unless sudo's parser finds exactly these Defaults and rules in the text, and nothing else."""
    found = _parse("-", text)
    wanted = {"Defaults": list(defaults), "User_Specs": list(rules)}
    if found != {key: value for key, value in wanted.items() if value}:
        raise Unsafe("sudo would not read the rule as it was meant")


def check_whole(
    paths: Paths,
    *,
    defaults: Sequence[dict[str, Any]],
    rules: Sequence[dict[str, Any]],
    run_as_names: Set[str],
    run_as_uids: Set[int],
) -> None:
    """Raise `Unsuitable` unless our entries take effect and nothing after them can change that.

    Raises `Unsafe` if that cannot be told now.
    """
    try:
        found = _parse(str(paths.sudoers))
    except _Added as e:
        place = sudoersfiles.place_of(paths, str(e))
        raise Unsuitable(f"Defaults{place} add to {e}, which grants need as it is: remove the +=") from None
    if not (_ends_with(found.get("Defaults", []), defaults) and _ends_with(found.get("User_Specs", []), rules)):
        raise Unsuitable(sudoersfiles.what_comes_later(paths) or "sudo does not read the rules of grants as written")
    unchanged = guarded(ours["Options"] for ours in defaults)
    others = found.get("Defaults", [])
    for entry in others[: len(others) - len(defaults)]:
        loosened = [name for name, value in entry["Options"].items() if unchanged.get(name, value) != value]
        if loosened and not all(_harmless(one, run_as_names, run_as_uids) for one in entry.get("Binding", [])):
            place = sudoersfiles.place_of(paths, loosened[0])
            raise Unsuitable(f"Defaults{place} change {loosened[0]}, which grants need as it is: remove them")


def _ends_with(found: list[Any], ours: Sequence[dict[str, Any]]) -> bool:
    tail = found[len(found) - len(ours) :] if len(ours) <= len(found) else []
    return sorted(map(_canonical, tail)) == sorted(map(_canonical, ours))


def _canonical(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)


def _harmless(member: dict[str, Any], run_as_names: Set[str], run_as_uids: Set[int]) -> bool:
    """True of Defaults that sudo applies before ours: for a host, or for an invoking user.

    Those for a command or a run-as account come after ours whatever their place in the file, and cvtsudoers shows
    `Defaults:NAME` and `Defaults>NAME` alike.
    """
    match member:
        case {"hostname": str(), **rest} if not rest:
            return True
        case {"username": str(name), **rest} if not rest:
            return name not in run_as_names and name != "ALL"
        case {"userid": int(uid), **rest} if not rest:
            return uid not in run_as_uids
        case _:
            return False


def _parse(file: str, text: str = "") -> dict[str, Any]:
    """cvtsudoers' JSON with each list of options merged into one object; the file `-` is the text."""
    try:
        said = programs.run(programs.CVTSUDOERS, "-f", "json", file, given=text.encode())
        tree = strictjson.parse_object(_BARE.sub(rb"\1{\2}\3", said) or b"{}")
    except Unsafe:
        raise
    except Denied as e:
        raise Unsafe(f"cvtsudoers does not answer in JSON for {file}") from e
    for entry in tree.get("Defaults", []):
        entry["Options"] = _merged(entry["Options"])
    for entry in tree.get("User_Specs", []):
        for spec in entry["Cmnd_Specs"]:
            spec["Options"] = _merged(spec.get("Options", []))
    return tree


def _merged(options: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for option in options:
        for name, value in option.items():
            if name == "operation":
                if value != "list_assign" and (ours := STRICT.keys() & option.keys()):
                    raise _Added(*ours)
                continue
            merged[name + _SIGNS[option.get("operation", "list_assign")]] = value
    return merged
