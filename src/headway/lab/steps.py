"""The steps of one `up`, in the order in which services need each other."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.lab import database, room, shop, wanted
from headway.lab.edge import Balance
from headway.servers import postgres, process, valkey
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.lab.converge import Convergence
    from headway.lab.stages import Stage
    from headway.servers.process import Account


URLS = ("SHOP_REPLICA_URL", "SHOP_CACHE", "SHOP_EDGE_URL", "SHOP_EDGE_KEY")
"""Settings that are known when the servers are; an empty one is as good as none."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What one `up` asks for."""

    stage: Stage
    scale: float
    data: bool
    shop: Path
    settings: Mapping[str, str]
    database_url: str | None
    cache_url: str | None
    balance: Balance = Balance.LEAST_CONN
    tell_edge: bool = False
    app_servers: int | None = None

    def __post_init__(self) -> None:
        """
        Raises:
            BadInput: the scale is no positive number; or so many app servers cannot share the load.
        """
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise BadInput(f"--scale {self.scale:g} is no positive number", next_act="say, for example, --scale 0.1")
        if self.servers < 1 or (self.servers > 1 and not self.stage.edge):
            raise BadInput(
                f"{self.servers} app servers at stage {self.stage.number}: nginx balances them, from stage 3 on",
                next_act="leave --app-servers out, or choose --stage 3 or 4",
            )

    @property
    def servers(self) -> int:
        """How many app servers shall run."""
        return self.stage.app_servers if self.app_servers is None else self.app_servers

    def services(self) -> frozenset[str]:
        """The names of the services that shall run, somebody else's aside."""
        names = {f"app-{number}" for number in range(1, self.servers + 1)}
        names |= {"nginx"} if self.stage.edge else set()
        names |= {"valkey"} if self.stage.cache and self.cache_url is None else set()
        names |= {"postgres"} if self.database_url is None else set()
        names |= {"replica"} if self.stage.replica and self.database_url is None else set()
        return frozenset(names)


class Steps:
    """
    One `up`.

    Args:
        work: the services, and what is known of them.
        wish: what is asked for.
        account: the user services drop to; None: they run as the invoking one.
    """

    def __init__(self, work: Convergence, wish: Wish, account: Account | None) -> None:
        self.work, self.wish, self.account = work, wish, account
        self.folders = work.folders
        self.secret = work.memory.secret
        self.app_account = shop.account_for(wish.shop, account)
        (self.folders.room / "pycache").mkdir(exist_ok=True)
        process.own(self.folders.room / "pycache", self.app_account)

    def run(self) -> None:
        """Converge."""
        wish, work = self.wish, self.work
        names = wish.services()
        # Until the last step is done the lab is not up, and says so.
        scale = work.memory.scale if wish.database_url == work.memory.database_url else None
        work.remember(replace(work.memory, settings={}, scale=scale, database_url=wish.database_url))
        work.drop_all_but(names)
        settings = {**wish.stage.settings, **dict.fromkeys(URLS, "")}
        settings["SHOP_DATABASE_URL"] = self._database()
        switches = {**settings, **wish.settings}
        reloaded = self._data(switches["SHOP_DATABASE_URL"], indexes=switches["SHOP_INDEXES"] == "1")
        if "replica" in names:
            settings["SHOP_REPLICA_URL"] = self._replica()
        if wish.stage.cache:
            settings["SHOP_CACHE"] = self._cache(flush=reloaded)
        if wish.tell_edge and wish.stage.edge:
            settings["SHOP_EDGE_URL"] = f"http://{HOST}:{work.port_for('nginx')}"
            settings["SHOP_EDGE_KEY"] = self.secret
        settings.update(wish.settings)
        app_ports = self._apps(settings)
        if wish.stage.edge:
            work.ensure([wanted.edge_server(self.folders, app_ports, self.secret, wish.balance, self.account)])
        work.remember(
            replace(
                work.memory,
                stage=wish.stage.number,
                shop=wish.shop,
                cache_url=wish.cache_url,
                settings=dict(sorted(settings.items())),
            )
        )

    def _server(self) -> postgres.Postgres:
        started = self.work.memory.services["postgres"]
        return postgres.Postgres(identity=started.identity, port=started.port, password=self.secret)

    def _database(self) -> str:
        if self.wish.database_url is not None:
            version = database.check_foreign(self.wish.database_url, will_load=self.wish.data)
            self.work.say(f"using PostgreSQL {version} of --database-url")
            if self.wish.stage.replica:
                self.work.say("a replica of somebody else's database is not made; the shop reads from the one it has")
            return self.wish.database_url
        if not (self.folders.room / "postgres" / "data").exists():
            room.require_space(self.folders.room, room.CLUSTER_MB, "a new database cluster")
        self.work.ensure([wanted.database_server(self.folders, self.secret, self.account)])
        server = self._server()
        database.make(server)
        if not self.wish.stage.replica:
            shutil.rmtree(self.folders.room / "replica", ignore_errors=True)
            postgres.forget_replica(server, wanted.REPLICA_SLOT)
        return database.app_url(server.port, self.secret)

    def _data(self, url: str, *, indexes: bool) -> bool:
        wish, memory = self.wish, self.work.memory
        anew = wish.data and memory.scale != wish.scale
        if anew and wish.database_url is None:
            room.require_space(self.folders.room, room.SCALE_MB * wish.scale, f"data at scale {wish.scale:g}")
        if anew:
            self.work.drop("nginx")  # its cache is about other data
        if wish.data:
            self._tool("data", ["shop.data", "--scale", f"{wish.scale:g}"], url, "loading the shop's data")
            self.work.remember(replace(self.work.memory, scale=wish.scale))
        if self.work.memory.scale is not None:
            word = "on" if indexes else "off"
            self._tool("indexes", ["shop.indexes", word], url, f"turning the shop's indexes {word}")
        return anew

    def _tool(self, log: str, words: list[str], url: str, doing: str) -> None:
        shop.tool(
            self.wish.shop, words, url, doing=doing, room=self.folders.room, log=self.folders.log(log),
            account=self.app_account, say=self.work.say,
        )  # fmt: skip

    def _replica(self) -> str:
        size = room.size_mb(self.folders.room / "postgres") if "replica" not in self.work.memory.services else 0.0
        room.require_space(self.folders.room, size, "a replica")
        self.work.ensure([wanted.replica(self.folders, self._server(), self.account)])
        return database.app_url(self.work.memory.services["replica"].port, self.secret)

    def _cache(self, *, flush: bool) -> str:
        if self.wish.cache_url is not None:
            version = valkey.check_foreign(self.wish.cache_url)
            self.work.say(f"using {version} of --cache-url")
            return self.wish.cache_url
        self.work.ensure([wanted.cache(self.folders, self.secret, self.account)])
        url = valkey.url(self.work.memory.services["valkey"].port, self.secret)
        if flush:
            valkey.flush(url)  # answers about other data
        return url

    def _apps(self, settings: Mapping[str, str]) -> list[int]:
        numbers = range(1, self.wish.servers + 1)
        self.work.ensure(
            [wanted.app_server(n, self.folders, self.wish.shop, settings, self.app_account) for n in numbers]
        )
        return [self.work.memory.services[f"app-{n}"].port for n in numbers]
