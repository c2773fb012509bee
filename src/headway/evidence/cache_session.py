"""One careful connection to the service's Redis or Valkey, shared by all collectors that ask it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from headway.errors import SourceRefused
from headway.evidence import redact
from headway.evidence.collector import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

TIMEOUT_S = 3.0
OWN_NAME = "headway"
RECONNECTS = 2
"""After a connection that was closed: a server that was restarted is asked again, one that is silent is not."""


class NotAllowed(Exception):
    """The account may not send a command; says which right would let it."""


class CacheSession:
    """
    Sends one command at a time, and counts them: the server counts them, too, and they are not the service's.

    `own` has the commands sent so far, spelled as INFO commandstats does; `opened` the connections.
    """

    def __init__(self, url: str) -> None:
        self.place = redact.url(url)
        self.own: Counter[str] = Counter()
        self.opened = 0
        self._url = url
        self._client: redis.Redis | None = None
        self._named = True  # so that the server's own lists tell Headway's connections from the service's
        self._lock = threading.Lock()

    def info(self, section: str | None = None) -> tuple[dict[str, Any], Counter[str], int]:
        """
        INFO, with what had been sent when it was answered (itself not yet) and the connections opened by then.

        Raises:
            NotAllowed: the account may not.
            redis.RedisError: lost.
        """
        with self._lock:
            before = Counter(self.own)
            found: dict[str, Any] = self._send("INFO", *([] if section is None else [section]))
            return found, before, self.opened

    def ask(self, *words: str | int) -> Any:
        """
        One command's answer. Two words that are one command ("SLOWLOG", "GET") are two arguments.

        Raises:
            NotAllowed: the account may not.
            redis.RedisError: lost, or refused.
        """
        with self._lock:
            return self._send(*words)

    def ask_all(self, commands: Sequence[tuple[str | int | bytes, ...]]) -> list[Any]:
        """The answers, or errors, of many commands sent at once; for after the load, as nothing else is sent then."""
        with self._lock:
            pipe = self.client().pipeline(transaction=False)
            send: Any = pipe.execute_command
            for each in commands:
                send(*each)
            return list(pipe.execute(raise_on_error=False))

    def ping_ns(self) -> int:
        """
        How long one PING took, there and back.

        Raises:
            NotAllowed: the account may not.
            redis.RedisError: lost.
        """
        with self._lock:
            self.client()
            began = time.perf_counter_ns()
            self._send("PING")
            return time.perf_counter_ns() - began

    def client(self) -> redis.Redis:
        """
        The client itself; what is sent through it is not counted.

        Raises:
            SourceRefused: the URL means nothing.
        """
        if self._client is None:
            import redis  # 20 MiB that a run without a cache need not have
            from redis.backoff import ConstantBackoff
            from redis.retry import Retry

            retry = Retry(ConstantBackoff(0.1), RECONNECTS, supported_errors=(redis.ConnectionError,))
            try:
                self._client = redis.Redis.from_url(
                    self._url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=retry,
                    client_name=OWN_NAME if self._named else None,
                )  # fmt: skip
            except ValueError as exc:
                raise self.refusal(exc) from exc
            self.opened += 1
        return self._client

    def refusal(self, exc: Exception) -> SourceRefused:
        """A driver's error before the load, as what the user can do about it."""
        import redis

        if isinstance(exc, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
            return SourceRefused(f"the cache {self.place} refuses: {in_words(exc)}", next_act="check its password")
        cure = "start it, or write redis://[user:password@]host:port/0"
        return SourceRefused(f"the cache {self.place} doesn't answer: {in_words(exc)}", next_act=cure)

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def _send(self, *words: str | int) -> Any:
        import redis

        name = command_name(words)
        send: Any = self.client().execute_command
        try:
            answer = send(*words)
        except redis.exceptions.NoPermissionError as exc:
            if self._named and "client|setname" in str(exc):  # the connection's own, not what was asked
                self.close()
                self._client, self._named = None, False
                return self._send(*words)
            raise NotAllowed(right(name)) from exc
        self.own[name] += 1
        return answer


CONTAINERS = frozenset({"SLOWLOG", "LATENCY", "CONFIG", "CLIENT", "MEMORY", "OBJECT", "ACL", "CLUSTER", "COMMAND"})


def command_name(words: Sequence[str | int]) -> str:
    """ "slowlog|get", "info": as INFO commandstats and ACLs spell it."""
    first = str(words[0]).lower()
    return f"{first}|{str(words[1]).lower()}" if first.upper() in CONTAINERS and len(words) > 1 else first


def right(name: str) -> str:
    """The ACL command that allows one command."""
    return f"allow it: ACL SETUSER <user> +{name}"
