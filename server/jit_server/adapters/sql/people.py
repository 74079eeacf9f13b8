"""People and their factors in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.requests import chunks
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import (
    factor_failures,
    factor_locks,
    factor_proofs,
    mfa_tokens,
    user_aliases,
    users,
)
from jit_server.domain.identity import Duty, User, alias
from jit_server.domain.mfa import Factor
from jit_server.errors import Conflict
from jit_server.store_values import CodeFactor, MfaToken


@dataclass(frozen=True, slots=True)
class SqlPeople:
    session: Session

    async def add(self, user: User) -> None:
        names = {alias(user.name): user.name, alias(user.account): user.account}
        taken = await self.session.first(select(user_aliases.c.alias).where(user_aliases.c.alias.in_(names)))
        if taken is not None:
            raise Conflict(f"{names[taken.alias]} is somebody's name or account already")
        await self.session.change(
            insert(users).values(
                user_id=user.user_id,
                name=user.name,
                account=user.account,
                duties=codec.dump_names(user.duties),
                created_at=user.created_at,
                disabled=user.disabled,
                service=user.service,
            )
        )
        for name in names:
            await self.session.change(insert(user_aliases).values(alias=name, user_id=user.user_id))

    async def get(self, user_id: str) -> User | None:
        return _user(await self.session.first(select(users).where(users.c.user_id == user_id)))

    async def by_name(self, name: str) -> User | None:
        return _user(await self.session.first(select(users).where(users.c.name == name)))

    async def by_account(self, account: str) -> User | None:
        return _user(await self.session.first(select(users).where(users.c.account == account)))

    async def find(self, id_prefix: str) -> Sequence[User]:
        query = select(users).where(users.c.user_id.startswith(id_prefix, autoescape=True)).limit(3)
        return [_known(row) for row in await self.session.all(query)]

    async def all(self) -> Sequence[User]:
        return [_known(row) for row in await self.session.all(select(users).order_by(users.c.name))]

    async def named(self, names: Collection[str]) -> Sequence[User]:
        found: list[User] = []
        for some in chunks(sorted(names)):
            rows = await self.session.all(select(users).where(users.c.name.in_(some)).order_by(users.c.name))
            found.extend(map(_known, rows))
        return found

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        await self.session.change(update(users).where(users.c.user_id == user_id).values(disabled=disabled))


def _user(row: Row[Any] | None) -> User | None:
    return None if row is None else _known(row)


def _known(row: Row[Any]) -> User:
    return User(
        user_id=row.user_id,
        name=row.name,
        account=row.account,
        duties=frozenset(Duty(duty) for duty in codec.texts(row.duties)),
        created_at=row.created_at,
        disabled=row.disabled,
        mfa_enrolled=row.mfa_secret is not None,
        service=row.service,
    )


@dataclass(frozen=True, slots=True)
class SqlFactors:
    session: Session

    async def factor(self, user_id: str) -> CodeFactor | None:
        row = await self.session.first(
            select(users.c.mfa_secret, users.c.mfa_last_step).where(users.c.user_id == user_id)
        )
        return None if row is None or row.mfa_secret is None else CodeFactor(row.mfa_secret, row.mfa_last_step)

    async def set_factor(self, user_id: str, factor: CodeFactor | None) -> None:
        secret, step = (None, 0) if factor is None else (factor.sealed_secret, factor.last_step)
        await self.session.change(
            update(users).where(users.c.user_id == user_id).values(mfa_secret=secret, mfa_last_step=step)
        )
        await self.session.change(delete(factor_proofs).where(factor_proofs.c.user_id == user_id))

    async def use_step(self, user_id: str, step: int) -> bool:
        used = await self.session.change(
            update(users)
            .where(users.c.user_id == user_id, users.c.mfa_secret.is_not(None), users.c.mfa_last_step < step)
            .values(mfa_last_step=step)
        )
        return used == 1

    async def set_proved(self, user_id: str, host_id: str, at: int) -> None:
        await self.session.change(
            delete(factor_proofs).where(factor_proofs.c.user_id == user_id, factor_proofs.c.host_id == host_id)
        )
        await self.session.change(insert(factor_proofs).values(user_id=user_id, host_id=host_id, at=at))

    async def proved_at(self, user_id: str, host_id: str) -> int:
        row = await self.session.first(
            select(factor_proofs.c.at).where(factor_proofs.c.user_id == user_id, factor_proofs.c.host_id == host_id)
        )
        return 0 if row is None else int(row.at)

    async def put_token(self, token: MfaToken) -> None:
        await self.remove_token(token.user_id)
        await self.session.change(
            insert(mfa_tokens).values(
                user_id=token.user_id,
                token_hash=token.token_hash,
                expires_at=token.expires_at,
                sealed_secret=token.sealed_secret,
            )
        )

    async def token(self, user_id: str) -> MfaToken | None:
        row = await self.session.first(select(mfa_tokens).where(mfa_tokens.c.user_id == user_id))
        return None if row is None else MfaToken(row.user_id, row.token_hash, row.expires_at, row.sealed_secret)

    async def remove_token(self, user_id: str) -> None:
        await self.session.change(delete(mfa_tokens).where(mfa_tokens.c.user_id == user_id))

    async def failures(self, user_id: str, factor: Factor) -> Sequence[int]:
        query = select(factor_failures.c.at).where(
            factor_failures.c.user_id == user_id, factor_failures.c.factor == factor.value
        )
        return [row.at for row in await self.session.all(query)]

    async def add_failure(self, user_id: str, factor: Factor, at: int) -> None:
        await self.session.change(insert(factor_failures).values(user_id=user_id, factor=factor.value, at=at))

    async def clear_failures(self, user_id: str, factor: Factor) -> None:
        await self.session.change(
            delete(factor_failures).where(
                factor_failures.c.user_id == user_id, factor_failures.c.factor == factor.value
            )
        )

    async def locked_until(self, user_id: str, factor: Factor) -> int:
        row = await self.session.first(
            select(factor_locks.c.until).where(factor_locks.c.user_id == user_id, factor_locks.c.factor == factor.value)
        )
        return 0 if row is None else int(row.until)

    async def lock(self, user_id: str, factor: Factor, until: int) -> None:
        await self.session.change(
            delete(factor_locks).where(factor_locks.c.user_id == user_id, factor_locks.c.factor == factor.value)
        )
        await self.session.change(insert(factor_locks).values(user_id=user_id, factor=factor.value, until=until))
