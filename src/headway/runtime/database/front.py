"""What the synchronous and the asynchronous database have in common: everything but waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo

from headway.runtime.database import token
from headway.runtime.database.desk import Desk
from headway.runtime.database.fleet import Fleet, Reason, Server, Standing
from headway.runtime.database.ledger import Ledger, PoolState
from headway.runtime.database.prober import Prober
from headway.runtime.database.session import Session, Sessions
from headway.runtime.database.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager


class Front:
    """
    A primary and its streaming replicas.

    Args:
        primary: where writes go. Name several hosts and `target_session_attrs=read-write` in it, and writes follow a
            promotion.
        replicas: each by an address of its own. An address that leads to several servers (a load balancer, a reader
            endpoint) is refused at use: what one of them has replayed says nothing of the others.
        settings: bounds.
        secret: signs tokens; without it anybody can send his own reads to the primary.

    Raises:
        ValueError: a connection string cannot be read.
    """

    def __init__(
        self,
        primary: str,
        *,
        replicas: Sequence[str] = (),
        settings: Settings | None = None,
        secret: bytes | None = None,
    ) -> None:
        self.settings = settings or Settings()
        first = Server(_name(primary), is_primary=True)
        others = [Server(_name(url), is_primary=False) for url in replicas]
        self._urls = dict(zip([first, *others], [primary, *replicas], strict=True))
        self._ledgers = {server: Ledger(server.name) for server in self._urls}
        self._secret = secret
        self._sessions = Sessions()
        self._pools: Mapping[Server, Any] = {}  # psycopg's, of the kind that fits; before `open` none
        self._begin(Fleet(first, others, self.settings))

    def primary(self) -> AbstractContextManager[None]:
        """Inside, all reads go to the primary."""
        return self._sessions.primary()

    def session(self, carried: str | None = None) -> AbstractContextManager[Session]:
        """
        Inside, reads see what was written inside, and what `carried` (of an earlier `token()`) asks for.

        Args:
            carried: as the client sent it: whatever is no token of this database is ignored.
        """
        return self._sessions.scope(token.unseal(carried, self._mark(), self._secret))

    def token(self, session: Session | None = None) -> str | None:
        """What the client must bring back to see what the session wrote; None when it wrote nothing."""
        session = session or self._sessions.current()
        mark = self._mark()
        return token.seal(session.needed, mark, self._secret) if session.wrote and mark is not None else None

    def unsure(self) -> None:
        """The current session's last commit may or may not have happened: it reads on the primary until the next."""
        self._sessions.current().unsure = True

    def standings(self) -> tuple[Standing, ...]:
        """The servers: which of them get reads, and why the others do not."""
        return self._fleet.standings(time.monotonic())

    def reads(self) -> Mapping[Reason, int]:
        """How many reads went where, and why."""
        return dict(self._fleet.reads)

    def pools(self) -> tuple[PoolState, ...]:
        """Each server's pool: waits, uses, who holds connections."""
        now_s = time.monotonic()
        return tuple(
            ledger.state(most=self.settings.pool_max, opened=self._opened(server), now_s=now_s)
            for server, ledger in self._ledgers.items()
        )

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """The books behind `pools()`: `headway.runtime.instrument` sets their `watch`."""
        return tuple(self._ledgers.values())

    def _begin(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._desk = Desk(fleet, self._ledgers, self.settings)

    def _look(self) -> Prober:
        """Begin looking at the servers."""
        prober = Prober(self._fleet, self._urls, self._ledgers, self.settings)
        prober.start()
        return prober

    def _mark(self) -> str | None:
        cluster = self._fleet.cluster()
        return None if cluster is None else token.mark(cluster)

    def _opened(self, server: Server) -> int:
        return int(self._pools[server].get_stats().get("pool_size", 0)) if server in self._pools else 0

    def _pool_arguments(self, server: Server) -> dict[str, Any]:
        """
        What both kinds of psycopg pool are given.

        A pool that cannot connect gives up at once and tries again when somebody asks (`Desk._taken` does so five
        times a second): psycopg's own pauses grow to minutes, in which a server that is back stays unused.
        """
        size = self.settings
        keep = {"autocommit": True, "connect_timeout": size.connect_timeout_s, **size.connection}
        return {
            "min_size": size.pool_min, "max_size": size.pool_max, "open": False, "name": server.name,
            "reconnect_timeout": 0.0, "kwargs": keep,
        }  # fmt: skip


def _name(url: str) -> str:
    """Host and port of a connection string: what may be shown of it."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as exc:
        shown = urlsplit(url).hostname if "://" in url else None
        raise ValueError(
            f"the connection string of {shown or 'a server'} cannot be read: {exc}; write postgresql://host:5432/name"
        ) from None
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
