"""The lab's command line: one function for each verb."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lab import lifecycle, network, otp, product
from lab.host import Host
from lab.places import RELEASES, Places, checked, default_name
from lab.process import LabError

_EXAMPLES = """examples:
  lab up                                     a server and two hosts, jit installed and set up
  lab up --hosts server,web1,web2:13         web2 is of Debian 13
  lab exec web1 -u alice -t -- jit sudo id   as a person who is logged in there
  lab otp alice                              the next one-time code of alice
  lab cut web1                               pull its network cable; --only in|out: lose one way
  lab down                                   nothing is left

people:  alice, bob (may ask for roles)   carol (approves)   dave (audits)   admin
passwords are NAME-lab.  The network is 10.77.0.0/24 in a namespace; nothing outside changes."""


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    # What follows the first -- belongs to the host; argparse would take it apart.
    border = words.index("--") if "--" in words else len(words)
    arguments = _parser().parse_args(words[:border], argparse.Namespace(rest=words[border + 1 :]))
    try:
        if os.geteuid() != 0:
            raise LabError("the lab boots hosts, which needs root; try: sudo tests/lab/lab …")
        return int(arguments.act(Places(checked(arguments.name)), arguments) or 0)
    except (LabError, OSError) as failure:
        print(f"lab: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; what was started is still there, end it with: lab down", file=sys.stderr)
        return 130


def _up(places: Places, arguments: argparse.Namespace) -> None:
    wanted = [host if ":" in host else f"{host}:{arguments.debian}" for host in arguments.hosts.split(",")]
    planned = network.plan(wanted)
    if not arguments.bare and product.SERVER not in {address.host for address in planned}:
        raise LabError("jit needs a host named server among --hosts; or boot plain hosts with --bare")
    packages = None
    if not arguments.bare:
        packages = arguments.debs or lifecycle.build_packages(address.release for address in planned)
    with lifecycle.exclusively(places):
        hosts = lifecycle.boot(places, wanted)
        try:
            if packages:
                product.install(hosts, packages)
                product.set_up(places, hosts)
        except LabError as failure:
            raise LabError(
                f"{failure}\nthe hosts are still up to look at (lab exec, lab logs); end them with: lab down"
            ) from None
    print(f"lab {places.name} is up: {' '.join(wanted)}", file=sys.stderr)


def _down(places: Places, _: argparse.Namespace) -> None:
    with lifecycle.exclusively(places):
        lifecycle.down(places)


def _exec(places: Places, arguments: argparse.Namespace) -> None:
    host = _host(places, arguments.host)
    command = host.command(arguments.rest or ["bash", "-l"], user=arguments.user, terminal=arguments.terminal)
    os.execvp(command[0], command)


def _put(places: Places, arguments: argparse.Namespace) -> None:
    _host(places, arguments.host).put(arguments.source, arguments.target)


def _cut(places: Places, arguments: argparse.Namespace) -> None:
    network.cut(places, _host(places, arguments.host).address, arguments.only)


def _heal(places: Places, arguments: argparse.Namespace) -> None:
    network.heal(places, _host(places, arguments.host).address)


def _reboot(places: Places, arguments: argparse.Namespace) -> None:
    _host(places, arguments.host).reboot(power_cut=arguments.power_cut)


def _status(places: Places, _: argparse.Namespace) -> None:
    for address in places.hosts().values():
        host = Host(places, address)
        cable = "cut" if network.is_cut(places, address) else "whole"
        state = "running" if host.running() else "down"
        print(f"{host.name:12} Debian {address.release}  {address.ip:12} {state:8} cable {cable}")


def _logs(places: Places, arguments: argparse.Namespace) -> None:
    host = _host(places, arguments.host)
    if host.running():
        words = ["journalctl", "--no-pager", *arguments.rest]
        command = host.command(words)
        os.execvp(command[0], command)
    print(host.console.read_text(errors="replace"))


def _otp(places: Places, arguments: argparse.Namespace) -> None:
    print(otp.next_code(places, arguments.person))


def _host(places: Places, name: str) -> Host:
    hosts = places.hosts()
    if name not in hosts:
        raise LabError(f"lab {places.name} has no host {name!r}; it has {', '.join(hosts)}")
    return Host(places, hosts[name])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab",
        description="Real Debian hosts, booted by systemd-nspawn, with jit installed from its packages.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", default=default_name(), help="which lab (default: this checkout's own, or $JIT_LAB)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", help="boot the hosts, install jit from its packages and set it up")
    up.add_argument("--hosts", default="server,web1,web2", help="names with commas between (default server,web1,web2)")
    up.add_argument(
        "--debian", type=int, choices=RELEASES, default=RELEASES[0],
        help=f"release of hosts that are named without one (default {RELEASES[0]})",
    )  # fmt: skip
    up.add_argument("--debs", type=Path, help="folder with the packages (default: build them)")
    up.add_argument("--bare", action="store_true", help="boot only; nothing of jit")
    up.set_defaults(act=_up)

    verbs.add_parser("down", help="end the lab, also one that was killed").set_defaults(act=_down)

    execute = verbs.add_parser(
        "exec",
        usage="lab exec [-u USER] [-t] HOST [-- COMMAND…]",
        help="run a command on a host; its exit status is the command's",
    )
    execute.add_argument("host")
    execute.add_argument("-u", "--user", default="root", help="as this person, logged in through PAM (default root)")
    execute.add_argument("-t", "--terminal", action="store_true", help="with a terminal")
    execute.set_defaults(act=_exec)

    put = verbs.add_parser("put", help="copy a file or folder to a host")
    put.add_argument("host")
    put.add_argument("source", type=Path)
    put.add_argument("target")
    put.set_defaults(act=_put)

    cut = verbs.add_parser("cut", help="pull a host's network cable")
    cut.add_argument("host")
    cut.add_argument("--only", choices=["in", "out"], default="both", help="lose silently what goes this way only")
    cut.set_defaults(act=_cut)

    heal = verbs.add_parser("heal", help="undo every cut of a host")
    heal.add_argument("host")
    heal.set_defaults(act=_heal)

    reboot = verbs.add_parser("reboot", help="shut a host down and boot it again, its disk kept")
    reboot.add_argument("host")
    reboot.add_argument("--power-cut", action="store_true", help="end it at once, as a pulled plug does")
    reboot.set_defaults(act=_reboot)

    verbs.add_parser("status", help="the hosts, and whether they run").set_defaults(act=_status)

    logs = verbs.add_parser(
        "logs",
        usage="lab logs HOST [-- ARGUMENTS OF JOURNALCTL…]",
        help="a host's journal, or its console if it is down",
    )
    logs.add_argument("host")
    logs.set_defaults(act=_logs)

    code = verbs.add_parser("otp", help="a person's next unused one-time code")
    code.add_argument("person")
    code.set_defaults(act=_otp)
    return parser
