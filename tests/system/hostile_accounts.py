"""Run as root on a lab host: give each hostile account a rule as the enforcer renders it, and ask sudo who got it.

Prints one JSON object a line: the name, who else may run the command by sudo's own word, the users cvtsudoers reads.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/usr/lib/jit/enforcer")
from jit_enforcer import accounts, grant, permitted, sudoers

NAMES = json.loads(Path(sys.argv[1]).read_text())
BYSTANDERS = ("alice", "bob", "nobody", "daemon")
FIRST_UID = 3000
DROPINS = Path("/run/jit/sudoers.d")
PASSWD = Path("/etc/passwd")


def the_grant(number: int, name: str) -> grant.Grant:
    now = time.time_ns() // 1000
    return grant.Grant(
        grant=f"gnt-{number:016d}", revision=1, host=f"hst-{0:016d}", boot="", uid=FIRST_UID + number, user=name,
        run_as_user="root", run_as_group="", commands=(permitted.Command("/usr/bin/id", (), ""),), shell=False,
        record="events",
        required=False, subcommands=False, watch_s=0,
        role="hostile", not_before=now, not_after=now + 3600 * 10**6, remaining_s=3600,
        until=now + 3600 * 10**6, once=False, session=0, directory="", environment=(),
    )  # fmt: skip


def may_run(person: str) -> bool:
    listed = subprocess.run(["sudo", "-l", "-U", person], capture_output=True, text=True, check=True).stdout
    return "/usr/bin/id" in listed


def main() -> None:
    before = PASSWD.read_text()
    lines = "".join(f"{name}:x:{FIRST_UID + n}:{FIRST_UID + n}::/:/bin/bash\n" for n, name in enumerate(NAMES))
    try:
        PASSWD.write_text(before + lines)
        for number, name in enumerate(NAMES):
            rule = DROPINS / f"gnt-{number:016d}"
            rule.write_text(sudoers.rule(the_grant(number, name), accounts.RunAs(0, None)))
            rule.chmod(0o440)
            read = subprocess.run(["cvtsudoers", "-f", "json", rule], capture_output=True, text=True, check=True).stdout
            users = [user for spec in json.loads(read)["User_Specs"] for user in spec["User_List"]]
            print(json.dumps({"name": name, "others": [p for p in BYSTANDERS if may_run(p)], "users": users}))
            rule.unlink()
    finally:
        PASSWD.write_text(before)


main()
