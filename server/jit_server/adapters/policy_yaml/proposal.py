"""A role out of policy files with other commands, as a file of its own with all that the role refers to."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML

from jit_server.adapters.policy_yaml import source
from jit_server.adapters.policy_yaml.contents import SECTIONS
from jit_server.domain.ask import Command
from jit_server.domain.policy.finding import PolicyFile
from jit_server.domain.suggestion import Proposed

_Sections = Mapping[str, Mapping[str, Any]]
_REFERENCES = {"groups": "groups", "hosts": "hosts", "flow": "flows"}
"""Under which key of a file names of which section stand."""
_UNPRINTABLE = re.compile(r"[^ -~\u00a1-\u02ff\u2026]")


def proposal(files: Sequence[PolicyFile], role: str, commands: Sequence[Proposed], heading: Sequence[str]) -> str:
    """The text of the file; the role's other keys are kept, but for `shell`, which needs ALL.

    `heading` and the notes of each command are comments.  The files are those of a policy without an error.
    """
    sections = _sections(files)
    kept = {key: value for key, value in sections["roles"][role].items() if key not in ("commands", "shell")}
    parts: dict[str, Any] = {"version": 1}
    for section, name in sorted(_referred(kept, sections)):
        parts.setdefault(section, {})[name] = sections[section][name]
    parts["roles"] = {role: kept}
    lines = [_comment(line) for line in heading]
    lines.append(_dumped(parts).rstrip("\n"))
    lines.append("    commands:")
    for proposed in commands:
        lines += [f"      {_comment(note)}" for note in proposed.notes]
        lines.append(f"      - {_written(proposed.command)}")
    return "\n".join(lines) + "\n"


def _sections(files: Sequence[PolicyFile]) -> _Sections:
    found: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for file in files:
        root = source.read(file.text).root
        if isinstance(root, dict):
            for name in SECTIONS:
                found[name].update(root.get(name) or {})
    return found


def _referred(value: object, sections: _Sections) -> set[tuple[str, str]]:
    """What is referred to, and what that refers to in turn, each once."""
    found: set[tuple[str, str]] = set()
    left = [value]
    while left:
        match left.pop():
            case list() as items:
                left += items
            case dict() as entries:
                for key, item in entries.items():
                    left.append(item)
                    named = _named(str(key), item, sections) - found
                    found |= named
                    left += [sections[section][name] for section, name in named]
    return found


def _named(key: str, item: object, sections: _Sections) -> set[tuple[str, str]]:
    """The entries of other sections that stand under this key."""
    section = _REFERENCES.get(key)
    if section is None:
        return set()
    names = item if isinstance(item, list) else [item]
    return {(section, name) for name in names if isinstance(name, str) and name in sections[section]}


def _written(command: Command) -> str:
    """What is JSON is YAML too, and nothing in it can be taken for anything else."""
    words = command.args if isinstance(command.args, tuple) else ()
    if command.sha256:
        return json.dumps({"path": command.path, "args": list(words), "sha256": command.sha256})
    return json.dumps(shlex.join((command.path, *words)))


def _dumped(parts: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.version = None
    yaml.width = 110
    text = io.StringIO()
    yaml.dump(dict(parts), text)
    return text.getvalue()


def _comment(text: str) -> str:
    """One line, whatever is in it."""
    return f"# {_UNPRINTABLE.sub('?', text)}"
