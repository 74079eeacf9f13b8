"""`jit drop`: give back grants before their time.  Needs no server, and nothing blocks it (S6)."""

from __future__ import annotations

from dataclasses import asdict

from jit_cli import agent_client, chosen
from jit_cli.errors import Failure, usage
from jit_cli.fields import Fields
from jit_cli.grants import Proof
from jit_cli.options import OUTPUT, Option, Parsed, Verb, no_more_words, output_format
from jit_cli.terminal import Painted, out, out_json, say
from jit_cli.words import plural

VERB = Verb(
    "drop",
    usage="jit drop [GRANT|REQUEST|--all] [-o FORMAT]",
    summary="Give back a grant now: its rule goes, and what still runs under it ends. The shell you type in lives on.",
    examples=[
        ("jit drop", "the only grant there is"),
        ("jit drop gnt-7f3a", "one of several; any start of an id that names one will do"),
        ("jit drop --all", "all of them"),
    ],
    options=(Option("a", "all", "", "all my grants on this host"), OUTPUT),
    notes="Exit status: 0 given back or nothing to give back, 2 several and none named, 6 no such grant.",
)


def run(parsed: Parsed) -> int:
    """End one grant or all; return 0 when the enforcer proved that nothing is left."""
    words = no_more_words(VERB, parsed, most=1)
    wanted_format = output_format(parsed)
    if parsed.given("all"):
        if words:
            raise usage("--all and an id exclude each other")
        return _drop("", {}, wanted_format)
    status = chosen.status("given back")
    live = chosen.grant(status, words[0] if words else "", several="name one, or say --all")
    if live is None:
        return _show([], {}, wanted_format)
    return _drop(live.grant, {live.grant: live.role}, wanted_format)


def _drop(grant: str, roles: dict[str, str], wanted_format: str) -> int:
    untrusted = agent_client.ask("drop", grant=grant)
    proofs = [Proof.read(fields) for fields in Fields(untrusted).objects("dropped")]
    for proof in proofs:
        if not (proof.scope_empty and proof.rule_removed):
            raise Failure(
                "unavailable", f"{proof.grant} is not fully gone yet", "run `jit drop` again, or `jit doctor`"
            )
    return _show(proofs, roles, wanted_format)


def _show(proofs: list[Proof], roles: dict[str, str], wanted_format: str) -> int:
    if wanted_format == "json":
        out_json({"dropped": [asdict(proof) for proof in proofs]})
    elif wanted_format == "name":
        for proof in proofs:
            out(proof.grant)
    elif not proofs:
        say("nothing to give back: no grant is in force here")
    else:
        for proof in proofs:
            _tell(proof, roles.get(proof.grant, ""))
    return 0


def _tell(proof: Proof, role: str) -> None:
    ended = f", {plural(proof.killed, 'process')} ended" if proof.killed else ""
    out(Painted("✔", "green"), f" {proof.grant}{f' ({role})' if role else ''} is given back{ended}")
    for one in proof.leftovers:
        fate = "ended" if one.killed else "still running"
        say(f"  it had left the grant and is {fate}: process {one.pid}, {one.command}")
