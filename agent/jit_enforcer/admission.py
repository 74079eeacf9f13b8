"""Let one waiting sudo start, inside the scope of its grant, or not at all (DESIGN 3.6, REVIEW 4, 10, 11)."""

import os
import pwd
from dataclasses import asdict, dataclass, replace

from jit_enforcer import ceiling, closing, connection, gate, processes, sudoargs
from jit_enforcer.errors import NotAdmitted
from jit_enforcer.host import Host
from jit_enforcer.ledger import Entry
from jit_enforcer.recording import strictest

_ARGV_LIMIT = 16_384


@dataclass(frozen=True, slots=True)
class Admitted:
    """`grant` None: by a rule of the host's own, in no scope of ours.  The last four are as in `Recording`."""

    grant: str | None
    uid: int
    user: str
    pid: int
    argv: list[str]
    record: str
    required: bool
    subcommands: bool
    watch_s: int


def admit(host: Host, client: tuple[str, int], server: tuple[str, int], session: str) -> Admitted:
    """Admit the sudo at the client's end of this connection, as this session.  Raises `Denied`."""
    inode = connection.inode(client, server)
    sudo = processes.holder(host.paths, inode)
    try:
        with processes.held(sudo.pid) as pidfd:
            if processes.inspect(host.paths, sudo.pid, processes.sudo_binary()) != sudo:
                raise NotAdmitted("the sudo process changed while it was looked at")
            try:
                entry = _place(host, sudo, session)
                argv = _argv(host, sudo)
            except NotAdmitted as e:
                e.told = _who(host, sudo)
                raise
            if not processes.alive(pidfd):
                raise NotAdmitted("the sudo process is gone")
    except OSError as e:
        raise NotAdmitted("the sudo process is gone") from e
    recording = strictest(other.grant for other in host.live() if other.grant.uid == sudo.uid)
    grant, user = (entry.grant.grant, entry.grant.user) if entry else (None, pwd.getpwuid(sudo.uid).pw_name)
    if entry:
        _remember(host, entry)
    return Admitted(grant, sudo.uid, user, sudo.pid, argv, **asdict(recording))


def _remember(host: Host, entry: Entry) -> None:
    """That a single-use grant is used must be durable before the answer (S7).  Raises `Unsafe`.

    A new session need not be: forgotten in a crash, it means that fewer leftovers are killed, not more.
    """
    if entry.used and not host.ledger.entries[entry.grant.grant].used:
        host.ledger.save(entry)
    host.ledger.entries[entry.grant.grant] = entry


def _who(host: Host, sudo: processes.Sudo) -> dict[str, object]:
    """Who was refused and what they typed, for the audit log (SPEC 3.2)."""
    try:
        user = pwd.getpwuid(sudo.uid).pw_name
    except KeyError:
        return {}
    return {"uid": sudo.uid, "user": user, "argv": _argv(host, sudo)}


def _argv(host: Host, sudo: processes.Sudo) -> list[str]:
    """What they typed, in an answer; empty if it is too long for one, or gone."""
    try:
        words = processes.command_line(host.paths, sudo.pid)
    except NotAdmitted:
        return []
    return words if sum(len(word) + 1 for word in words) <= _ARGV_LIMIT else []


def _place(host: Host, sudo: processes.Sudo, session: str) -> Entry | None:
    """Move sudo into the scope of its grant; returns what the ledger shall know of the grant from now on.

    None: by a rule of the host's own.  Raises `NotAdmitted`.
    """
    live = [entry for entry in host.live() if entry.grant.uid == sudo.uid and host.left_us(entry) > 0]
    if not live:
        raise NotAdmitted(f"uid {sudo.uid} has no live grant on this host")
    ask = sudoargs.parse(processes.command_line(host.paths, sudo.pid))
    login = processes.audit(host.paths, sudo.pid, "sessionid")
    shut = {entry.grant.grant: why for entry in live if (why := _shut(host, entry, login))}
    folder = host.paths.proc / str(sudo.pid)
    chosen = gate.choose(ask, [entry.grant for entry in live if entry.grant.grant not in shut], process=folder)
    if chosen is None:
        if would := gate.choose(ask, [entry.grant for entry in live], process=folder):
            raise NotAdmitted(shut[would.grant])
        _check_standing(host, sudo, ask, live)
        return None
    if gate.is_doubtful(chosen, ask, [entry.grant for entry in live]):
        raise NotAdmitted("another live grant takes this program with other content: end one of them first")
    entry = host.ledger.entries[chosen.grant]
    host.ensure_scope(entry)
    host.scopes.admit(entry.scope, session, sudo.pid)
    return replace(entry, used=entry.grant.once, sessions=tuple(sorted({*entry.sessions, login})))


def _shut(host: Host, entry: Entry, login: int) -> str:
    """Why this grant covers nothing now; empty if it may."""
    if entry.used:
        return "this grant was for one command, and that has been run"
    if entry.grant.session not in (0, login):
        return "this grant is for another login session"
    if host.left_us(entry) <= closing.CLOSING_US:
        return "this grant is about to end"
    return ""


def _check_standing(host: Host, sudo: processes.Sudo, ask: sudoargs.Ask, live: list[Entry]) -> None:
    """No grant covers it; whether the host's own rules may let it run is for the ceiling to say.  Raises `NotAdmitted`.

    sudo does not tell which rule it went by: where it could be one of ours, outside a scope it would outlive its grant.
    """
    if ceiling.load(host.paths).standing_sudo != "allow":
        raise NotAdmitted("no live grant covers this command, and this host has standing_sudo = refuse")
    if any(gate.could_match(ask, entry.grant) for entry in live):
        raise NotAdmitted("a live grant allows this command, but not in this way")
    if any(entry.grant.environment for entry in live):
        raise NotAdmitted("a live grant passes variables of yours, which this host's own rules may not: end it first")
    if any(_read_rule_of(host, sudo, entry) for entry in host.ledger.entries.values()):
        raise NotAdmitted("a grant ended while this sudo started: run it again")
    try:
        pwd.getpwuid(sudo.uid)
    except KeyError:
        raise NotAdmitted(f"uid {sudo.uid} has no name on this host") from None
    for entry in live:
        running = [known for known in entry.standing if os.path.exists(host.paths.proc / str(known[0]))]
        host.ledger.save(replace(entry, standing=(*running, (sudo.pid, sudo.start))))


def _read_rule_of(host: Host, sudo: processes.Sudo, entry: Entry) -> bool:
    """True if the grant is over now, and was not when sudo started."""
    over = entry.state != "live" and entry.grant.boot == host.boot and entry.grant.uid == sudo.uid
    return over and sudo.start <= processes.ticks(entry.due)
