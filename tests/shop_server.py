"""The reference shop as the lab starts it, for the tests: granian on a free port, real PostgreSQL behind it."""

from __future__ import annotations

import http.client
import json
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.lab import shop
from headway.servers import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running shop."""

    port: int

    def ask(self, request: str, body: object = None, **headers: str) -> Answer:
        """`ask("GET /users/1")`; `body` is sent as JSON."""
        method, path = request.split(" ", 1)
        connection = http.client.HTTPConnection(ports.HOST, self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, text, {"content-type": "application/json", **sent})
            got = connection.getresponse()
            return Answer(
                status=got.status, headers={key.lower(): value for key, value in got.getheaders()}, body=got.read()
            )
        finally:
            connection.close()


@contextmanager
def serving(database_url: str, **settings: str) -> Iterator[Served]:
    """The shop with `SHOP_...` settings, until the end of the block."""
    with tempfile.TemporaryDirectory() as room:
        log, port = Path(room) / "shop.log", ports.choose()
        identity = shop.start(
            shop.shop_folder(), port=port, room=Path(room), log=log, account=None,
            settings={"SHOP_DATABASE_URL": database_url, **settings},
        )  # fmt: skip
        try:
            shop.wait(identity, port, log)
            yield Served(port=port)
        finally:
            shop.stop(identity)
