"""`jit status`: what I may do now and until when, and what I have asked for."""

from __future__ import annotations

from time import sleep

from jit_cli import agent_client
from jit_cli.errors import Failure, Interrupted, usage
from jit_cli.options import OUTPUT, Option, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import out, out_json, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jit_cli.answers import Request, Status
    from jit_cli.grants import Live

VERB = Verb(
    "status",
    usage="jit status [GRANT|REQUEST] [OPTIONS]",
    summary="Show my grants in force on this host, and my requests under way.",
    examples=[
        ("jit status", "now"),
        ("jit status -w req-7f3a", "wait until it is in force; any start of an id that names one will do"),
        ("jit status --all", "also what is over"),
        ("PS1='$(jit status --prompt)'\"$PS1\"", "the role in the shell's prompt while elevated"),
    ],
    options=(
        Option("a", "all", "", "also requests that are over"),
        Option("w", "wait", "", "wait for the request under way"),
        Option("", "prompt", "", "one short line for a shell prompt; nothing, and status 1, without a grant"),
        OUTPUT,
    ),
    notes="Exit status: 0; with --prompt 1 without a grant; with -w 5 denied, 130 after Ctrl-C; 6 no such id.",
)
_PAUSES_S = (0.2, 0.4, 0.8, 1.6, 3.2)
# What may stand in a prompt, which shells expand once more.
_PROMPT_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def run(parsed: Parsed) -> int:
    """Show, or wait; return the exit status."""
    words = no_more_words(VERB, parsed, most=1)
    if parsed.given("prompt"):
        return _prompt()
    wanted_format = output_format(parsed)
    wanted = words[0] if words else ""
    untrusted, status = _ask(wanted, everything=parsed.given("all") or bool(wanted), patient=parsed.given("wait"))
    lives, requests = status.live, status.requests
    if wanted:
        lives, requests = _named(status, wanted)
    if parsed.given("wait"):
        return _wait(lives, requests, wanted)
    if wanted_format == "name":
        for name in [*(live.grant for live in lives), *(request.request_id for request in requests)]:
            out(name)
    elif wanted_format == "json":
        shown = {live.grant for live in lives} | {request.request_id for request in requests}
        untrusted["live"] = [live for live in untrusted["live"] if live["grant"] in shown]
        untrusted["requests"] = [request for request in untrusted["requests"] if request["request_id"] in shown]
        out_json({key: value for key, value in untrusted.items() if key != "ok"})
    else:
        _show(status, lives, requests)
    return 0


def _ask(wanted: str, *, everything: bool, patient: bool) -> tuple[dict[str, Any], Status]:
    """The agent's answer; who is patient waits for the server's part, unless a grant in force is what is wanted."""
    from jit_cli.answers import Status
    from jit_cli.view import named

    pauses = iter(_PAUSES_S)
    while True:
        untrusted = agent_client.ask("status", all=everything)
        status = Status.read(untrusted)
        in_force = any(named(live.grant, wanted) for live in status.live)
        if status.connected or not patient or in_force:
            return untrusted, status
        pause = next(pauses, _PAUSES_S[-1])
        if pause == _PAUSES_S[0]:
            say("the server cannot be reached; trying again, Ctrl-C leaves")
        try:
            sleep(pause)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; nothing was changed") from None


def _show(status: Status, lives: tuple[Live, ...], requests: tuple[Request, ...]) -> None:
    from jit_cli import duration
    from jit_cli.view import live_block, request_block

    here = {live.grant for live in lives}
    # A grant in force here is shown once, as the enforcer sees it, with what shall make it last longer.
    others = [
        request
        for request in requests
        if request.extends not in here and (request.grant is None or request.grant.grant_id not in here)
    ]
    blocks = 0
    for live in lives:
        if blocks:
            out()
        live_block(live, status)
        blocks += 1
    for request in others:
        if blocks:
            out()
        request_block(request)
        blocks += 1
    if status.enforcer_error:
        say(
            f"the enforcer cannot be reached ({status.enforcer_error}): grants in force are not known; run `jit doctor`"
        )
    elif not blocks:
        known = status.connected and not status.server_error
        out(f"No grant is in force on {status.host}{', and nothing is asked for' if known else ''}.")
    if not status.connected:
        why = f" ({status.server_error})" if status.server_error else ""
        since = f" since {duration.since(status.server_since)}" if status.server_since else ""
        say(f"the server cannot be reached{since}{why}{'' if status.requests else ': requests are not shown'}")
    elif status.server_error:
        say(f"requests are not shown: {status.server_error}")


def _named(status: Status, wanted: str) -> tuple[tuple[Live, ...], tuple[Request, ...]]:
    """The one grant or request an id names, or `Failure`."""
    from jit_cli.view import named

    lives = tuple(live for live in status.live if named(live.grant, wanted))
    requests = tuple(
        request
        for request in status.requests
        if named(request.request_id, wanted)
        or named(request.extends, wanted)
        or (request.grant is not None and named(request.grant.grant_id, wanted))
    )
    # A grant, its own request and what extends it are one thing.
    things = {live.grant for live in lives} | {_thing(request) for request in requests}
    if not things:
        if not status.connected:
            why = (
                f"no grant in force here is called {wanted!r}, and the server, which knows requests, cannot be reached"
            )
            raise Failure("unavailable", why, f"wait for it with: jit status -w {wanted}")
        raise Failure("not_found", f"nothing of yours is called {wanted!r}", "`jit status --all` lists all")
    if len(things) > 1:
        names = [live.grant for live in lives] + [request.request_id for request in requests]
        raise usage(f"{wanted!r} names several: {', '.join(names)}", "type more of the id")
    if not lives and requests and requests[0].grant is not None and not requests[0].extends:
        grant = requests[0].grant.grant_id
        lives = tuple(live for live in status.live if live.grant == grant)
    return lives, requests


def _thing(request: Request) -> str:
    """What an id of this request names: its grant, or itself while there is none."""
    if request.extends:
        return request.extends
    return request.grant.grant_id if request.grant is not None else request.request_id


def _wait(lives: tuple[Live, ...], requests: tuple[Request, ...], wanted: str) -> int:
    from jit_cli import wait

    # Those for several hosts that were asked for as one are one.
    under_way = list({one.batch_id or one.request_id: one for one in requests if one.under_way}.values())
    if len(under_way) > 1:
        raise usage(f"several requests are under way: {', '.join(one.request_id for one in under_way)}", "name one")
    if under_way:
        request = under_way[0]
        wait.until_in_force(request, f"jit status -w {request.request_id}", patient=True)
    elif lives or (wanted and requests[0].extends and requests[0].state == "approved"):
        say("nothing to wait for: it is in force")
    elif wanted:
        raise wait.refusal(requests[0])
    else:
        raise Failure("not_found", "no request of yours is under way", "`jit status --all` shows what is over")
    return 0


def _prompt() -> int:
    """Never disturb a prompt: no grant, no agent, no sense, all are silence and status 1."""
    from jit_cli.duration import left, short

    try:
        live = agent_client.ask("status", all=False).get("live")
        if not isinstance(live, list) or not live:
            return 1
        first = max(live, key=lambda grant: grant["until"])
        role = "".join(character if character in _PROMPT_SAFE else "?" for character in first["role"])
        rest = f"+{len(live) - 1}" if len(live) > 1 else ""
        out(f"[{role}{rest} {short(left(first['until']))}]")
    except (Failure, LookupError, TypeError, AttributeError):
        return 1
    return 0
