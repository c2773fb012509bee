"""The statements of the routes that are asked most, for several askers at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shop import queries
from shop.answers import encode
from shop.gather import Gather
from shop.keys import product_key, user_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import LiteralString

    from shop.database import Pooled, Row
    from shop.service import Service
    from shop.shapes import NewOrder

_USERS = queries.read("users")
_PRODUCTS = queries.read("products")
_ORDERS = queries.read("orders")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a write is answered with, and what its client brings back to read it next."""

    body: bytes
    token: str | None


class Many:
    """
    Reads and writes that gather.

    Args:
        service: the shop's parts.
        database: those servers of it.
    """

    def __init__(self, service: Service, database: Pooled) -> None:
        self._service, self._database = service, database
        wait_s = service.settings.gather_ms / 1e3
        self.user: Gather[int, bytes | None] = Gather(self._users, wait_s=wait_s)
        self.product: Gather[int, bytes | None] = Gather(self._products, wait_s=wait_s)
        self.address: Gather[str, bytes | None] = Gather(self._addresses, wait_s=wait_s)
        self.orders: Gather[tuple[int, int], bytes] = Gather(self._orders_of, wait_s=wait_s)
        self.place: Gather[NewOrder, Written | None] = Gather(self._place, wait_s=wait_s)
        self.rename: Gather[tuple[int, str], Written | None] = Gather(self._rename, wait_s=wait_s)

    async def _users(self, ids: Sequence[int]) -> list[bytes | None]:
        return await self._current(_USERS["by_ids"], ids)

    async def _products(self, ids: Sequence[int]) -> list[bytes | None]:
        return await self._current(_PRODUCTS["by_ids"], ids)

    async def _current(self, query: LiteralString, ids: Sequence[int]) -> list[bytes | None]:
        """Rows by id, as everything committed has them: they are put into the cache."""
        async with self._database.reading(current=True) as connection:
            rows = await (await connection.execute(query, {"ids": list(set(ids))})).fetchall()
        found = {row["id"]: encode(row) for row in rows}
        return [found.get(each) for each in ids]

    async def _addresses(self, emails: Sequence[str]) -> list[bytes | None]:
        rows = await self._database.all(_USERS["by_emails"], {"emails": list(set(emails))})
        found = {row["email"]: encode(row) for row in rows}
        return [found.get(each) for each in emails]

    async def _orders_of(self, asked: Sequence[tuple[int, int]]) -> list[bytes]:
        """`asked`: users and how many of their orders."""
        most: dict[int, int] = {}
        for user_id, limit in asked:
            most[user_id] = max(limit, most.get(user_id, 0))
        values = {"user_ids": list(most), "limits": list(most.values())}
        found: defaultdict[int, list[Row]] = defaultdict(list)
        for row in await self._database.all(_USERS["orders_of_many"], values):
            found[row["user_id"]].append(row)
        bodies = {each: encode(found[each[0]][: each[1]]) for each in set(asked)}
        return [bodies[each] for each in asked]

    async def _place(self, orders: Sequence[NewOrder]) -> list[Written | None]:
        """None: not served here; asked for alone it is told why, or is served after all."""
        values = {
            "user_ids": [each.user_id for each in orders], "product_ids": [each.product_id for each in orders],
            "quantities": [each.quantity for each in orders],
        }  # fmt: skip
        rows, token = await self._write(_ORDERS["place_many"], values)
        placed: defaultdict[tuple[int, int, int], list[Row]] = defaultdict(list)
        for row in rows:
            placed[row["user_id"], row["product_id"], row["quantity"]].append(row)
        if rows:
            await self._service.cache.forget(*{product_key(row["product_id"]) for row in rows})
        written: list[Written | None] = []
        for each in orders:
            its = placed[each.user_id, each.product_id, each.quantity]  # orders that are alike are anyone's
            written.append(Written(body=encode(its.pop(0)), token=token) if its else None)
        return written

    async def _rename(self, asked: Sequence[tuple[int, str]]) -> list[Written | None]:
        """None: no such user. Of several names for one user the last stays, as if they had come after each other."""
        names = dict(asked)
        rows, token = await self._write(_USERS["rename_many"], {"ids": list(names), "names": list(names.values())})
        found = {row["id"]: row for row in rows}
        if found:
            await self._service.cache.forget(*map(user_key, found))
            await asyncio.gather(*(self._service.edge.refresh(f"/users/{each}") for each in found))
        return [
            Written(body=encode({**found[user_id], "name": name}), token=token) if user_id in found else None
            for user_id, name in asked
        ]

    async def _write(self, query: LiteralString, values: Mapping[str, object]) -> tuple[list[Row], str | None]:
        """The rows of one statement in one transaction, and what sees it."""
        servers = self._database.servers
        with servers.session() as session:
            async with self._database.writing() as connection:
                rows = await (await connection.execute(query, values)).fetchall()
            return rows, servers.token(session)
