"""The people the server knows: adding, disabling, enabling them, and who a caller is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from jit_server.domain.events import SERVER, Event, EventKind, JsonValue
from jit_server.domain.identity import Duty, Person, User, check_user_name
from jit_server.domain.ids import Kind, RandomBytes, new_id
from jit_server.errors import Conflict, Invalid
from jit_server.ports import Clock
from jit_server.services import access
from jit_server.services.ending import end_everything
from jit_server.services.policy_book import PolicyBook
from jit_server.services.tokens import IssuedToken, issue_mfa_token
from jit_server.services.views import UserView, WhoAmI
from jit_server.store import Store, Transaction
from jit_server.store_values import Scope


@dataclass(frozen=True, slots=True)
class NewUser:
    """Somebody with a token to enrol a second factor."""

    view: UserView
    token: IssuedToken


class PeopleService:
    def __init__(self, store: Store, clock: Clock, book: PolicyBook, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._random_bytes = random_bytes

    async def create_first_admin(self, name: str, account: str = "") -> NewUser:
        """Make the first person, an administrator.  Raises `Conflict` if there is anybody."""
        async with self._store.write() as tx:
            if await tx.people.all():
                raise Conflict("there are people already", hint="an administrator can add more: jitctl users add")
            return await self._create(tx, SERVER, name, account, {Duty.ADMIN})

    async def create(self, caller: Person, name: str, account: str, duties: Collection[Duty]) -> NewUser:
        """Add a person; an empty account means the same as the name.

        Raises `Denied` unless an administrator asks, `Invalid` for a bad name, `Conflict` if it is taken.
        """
        async with self._store.write() as tx:
            admin = await access.person(tx, caller)
            access.require_admin(admin)
            return await self._create(tx, admin.name, name, account, duties)

    async def create_service(self, caller: Person, name: str, account: str) -> UserView:
        """Add the account of a program, which has neither duties nor a second factor.  Raises as `create` does."""
        async with self._store.write() as tx:
            admin = await access.person(tx, caller)
            access.require_admin(admin)
            user = await self._add(tx, admin.name, name, account, (), service=True)
            return await self._view(tx, user.user_id)

    async def list_all(self, caller: Person) -> tuple[UserView, ...]:
        """Everybody, by name.  Raises `Denied` unless an administrator or auditor asks."""
        async with self._store.read() as tx:
            access.require_reader(await access.person(tx, caller))
            policy = await self._book.current(tx)
            return tuple(UserView(user, policy.groups_of(user)) for user in await tx.people.all())

    async def disable(self, caller: Person, untrusted_user: str) -> UserView:
        """Shut a person out and end their live grants and pending requests, all at once.

        Raises `Conflict` if they are disabled, or are the caller.
        """
        async with self._store.write() as tx:
            admin, user = await self._admin_and(tx, caller, untrusted_user)
            if user.disabled:
                raise Conflict(f"{user.name} is disabled already")
            if user.user_id == admin.user_id:
                raise Conflict("nobody can disable themselves", hint="ask another administrator")
            now = self._clock.now()
            await tx.people.set_disabled(user.user_id, disabled=True)
            why = f"{user.name} was disabled"
            ended = await end_everything(tx, Scope(user_id=user.user_id), actor=admin.name, now=now, why=why)
            await _note(tx, EventKind.USER_DISABLED, admin, user, now, grants_ended=ended.grants)
            return await self._view(tx, user.user_id)

    async def enable(self, caller: Person, untrusted_user: str) -> UserView:
        """Let a disabled person in again; what ended stays ended.  Raises `Conflict` if they are not disabled."""
        async with self._store.write() as tx:
            admin, user = await self._admin_and(tx, caller, untrusted_user)
            if not user.disabled:
                raise Conflict(f"{user.name} is not disabled")
            await tx.people.set_disabled(user.user_id, disabled=False)
            await _note(tx, EventKind.USER_ENABLED, admin, user, self._clock.now())
            return await self._view(tx, user.user_id)

    async def reset_mfa(self, caller: Person, untrusted_user: str) -> NewUser:
        """Forget a person's second factor and give them a token to enrol a new one; `Invalid` for a service."""
        async with self._store.write() as tx:
            admin, user = await self._admin_and(tx, caller, untrusted_user)
            if user.service:
                raise Invalid(f"{user.name} is a service, which has no second factor")
            await tx.factors.set_factor(user.user_id, None)
            token = await issue_mfa_token(
                tx, user, actor=admin.name, now=self._clock.now(), random_bytes=self._random_bytes
            )
            return NewUser(await self._view(tx, user.user_id), token)

    async def whoami(self, caller: Person) -> WhoAmI:
        async with self._store.read() as tx:
            user = await access.person(tx, caller)
            policy = await self._book.current(tx)
            return WhoAmI(user, policy.groups_of(user), tuple(sorted(policy.approver_of(user))))

    async def authenticate(self, caller: Person) -> User:
        """Return who calls; raises `Unauthenticated` for nobody we know, or somebody disabled."""
        async with self._store.read() as tx:
            return await access.person(tx, caller)

    async def _admin_and(self, tx: Transaction, caller: Person, untrusted_user: str) -> tuple[User, User]:
        admin = await access.person(tx, caller)
        access.require_admin(admin)
        return admin, await access.find_user(tx, untrusted_user)

    async def _create(
        self, tx: Transaction, actor: str, untrusted_name: str, untrusted_account: str, duties: Collection[Duty]
    ) -> NewUser:
        user = await self._add(tx, actor, untrusted_name, untrusted_account, duties)
        token = await issue_mfa_token(tx, user, actor=actor, now=user.created_at, random_bytes=self._random_bytes)
        return NewUser(await self._view(tx, user.user_id), token)

    async def _add(
        self,
        tx: Transaction,
        actor: str,
        untrusted_name: str,
        untrusted_account: str,
        duties: Collection[Duty],
        *,
        service: bool = False,
    ) -> User:
        name = check_user_name(untrusted_name)
        account = check_user_name(untrusted_account, "account") if untrusted_account else name
        now, user_id = self._clock.now(), new_id(Kind.USER, self._random_bytes)
        user = User(user_id, name, account, frozenset(duties), created_at=now, service=service)
        await tx.people.add(user)
        details: dict[str, JsonValue] = {
            "user_id": user.user_id,
            "account": account,
            "duties": ", ".join(sorted(user.duties)),
        }
        if service:
            details["service"] = True
        await tx.audit.append(Event(at=now, kind=EventKind.USER_CREATED, actor=actor, user=name, details=details))
        return user

    async def _view(self, tx: Transaction, user_id: str) -> UserView:
        user = await tx.people.get(user_id)
        if user is None:
            raise Conflict("the person is gone")
        policy = await self._book.current(tx)
        return UserView(user, policy.groups_of(user))


async def _note(tx: Transaction, kind: EventKind, admin: User, user: User, now: int, **details: int) -> None:
    await tx.audit.append(Event(at=now, kind=kind, actor=admin.name, user=user.name, details=details))
