"""One life of a lab: what may happen in it, and what must hold all the while (S1, S2, S4, S6, S10).

Each step does one thing to the real hosts and tells the model of it.  A step says what came of it, or None if there was
nothing to do.  Whatever does not hold is a `Violation`.
"""

from __future__ import annotations

from jit_testing.random_lab import HOSTS, PEOPLE, ROLES, RandomLab, now, shell_mark
from jit_testing.remote import Answer
from jit_testing.rights import LATE, RECONNECTING, SECOND, HostState, Right, Rights
from lab.network import Direction

# Codes of answers after which nobody can say if it was done.
_UNKNOWN = {"unavailable", "try_again", "failed"}


class Violation(BaseException):
    """Not an `Exception`: Hypothesis would play the steps again, and real hosts never do the same thing twice."""


class RandomLife:
    """From nobody having anything to nobody having anything; `number` tells lives in one lab apart."""

    def __init__(self, world: RandomLab, number: int) -> None:
        self.world = world
        self.number = number
        self.rights = Rights({host: HostState() for host in HOSTS})
        self.pending: list[tuple[str, str, str, int]] = []
        self.undelivered: list[tuple[str, str, str, int]] = []
        self.locks: dict[str, tuple[str, str]] = {}
        self.disabled: set[str] = set()
        self.ineligible: set[str] = set()
        self.marks: dict[str, str] = {}
        self.world.history.clear()
        self.world.note(f"--- life {number}")

    # Rights begin.

    def ask(self, person: str, host: str, role: str, lasts: int) -> str:
        """For a role that nobody has to approve; one that allows everything is used at once, to its end."""
        answer = self.world.ask(host, person, role, lasts)
        if self.is_unknown(answer):
            self.begin_unknown(person, host, role, lasts)
        elif answer["ok"]:
            self.must_not_be_barred(person, host, role)
            self.begin(person, host, role, lasts, answer["request"]["grant"]["grant_id"])
            if ROLES[role] and not self.is_broken(host):
                self.use(person, host, answer["request"]["request_id"])
        return told(answer)

    def ask_carol(self, person: str, host: str, lasts: int) -> str:
        answer = self.world.ask(host, person, "drill-admin", lasts)
        if answer["ok"]:
            self.must_not_be_barred(person, host, "drill-admin")
            self.pending.append((answer["request"]["request_id"], person, host, lasts))
        return told(answer)

    def approve(self, which: int) -> str | None:
        if not self.pending:
            return None
        request, person, host, lasts = self.pending.pop(which % len(self.pending))
        answer = self.world.call(self.world.carol, "approve", request, "")
        if "lost" in answer:
            self.begin(person, host, "drill-admin", lasts, "")
        elif "said" in answer:
            self.must_not_be_barred(person, host, "drill-admin")
            self.begin(person, host, "drill-admin", lasts, answer["said"]["grant"]["grant_id"])
        return f"{person} {host} {request} {told(answer)}"

    def extend(self, which: int, lasts: int) -> str | None:
        if not (right := self.recent(which)):
            return None
        answer = self.world.jit(right.host, right.person, op="extend", grant=right.grant, duration_s=lasts)
        if self.is_unknown(answer):
            self.begin_unknown(right.person, right.host, right.role, lasts)
        if self.is_unknown(answer) or (answer["ok"] and answer["request"]["state"] == "approved"):
            right.ends = max(right.ends, now()) + lasts * SECOND
        return f"{right.person} {right.host} {right.grant} {told(answer)}"

    # Rights end.

    def revoke(self, which: int) -> str | None:
        if not (right := self.recent(which)):
            return None
        answer = self.world.call(self.world.admin, "revoke", right.grant, "random")
        if "said" in answer:
            self.rights.revoke(now(), grant=right.grant)
        return f"{right.person} {right.host} {right.grant} {told(answer)}"

    def drop(self, person: str, host: str) -> str:
        answer = self.world.jit(host, person, op="drop", grant="")
        if answer["ok"]:
            self.rights.drop(now(), [proof["grant"] for proof in answer["dropped"]])
        elif not self.is_broken(host):
            raise Violation(f"{person} cannot drop on {host}: {told(answer)} (S6)")
        return told(answer)

    def disable(self, person: str) -> str | None:
        if person in self.disabled:
            return None
        self.world.must(self.world.admin, "disable_user", person)
        self.disabled.add(person)
        self.rights.revoke(now(), person=person)
        return "done"

    def enable(self) -> str | None:
        if not self.disabled:
            return None
        for person in sorted(self.disabled):
            self.world.must(self.world.admin, "enable_user", person)
            self.disabled.discard(person)
        return "done"

    def narrow(self, person: str) -> str:
        self.world.apply_policy(f"without-{person}")
        self.ineligible = {person}
        for role in ("at-once", "at-once-id"):
            self.rights.revoke(now(), person=person, role=role)
        return "done"

    def widen(self) -> str | None:
        if not self.ineligible:
            return None
        self.world.apply_policy("all")
        self.ineligible = set()
        return "done"

    def lock(self, target: tuple[str, str]) -> str | None:
        if target in self.locks.values():
            return None
        made = self.world.must(self.world.admin, "create_lock", *target, "at random", 0)["said"]
        self.locks[made["lock_id"]] = target
        kind, name = target
        self.rights.revoke(now(), **{"person" if kind == "user" else kind: name})
        return "done"

    def unlock(self) -> str | None:
        if not self.locks:
            return None
        for lock in list(self.locks):
            self.world.must(self.world.admin, "lift_lock", lock, "at random")
            del self.locks[lock]
        return "done"

    # Things break.

    def shake(self, host: str, service: str, kill: bool) -> str | None:
        if service == "jit-enforcer" and self.rights.hosts[host].enforcer_dead:
            return None
        self.world.shake(host, service, kill=kill)
        self.rights.fault(host, now())
        return "done"

    def shake_server(self, kill: bool) -> str:
        self.world.shake("server", "jit-server", kill=kill)
        for host in HOSTS:
            self.rights.fault(host, now())
        return "done"

    def cut(self, host: str, direction: Direction) -> str | None:
        if self.rights.hosts[host].cut:
            return None
        self.rights.hosts[host].cut = True
        self.world.cut(host, direction)
        return "done"

    def heal(self, host: str) -> str | None:
        if not self.rights.hosts[host].cut:
            return None
        self.world.heal(host)
        self.rights.hosts[host].cut = False
        self.rights.fault(host, now())
        for person, where, role, lasts in self.undelivered:
            if where == host:
                self.begin(person, host, role, lasts + RECONNECTING // SECOND, "")
        self.undelivered = [lost for lost in self.undelivered if lost[1] != host]
        return "done"

    def enforcer_dies(self, host: str) -> str | None:
        """For good: until it is started again PID 1 and sudo are alone."""
        if self.rights.hosts[host].enforcer_dead:
            return None
        self.world.kill_enforcer(host)
        self.rights.hosts[host].enforcer_dead = True
        return "done"

    def enforcer_returns(self, host: str) -> str | None:
        if not self.rights.hosts[host].enforcer_dead:
            return None
        self.world.start_enforcer(host)
        self.rights.hosts[host].enforcer_dead = False
        self.rights.fault(host, now())
        return "done"

    # Time passes.

    def watch(self, seconds: int) -> str:
        """Look again and again, for so long."""
        until = now() + seconds * SECOND
        while now() < until:
            self.only_what_may_be()
        return "done"

    def quiet(self) -> str:
        """Everything is made whole; then server and hosts come to agree about what is live."""
        for host in HOSTS:
            self.heal(host)
            self.enforcer_returns(host)
        if self.disabled == set(PEOPLE):
            self.enable()  # an agent tells nothing to who is disabled
        self.world.until("server and hosts agree", self.agree, describe=self.world.told)
        self.rights.settled()
        return "agreed"

    def agree(self) -> bool:
        """Every enforcer is back, and holds what the server says."""
        if not all(self.world.enforces(host) for host in HOSTS):
            return False
        return all(own == by_the_server for own, by_the_server in self.world.views().values())

    def is_empty(self) -> bool:
        return not any(own or by_the_server for own, by_the_server in self.world.views().values())

    # What must hold.

    def only_what_may_be(self) -> None:
        before = now()
        for host, tried in self.world.try_sudo().items():
            for (person, everything), ran in tried.items():
                if ran and not self.rights.may_run(person, host, before, everything=everything):
                    what = "everything" if everything else "id"
                    raise Violation(f"{person} may run {what} on {host} (S1)")
        for host, seen in self.world.look(list(self.marks)).items():
            self.only_what_may_be_seen(host, seen)

    def only_what_may_be_seen(self, host: str, seen: Answer) -> None:
        at = seen["at"]
        standing = [right.grant for right in self.rights.standing(at, host=host, late=LATE)]
        for scope in seen["scopes"]:
            # Where an answer was lost there may be a grant whose id is not known.
            if "" not in standing and scope.removeprefix("jit-")[:20] not in standing:
                raise Violation(f"scope {scope} on {host} has processes after its end (S2)")
        for name in seen["rules"]:
            # Without the enforcer its file stays, and NOTAFTER in it holds.
            idle = self.rights.hosts[host].enforcer_dead or name.startswith("uid-")
            if not idle and "" not in standing and name not in standing:
                raise Violation(f"rule {name} on {host} says something after its end (S1)")
        for mark, pids in seen["marked"].items():
            if self.marks.get(mark) == host and not self.rights.may_live(mark, at):
                raise Violation(f"program {mark} on {host} outlived its grant: {pids} (S2)")
        for person in PEOPLE:
            if shell_mark(person) not in seen["marked"]:
                raise Violation(f"the shell of {person} on {host} died (S4)")

    def end(self) -> None:
        """Nobody is left with anything, and the server can prove it of each grant."""
        self.enable()
        self.unlock()
        self.widen()
        for request, *_ in self.pending:
            self.world.call(self.world.carol, "deny", request, "")
        self.quiet()
        for host in HOSTS:
            for person in PEOPLE:
                self.drop(person, host)
        self.world.until("everything over", self.is_empty, describe=self.world.views)
        for right in self.rights.all:
            if right.grant:
                self.must_be_proved(right)
        self.world.note(f"all of {len(self.rights.all)} grants over, in proof")

    def must_be_proved(self, right: Right) -> None:
        said = self.world.must(self.world.admin, "grant", right.grant)["said"]
        if not (said["state"] == "refused" or (said["state"] == "ended" and said["end_confirmed"])):
            raise Violation(f"{right.grant} on {right.host} is {said['state']}, and not confirmed")

    def must_not_be_barred(self, person: str, host: str, role: str) -> None:
        """S10: nothing is granted to who is disabled, locked or not eligible."""
        locked = {("user", person), ("host", host), ("role", role)} & set(self.locks.values())
        if person in self.disabled or locked or (person in self.ineligible and role != "drill-admin"):
            raise Violation(f"{person} was given {role} on {host}, although that was forbidden (S10)")

    # The steps' tools.

    def begin(self, person: str, host: str, role: str, lasts: int, grant: str) -> None:
        self.rights.all.append(Right(person, host, role, ROLES[role], now() + lasts * SECOND, grant))

    def begin_unknown(self, person: str, host: str, role: str, lasts: int) -> None:
        """The answer was lost; where the cable is cut the kernel may yet deliver the request, once it is healed."""
        self.begin(person, host, role, lasts, "")
        if self.rights.hosts[host].cut:
            self.undelivered.append((person, host, role, lasts))

    def use(self, person: str, host: str, request: str) -> None:
        """Run a program that only an end stops, if the grant comes into force."""
        if self.world.jit(host, person, op="wait", request=request).get("in_force"):
            mark = f"program-{self.number}-{len(self.marks)}"
            self.marks[mark] = host
            self.rights.started(mark, person, host, now())
            self.world.launch(host, person, mark)

    def recent(self, which: int) -> Right | None:
        """One that may still stand, or stood ten seconds ago."""
        known = [right for right in self.rights.standing(now(), late=10 * SECOND) if right.grant]
        return known[which % len(known)] if known else None

    def is_unknown(self, answer: Answer) -> bool:
        return not answer["ok"] and answer["error"]["code"] in _UNKNOWN

    def is_broken(self, host: str) -> bool:
        return self.rights.hosts[host].is_excused(now())


def told(answer: Answer) -> str:
    for word in ("error", "refused", "lost"):
        if word in answer:
            return str(answer[word])
    return "done"
