"""Let one waiting sudo start, inside the scope of its grant, or not at all (DESIGN 3.6, REVIEW 4, 10, 11)."""

import os
import pwd
from dataclasses import dataclass, replace

from jit_enforcer import ceiling, gate, processes, sudoargs
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry


@dataclass(frozen=True, slots=True)
class Admitted:
    """`grant` None: by a rule of the host's own, in no scope of ours."""

    grant: str | None
    uid: int
    user: str
    pid: int


def admit(host: Host, client: tuple[str, int], server: tuple[str, int]) -> Admitted:
    """Admit the sudo at the client's end of this connection.  Raises `Denied`."""
    inode = processes.socket_inode(host.paths, client, server)
    sudo = processes.holder(host.paths, inode)
    try:
        with processes.held(sudo.pid) as pidfd:
            if processes.inspect(host.paths, sudo.pid, processes.sudo_binary()) != sudo:
                raise NotAdmitted("the sudo process changed while it was looked at")
            admitted = _place(host, sudo)
            if not processes.alive(pidfd):
                raise NotAdmitted("the sudo process is gone")
    except OSError as e:
        raise NotAdmitted("the sudo process is gone") from e
    return admitted


def _place(host: Host, sudo: processes.Sudo) -> Admitted:
    live = [entry for entry in host.live() if entry.grant.uid == sudo.uid and host.left_us(entry) > 0]
    if not live:
        raise NotAdmitted(f"uid {sudo.uid} has no live grant on this host")
    entry = _covering(host, sudo, live)
    if entry is None:
        return _standing(host, sudo, live)
    host.ensure_scope(entry)
    host.scopes.admit(entry.scope, sudo.pid)
    return Admitted(entry.grant.grant, sudo.uid, entry.grant.user, sudo.pid)


def _covering(host: Host, sudo: processes.Sudo, live: list[Entry]) -> Entry | None:
    try:
        ask = sudoargs.parse(processes.command_line(host.paths, sudo.pid))
        chosen = gate.choose(ask, [entry.grant for entry in live], process=host.paths.proc / str(sudo.pid))
    except NotAdmitted:
        if ceiling.load(host.paths).standing_sudo == "allow":
            return None
        raise
    return next((entry for entry in live if entry.grant is chosen), None)


def _standing(host: Host, sudo: processes.Sudo, live: list[Entry]) -> Admitted:
    """No grant covers it; whether the host's own rules may let it run is for the ceiling to say."""
    if ceiling.load(host.paths).standing_sudo != "allow":
        raise NotAdmitted("no live grant covers this command, and this host has standing_sudo = refuse")
    for entry in live:
        running = [known for known in entry.standing if os.path.exists(host.paths.proc / str(known[0]))]
        host.ledger.save(replace(entry, standing=(*running, (sudo.pid, sudo.start))))
    try:
        user = pwd.getpwuid(sudo.uid).pw_name
    except KeyError:
        raise NotAdmitted(f"uid {sudo.uid} has no name on this host") from None
    return Admitted(None, sudo.uid, user, sudo.pid)
