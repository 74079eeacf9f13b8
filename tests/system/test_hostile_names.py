"""Names and reasons that try to be something else, on a real host (threats G1, G3, S12)."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

from jit_testing.lab import Lab

# What a directory may hold as an account name, and what would break out of a rule written with names.
NAMES = [
    "a b", "x,bob", "%ops", "%sudo", "#0", "#1002", "ALL", "BOBS", "a\\b", "DOM\\carl", 'o"q', "a=b", "a!b", "!bob",
    "+netg", "-rf", "root ALL", "a(b", "*", "al*ce", "[ab]ob", "a#b", "a\tb", "a%b", "@include", "Ünï", "ümläut",
    "a\u202eb", "%:ops", "%#1004", "a~b", "a/b", "../x", "$(id)", "a;b", "a'b", "bob)", "NOPASSWD", "user@corp.example",
    "x\\", "Defaults", "a.b", "a^b", "^a.*$", "alice,bob ALL=(ALL) ALL", "root", "0", "#0 ALL=(ALL) NOPASSWD: ALL",
]  # fmt: skip
REASONS = [
    *(name for name in NAMES if name.isprintable()),
    "\x1b]52;c;cm0gLXJm\x07", "\x1b[2J\x1b[1;1Happroved", "[bold red]done[/]", "\u202egnp.exe",
    "zero\u200bwidth", "line\u2028two", "--help",
    "'; DROP TABLE requests; --", "%s%n{0}", "\x9b31m", "a\rb",
]  # fmt: skip


def test_a_rule_reaches_the_one_uid_it_is_for_whatever_its_name_is(lab: Lab, tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text(json.dumps(NAMES))
    lab.put("web2", names, "/root/names.json")
    lab.put("web2", Path(__file__).with_name("hostile_accounts.py"), "/root/hostile_accounts.py")
    rows = lab.run("web2", "python3", "-I", "/root/hostile_accounts.py", "/root/names.json").splitlines()
    told = [json.loads(row) for row in rows]
    assert [row["name"] for row in told] == NAMES
    assert [row for row in told if row["others"]] == []
    assert [row["users"] for row in told] == [[{"userid": 3000 + number}] for number in range(len(NAMES))]


def test_no_reason_reaches_a_terminal_as_anything_but_text(lab: Lab, tmp_path: Path) -> None:
    """Every reason is either refused in one line or shown to the approver with nothing hidden in it."""
    script = tmp_path / "ask.py"
    script.write_text(
        "import json, subprocess, sys\n"
        "for reason in json.load(open('/tmp/reasons.json')):\n"
        "    words = ['jit', 'request', 'drill-operator', '--no-wait', '-m' + reason]\n"
        "    done = subprocess.run(words, capture_output=True, text=True)\n"
        "    print(json.dumps([reason, done.returncode, done.stdout + done.stderr]))\n"
        "    subprocess.run(['jit', 'cancel', done.stdout.split()[0]] if done.returncode == 3 else ['true'])\n"
    )
    (tmp_path / "reasons.json").write_text(json.dumps(REASONS))
    lab.put("web1", tmp_path / "reasons.json", "/tmp/reasons.json")
    lab.put("web1", script, "/tmp/ask.py")
    shown = lab.run("web1", "python3", "/tmp/ask.py", user="bob", timeout_s=110)
    answers = [json.loads(line) for line in shown.splitlines() if line.startswith("[")]
    assert [answer[0] for answer in answers] == REASONS
    assert {answer[1] for answer in answers} <= {3, 65}
    seen = lab.jitctl("requests", "ls", "--all", user="carol")
    for text in (*(answer[2] for answer in answers), seen):
        # jitctl parts the columns of what goes into a pipe with tabs.
        hidden = {
            char for char in text if char not in "\n\t" and unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}
        }
        assert hidden == set()
