"""Clients for Redis or Valkey Cluster. A cache's keys all lie in one slot: its server changes, its scripts do not."""

from __future__ import annotations

from typing import Any

import redis.asyncio.cluster
import redis.cluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from headway.runtime.cache.remote import as_redis

TRIES = 3
"""Of one command, each after the map of the cluster was read again."""


def async_cluster(url: str, timeout_s: float) -> Any:
    """For asyncio; connects when it is first asked."""
    return redis.asyncio.cluster.RedisCluster.from_url(
        as_redis(url),
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        protocol=2,
        require_full_coverage=False,
        retry=AsyncRetry(NoBackoff(), TRIES),
    )


class ThreadedCluster:
    """For threads. redis-py's own connects when it is made, and fails then; this one does when it is first asked."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._made: Any = None

    def execute_command(self, *words: Any) -> Any:
        """The reply to one command."""
        return self._client().execute_command(*words)

    def pubsub(self) -> Any:
        """On the server that has our slot, by a map of the cluster that is read anew: the last one may be gone."""
        client = self._client()
        client.nodes_manager.initialize()
        return client.pubsub()

    def close(self) -> None:
        """Close connections."""
        if self._made is not None:
            self._made.close()

    def _client(self) -> Any:
        if self._made is None:
            self._made = redis.cluster.RedisCluster.from_url(
                as_redis(self._url),
                socket_connect_timeout=self._timeout_s,
                socket_timeout=self._timeout_s,
                protocol=2,
                require_full_coverage=False,
                retry=Retry(NoBackoff(), TRIES),
            )
        return self._made
