"""Several Valkeys that belong together: a primary with a replica under Sentinel, and a cluster. Real processes."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import redis

from headway.servers import binaries, ports, process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PRIMARY_NAME = "shop-cache"


def until(holds: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait until it holds; fail when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


class Node:
    """
    One server with settings of its own, without a password, on this machine alone.

    `within`: what its command line begins with, as DelayedLink.near says.
    """

    def __init__(
        self,
        room: Path,
        name: str,
        *words: str,
        within: tuple[str, ...] = (),
        host: str = ports.HOST,
        cluster: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        program = binaries.valkey().path
        account = process.unprivileged()
        account = account if process.permits(account, "x", program) and not within else None
        folder = room / name
        folder.mkdir(mode=0o711)
        self.port, self.bus_port = ports.choose(), ports.choose()
        self.url = f"redis://{host}:{self.port}/0"
        lines = {"bind": host, "port": self.port, "dir": folder, "save": '""', "protected-mode": "no"} | {
            key.replace("_", "-"): value for key, value in (settings or {}).items()
        }
        if cluster:
            lines |= {"cluster-enabled": "yes", "cluster-port": self.bus_port, "cluster-node-timeout": 500}
        file = folder / "valkey.conf"
        file.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        process.own(folder, account)
        process.own(file, account)
        self._identity = process.spawn(
            [*within, str(program), str(file), *words], cwd=folder, log=room / f"{name}.log", account=account
        )

    def answers(self) -> bool:
        """Whether it does."""
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False

    def command(self, *words: Any) -> Any:
        """Ask the server itself."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.execute_command(*words)

    def cluster(self, name: str) -> str:
        """One line of CLUSTER INFO."""
        return str(self.command("CLUSTER INFO")[name])

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process.stop(self._identity, (signal.SIGKILL, 5.0))


class Fleet:
    """Nodes that are stopped together, also when one of them did not start."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self.nodes: list[Node] = []

    def add(self, name: str, *words: str, cluster: bool = False, **settings: object) -> Node:
        """One more, which answers."""
        node = Node(self._room, name, *words, cluster=cluster, settings=settings)
        self.nodes.append(node)
        until(node.answers)
        return node

    def stop(self) -> None:
        """All of them."""
        for node in self.nodes:
            node.kill()


class Watched(Fleet):
    """A primary, its replica, and a Sentinel that promotes the replica when the primary is gone for 0.3 s."""

    def start(self) -> None:
        """All three, and wait until each knows of the others."""
        self.primary = self.add("primary", repl_diskless_sync_delay=0)
        self.replica = self.add("replica", replicaof=f"{ports.HOST} {self.primary.port}")
        until(lambda: self.replica.command("INFO", "replication")["master_link_status"] == "up")
        watch = f"monitor {PRIMARY_NAME} {ports.HOST} {self.primary.port} 1\n"
        times = f"down-after-milliseconds {PRIMARY_NAME} 300\nsentinel failover-timeout {PRIMARY_NAME} 2000"
        self.sentinel = self.add("sentinel", "--sentinel", sentinel=f"{watch}sentinel {times}")
        until(lambda: self.sentinel.command("SENTINEL", "REPLICAS", PRIMARY_NAME))


class Cluster(Fleet):
    """Three primaries with a third of the slots each, and a replica of the one that has the slot of `owned`."""

    def start(self, *, owned: str) -> None:
        """All four, and wait until the cluster is whole."""
        first, *others = (self.add(f"node{number}", cluster=True, repl_diskless_sync_delay=0) for number in range(4))
        for number, last in enumerate((5460, 10921, 16383)):
            self.nodes[number].command("CLUSTER", "ADDSLOTSRANGE", 5461 * number, last)
        for node in others:
            node.command("CLUSTER", "MEET", ports.HOST, first.port, first.bus_port)
        until(lambda: all(node.cluster("cluster_known_nodes") == "4" for node in self.nodes))
        slot = int(first.command("CLUSTER", "KEYSLOT", owned))
        self.owner, self.replica = self.nodes[min(slot // 5461, 2)], self.nodes[3]
        self.replica.command("CLUSTER", "REPLICATE", self.owner.command("CLUSTER", "MYID"))
        until(lambda: self.replica.command("INFO", "replication").get("master_link_status") == "up")
        until(lambda: all(node.cluster("cluster_state") == "ok" for node in self.nodes))
        self.url = next(node.url for node in self.nodes if node is not self.owner)
