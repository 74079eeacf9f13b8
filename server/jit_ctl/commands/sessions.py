"""sessions: what sudo ran, its recording, and a hand on it while it runs (SPEC 8)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from jit_ctl import describe_sessions as describe
from jit_ctl.batch import each
from jit_ctl.completing import grant_ids, host_names, session_ids, user_names
from jit_ctl.errors import CtlError
from jit_ctl.options import LISTS, Command, Duration, confirm, output_options, reference, server_options, yes_option
from jit_ctl.output import Column, Format, Output
from jit_ctl.session_model import RecordingState, Session, SessionDetails, SessionFilter, SessionState, Verdict

if TYPE_CHECKING:
    from jit_ctl.client import Server

_COLUMNS: Sequence[Column[Session]] = (
    Column("ID", lambda s: s.session_id, whole=True),
    Column("STATE", describe.outcome, style=describe.style),
    Column("WHO", lambda s: s.user),
    Column("HOST", lambda s: s.host),
    Column("AS", lambda s: s.run_as_user),
    Column("COMMAND", describe.command),
    Column("ROLE", lambda s: s.role),
    Column("STARTED", lambda s: s.started_at),
    Column("TOOK", describe.took),
    Column("RECORDING", describe.recording),
)


def name(session: Session) -> str:
    return session.session_id


def _since_and_until(command: Command) -> Command:
    command = click.option("--until", default="", metavar="TIME", help="Started before then.")(command)
    return click.option(
        "--since", default="", metavar="TIME", help="Started from then on: 2h (ago), a date, or RFC 3339."
    )(command)


def _session_argument(command: Command) -> Command:
    return click.argument("session_id", metavar="ID", callback=reference, shell_complete=session_ids)(command)


@click.group()
def sessions() -> None:
    """See, replay and stop what runs under sudo."""


@sessions.command()
@click.option("--host", default="", metavar="NAME", shell_complete=host_names, help="On this host.")
@click.option("--user", default="", metavar="NAME", shell_complete=user_names, help="Of this person.")
@click.option("--role", default="", help="Of this role.")
@click.option("--grant", "grant_id", default="", metavar="ID", shell_complete=grant_ids, help="Of this grant.")
@click.option("--text", default="", help="With this in the command line.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in SessionState]),
    help="Only those in this state; may be repeated.",
)
@_since_and_until
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many.")
@output_options(*LISTS)
@server_options
def ls(
    *, out: Output, server: Server, states: tuple[str, ...], since: str, until: str, limit: int, **chosen: str
) -> None:
    """List sessions, newest first."""
    wanted = SessionFilter(
        states=tuple(map(SessionState, states)), since=out.parse_moment(since), until=out.parse_moment(until), **chosen
    )
    found, truncated = server.sessions(wanted, limit)
    out.items(found, _COLUMNS, name, "no such sessions")
    if truncated:
        out.talk(f"only the newest {len(found)} are shown; more with --limit, or fewer with a filter")


@sessions.command()
@_session_argument
@output_options(*LISTS)
@server_options
def show(*, out: Output, server: Server, session_id: str) -> None:
    """Show one session: all that is known, with the programs its command started."""
    out.item(
        server.session(session_id),
        lambda details: name(details.session),
        lambda details: describe.session_facts(details, out.when),
    )


def _control(act: str) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in (
            server_options,
            output_options(*LISTS),
            click.option(
                "-m", "--reason", required=True, metavar="TEXT", callback=reference,
                help="Why; kept in the audit log, and shown to the person.",
            ),
            click.argument(
                "session_refs", metavar="ID…", nargs=-1, required=True, callback=reference, shell_complete=session_ids
            ),
        ):  # fmt: skip
            command = option(command)
        return sessions.command(act)(command)

    return decorate


def _order(out: Output, server: Server, act: str, refs: Sequence[str], reason: str) -> None:
    def told(session: Session) -> list[str]:
        return [f"{session.session_id}: {act} ordered: {session.user} on {session.host} ({describe.outcome(session)})"]

    each(refs, lambda ref: server.control_session(ref, act, reason), out, name, told)


@_control("freeze")
def freeze(*, out: Output, server: Server, session_refs: tuple[str, ...], reason: str) -> None:
    """Stop every process of sessions at once; they can go on later.

    The person sees who did it, and why.
    """
    _order(out, server, "freeze", session_refs, reason)


@_control("thaw")
def thaw(*, out: Output, server: Server, session_refs: tuple[str, ...], reason: str) -> None:
    """Let frozen sessions go on."""
    _order(out, server, "thaw", session_refs, reason)


@_control("kill")
@yes_option
def kill(*, out: Output, server: Server, session_refs: tuple[str, ...], reason: str, yes: bool) -> None:
    """Kill every process of sessions.  Their grants stay; 'jitctl grants revoke' ends those."""
    confirm(f"Kill every process of {', '.join(session_refs)}?", yes=yes)
    _order(out, server, "kill", session_refs, reason)


_VERDICTS: Sequence[Column[Verdict]] = (
    Column("ID", lambda v: v.session_id, whole=True),
    Column("VERDICT", lambda v: v.verdict, style=lambda v: "bold red" if v.verdict == "damaged" else ""),
    Column("CHUNKS", lambda v: str(v.chunks)),
    Column("STORED", lambda v: describe.size(v.stored_bytes)),
    Column("WHAT", lambda v: v.detail),
)


@sessions.command()
@click.argument("session_id", metavar="[ID]", required=False, callback=reference, shell_complete=session_ids)
@_since_and_until
@output_options(*LISTS)
@server_options
@click.pass_context
def verify(
    context: click.Context, /, *, out: Output, server: Server, session_id: str | None, since: str, until: str
) -> None:
    """Compare stored recordings with what the audit log says was stored.

    Without an ID all of them.  Prints those that are damaged, and ends with
    status 1 if there are any.
    """
    if session_id and (since or until):
        raise click.UsageError("an ID and --since or --until exclude each other")
    verdicts = list(server.verify_recordings(session_id or "", out.parse_moment(since), out.parse_moment(until)))
    damaged = [one for one in verdicts if one.verdict == "damaged"]
    shown = damaged if out.for_people and not session_id else verdicts
    if shown or not out.for_people:
        out.items(shown, _VERDICTS, lambda one: one.session_id, "")
    out.talk(_summary(verdicts))
    if damaged:
        context.exit(1)


def _summary(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "no recordings"
    words = [one.verdict for one in verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    return f"{'1 recording' if len(words) == 1 else f'{len(words)} recordings'}: {counts}"


def _recorded(server: Server, ref: str) -> SessionDetails:
    """The session, if there is anything to replay of it; raise `CtlError` if not."""
    details = server.session(ref)
    session = details.session
    match session.recording:
        case RecordingState.NONE:
            raise CtlError("not_found", f"nothing was recorded of {session.session_id}: {_why_nothing(session)}")
        case RecordingState.DELETED:
            raise CtlError(
                "not_found", f"the recording of {session.session_id} is deleted: its time was up",
                "'jitctl audit ls --kind recording.deleted' has the proof",
            )  # fmt: skip
        case _:
            return details


def _why_nothing(session: Session) -> str:
    match session.state:
        case SessionState.WAITING:
            return "it starts once somebody watches it"
        case SessionState.REJECTED:
            return "sudo was refused"
        case _ if session.record in {"none", "events"} and session.started_at:
            return f"its role records {session.record}"
        case _:
            return "nothing of it came from its host"


@sessions.command()
@_session_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["asciicast-v2", "asciicast-v3", "text", "raw"]),
    default="asciicast-v2",
    show_default=True,
    help="Form of the file.",
)
@click.option("-O", "--file", "file", default="", metavar="FILE", help="Write here; else to standard output.")
@output_options(Format.TABLE, Format.JSON)
@server_options
def export(*, out: Output, server: Server, session_id: str, form: str, file: str) -> None:
    """Write a recording to a file.

    asciicast files hold what 'replay' would show, without what a recording
    could do to a terminal; text holds what can be read; raw is every byte the
    command wrote, and nothing to be shown on a terminal.
    """
    from jit_ctl.recording.export import Form, all_events, exported, lines, write_file, write_out

    if form == Form.RAW and not file and sys.stdout.isatty():
        raise CtlError("usage", "raw output could do anything to this terminal", "write it to a file with -O FILE")
    details = _recorded(server, session_id)
    session = details.session
    parts = exported(Form(form), details, all_events(session.session_id, server.recording(session.session_id)))
    if file:
        write_file(file, parts)
        out.talk(f"{session.session_id}: written to {file}")
    elif sys.stdout.isatty():
        for line in lines(parts):
            out.line(line)
    else:
        write_out(parts)
    if session.recording is not RecordingState.WHOLE:
        out.talk(f"{session.session_id}: the recording is {describe.recording(session)}")


@sessions.command()
@_session_argument
@click.option(
    "--speed", type=click.FloatRange(1 / 16, 64), default=1.0, show_default=True, metavar="N", help="N times as fast."
)
@click.option(
    "--idle-limit", type=click.FloatRange(0), default=None, metavar="SECONDS", help="Make longer pauses so short."
)
@click.option("--from", "start_s", type=Duration(), default=0, metavar="TIME", help="Begin there: 90s, 1m30s.")
@output_options(Format.TABLE)
@server_options
def replay(
    *, out: Output, server: Server, session_id: str, speed: float, idle_limit: float | None, start_s: int
) -> None:
    """Replay a recording in this terminal.

    Keys: space pauses, . steps, left and right go 5 seconds, 0 to 9 to so many
    tenths, + and - change the speed, / finds text and n the next, q leaves.
    """
    from jit_ctl.recording.theatre import replay_session

    replay_session(
        server, lambda: _recorded(server, session_id).session, speed=speed, idle_limit_s=idle_limit, start_s=start_s
    )


@sessions.command()
@_session_argument
@click.option("--from-start", is_flag=True, help="Show first what has been so far, as it was.")
@output_options(Format.TABLE)
@server_options
def watch(*, out: Output, server: Server, session_id: str, from_start: bool) -> None:
    """Watch a session live, in this terminal; who does it is its watcher.

    Keys: f freezes it, t thaws it, k kills it after asking why, l goes to what
    is now; those of 'replay' go back in it; q leaves.
    """
    from jit_ctl.recording.theatre import watch_session

    last = watch_session(server, lambda: server.session(session_id).session, from_start=from_start)
    out.talk(f"{last.session_id}: {describe.outcome(last)}")
