"""`jit drop`: give back grants before their time.  Needs no server, and nothing blocks it (S6)."""

from __future__ import annotations

from jit_cli import agent_client
from jit_cli.answers import Live, Proof, Status
from jit_cli.errors import Failure, usage
from jit_cli.fields import Fields
from jit_cli.options import Option, Parsed, Verb, no_more_words
from jit_cli.terminal import Painted, out, say
from jit_cli.view import named
from jit_cli.words import plural

VERB = Verb(
    "drop",
    usage="jit drop [GRANT|REQUEST|--all]",
    summary="Give back a grant now: its rule goes, and what still runs under it ends. The shell you type in lives on.",
    examples=[
        ("jit drop", "the only grant there is"),
        ("jit drop gnt-7f3a", "one of several; any start of an id that names one will do"),
        ("jit drop --all", "all of them"),
    ],
    options=(Option("a", "all", "", "all my grants on this host"),),
    notes="Exit status: 0 given back or nothing to give back, 2 several and none named, 6 no such grant.",
)


def run(parsed: Parsed) -> int:
    """End one grant or all; return 0 when the enforcer proved that nothing is left."""
    words = no_more_words(VERB, parsed, most=1)
    if parsed.given("all"):
        if words:
            raise usage("--all and an id exclude each other")
        return _drop("", {})
    status = Status.read(agent_client.ask("status", all=False))
    if status.enforcer_error:
        raise Failure(
            "unavailable",
            f"the enforcer cannot be reached ({status.enforcer_error}), so nothing can be given back now",
            "every grant still ends at its time; run `jit doctor`",
        )
    roles = {live.grant: live.role for live in status.live}
    if words:
        return _drop(_found(status, words[0]), roles)
    if len(roles) > 1:
        raise usage(f"there are several grants: {', '.join(roles)}", "name one, or say --all")
    if not roles:
        say("nothing to give back: no grant is in force here")
        return 0
    return _drop(next(iter(roles)), roles)


def _found(status: Status, wanted: str) -> str:
    """The grant that an id of it or of its request names."""
    found: list[Live] = []
    for live in status.live:
        request = status.request_of(live)
        if named(live.grant, wanted) or (request is not None and named(request.request_id, wanted)):
            found.append(live)
    if not found:
        raise Failure("not_found", f"no grant in force here is called {wanted!r}", "`jit status` lists them")
    if len(found) > 1:
        raise usage(f"{wanted!r} names several: {', '.join(live.grant for live in found)}", "type more of the id")
    return found[0].grant


def _drop(grant: str, roles: dict[str, str]) -> int:
    proofs = [Proof.read(fields) for fields in Fields(agent_client.ask("drop", grant=grant)).objects("dropped")]
    if not proofs:
        say("nothing to give back: no grant is in force here")
    for proof in proofs:
        if not (proof.scope_empty and proof.rule_removed):
            raise Failure(
                "unavailable", f"{proof.grant} is not fully gone yet", "run `jit drop` again, or `jit doctor`"
            )
        role = roles.get(proof.grant, "")
        ended = f", {plural(proof.killed, 'process')} ended" if proof.killed else ""
        out(Painted("✔", "green"), f" {proof.grant}{f' ({role})' if role else ''} is given back{ended}")
    return 0
