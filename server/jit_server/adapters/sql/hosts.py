"""Hosts and their enrolment tokens in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, false, insert, select, true, update

from jit_server.adapters.sql import codec
from jit_server.adapters.sql.session import Session
from jit_server.adapters.sql.tables import enroll_tokens, hosts
from jit_server.domain.identity import Host
from jit_server.domain.report import Hello
from jit_server.errors import Conflict
from jit_server.store_values import EnrollToken


@dataclass(frozen=True, slots=True)
class SqlHosts:
    session: Session

    async def add(self, host: Host) -> None:
        if await self.by_name(host.name) is not None:
            raise Conflict(f"{host.name} is enrolled already")
        await self.session.change(
            insert(hosts).values(
                host_id=host.host_id,
                name=host.name,
                labels=codec.dump_map(host.labels),
                enrolled_at=host.enrolled_at,
            )
        )

    async def get(self, host_id: str) -> Host | None:
        return _host(await self.session.first(select(hosts).where(hosts.c.host_id == host_id)))

    async def by_name(self, name: str) -> Host | None:
        query = select(hosts).where(hosts.c.name == name, hosts.c.removed == false())
        return _host(await self.session.first(query))

    async def find(self, id_prefix: str) -> Sequence[Host]:
        query = select(hosts).where(hosts.c.host_id.startswith(id_prefix, autoescape=True)).limit(3)
        return [_known(row) for row in await self.session.all(query)]

    async def all(self) -> Sequence[Host]:
        return [_known(row) for row in await self.session.all(select(hosts).order_by(hosts.c.name, hosts.c.host_id))]

    async def greet(self, host_id: str, hello: Hello, now: int) -> None:
        await self.session.change(
            update(hosts)
            .where(hosts.c.host_id == host_id)
            .values(
                connected=True,
                last_seen=now,
                boot_id=hello.boot_id,
                agent_version=hello.agent_version,
                sudo_version=hello.sudo_version,
                problems=codec.dump(list(hello.problems)),
                clock_skew_us=hello.now - now,
            )
        )

    async def set_seen(self, host_id: str, now: int, clock_skew_us: int) -> None:
        await self.session.change(
            update(hosts).where(hosts.c.host_id == host_id).values(last_seen=now, clock_skew_us=clock_skew_us)
        )

    async def set_disconnected(self, host_id: str) -> None:
        await self.session.change(update(hosts).where(hosts.c.host_id == host_id).values(connected=False))

    async def remove(self, host_id: str) -> None:
        self.session.topics.add(host_id)
        await self.session.change(
            update(hosts).where(hosts.c.host_id == host_id).values(removed=true(), connected=false())
        )

    async def raise_generation(self, host_id: str) -> int:
        self.session.topics.add(host_id)
        row = await self.session.first(
            update(hosts)
            .where(hosts.c.host_id == host_id)
            .values(generation=hosts.c.generation + 1)
            .returning(hosts.c.generation)
        )
        if row is None:
            raise Conflict("the host is gone")
        return int(row.generation)

    async def add_token(self, token: EnrollToken) -> None:
        await self.session.change(
            insert(enroll_tokens).values(
                token_hash=token.token_hash,
                host_name=token.host_name,
                labels=codec.dump_map(token.labels),
                expires_at=token.expires_at,
            )
        )

    async def token(self, token_hash: bytes) -> EnrollToken | None:
        row = await self.session.first(select(enroll_tokens).where(enroll_tokens.c.token_hash == token_hash))
        if row is None:
            return None
        return EnrollToken(
            row.token_hash, row.host_name, codec.labels(row.labels), row.expires_at, used=row.host_id is not None
        )

    async def use_token(self, token_hash: bytes, host_id: str) -> bool:
        used = await self.session.change(
            update(enroll_tokens)
            .where(enroll_tokens.c.token_hash == token_hash, enroll_tokens.c.host_id.is_(None))
            .values(host_id=host_id)
        )
        return used == 1


def _host(row: Row[Any] | None) -> Host | None:
    return None if row is None else _known(row)


def _known(row: Row[Any]) -> Host:
    return Host(
        host_id=row.host_id,
        name=row.name,
        labels=codec.labels(row.labels),
        enrolled_at=row.enrolled_at,
        removed=row.removed,
        connected=row.connected,
        last_seen=row.last_seen,
        boot_id=row.boot_id,
        agent_version=row.agent_version,
        sudo_version=row.sudo_version,
        reported_problems=codec.texts(row.problems),
        clock_skew_us=row.clock_skew_us,
        generation=row.generation,
    )
