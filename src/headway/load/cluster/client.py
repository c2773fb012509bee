"""This side of a cluster: finds its workers, asks them things, has them look at the target."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from headway.errors import BadInput, TargetUnreachable
from headway.load import tls
from headway.load.cluster import host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from headway.load.cluster.host import Hello
    from headway.load.target import Address, Target
    from headway.model import Scenario

    Answer = TypeVar("Answer")

DEFAULT_PORT = 8786
CONNECT_S = 10.0
ANSWER_S = 10.0
AT_ONCE = 16


class Cluster:
    """
    A Dask cluster whose workers all have this Headway.

    Args:
        address: `dask://host:port` of its scheduler; `dask+tls://` with the certificates of Dask's own configuration.

    Raises:
        BadInput: the address means nothing, no scheduler answers there, it has no workers, or one has another Headway.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = _connected(address)
        self._loop: asyncio.AbstractEventLoop = self._client.loop.asyncio_loop
        try:
            self.threads: dict[str, int] = self.wait(self._workers())
            self.hellos: dict[str, Hello] = self.wait(self._greeted())
        except (OSError, TimeoutError) as exc:
            self.close()
            raise BadInput(f"the scheduler at {address} answers no more: {exc}", next_act="look at its log") from exc
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Threads its workers declare: a generator for each is the default."""
        return sum(self.threads.values())

    def arrive(self, target: Target, scenario: Scenario) -> dict[str, Address]:
        """
        The target's address as each Dask worker finds it.

        Raises:
            BadInput: the CA file cannot be read.
            TargetUnreachable: one of them finds nothing that speaks HTTP.
        """
        ca = None if scenario.wire.ca_file is None else tls.ca_bytes(scenario.wire.ca_file)

        async def look(worker: str) -> Any:
            return await self.ask(worker, host.arrive, target, scenario, ca, within_s=3 * ANSWER_S)

        found = self.wait(self.of_each(self.threads, look))
        for worker, address in found.items():
            if isinstance(address, host.Refusal):
                raise TargetUnreachable(f"seen from {self.named(worker)}: {address.what}", next_act=address.next_act)
        return found

    def named(self, worker: str) -> str:
        """A Dask worker in words."""
        hello = self.hellos.get(worker)
        return f"the Dask worker {worker}" + (f" on {hello.name}" if hello else "")

    async def ask(
        self, worker: str, act: Callable[..., Awaitable[Any]], *facts: Any, within_s: float = ANSWER_S, **named: Any
    ) -> Any:
        """
        What a function of `host` answers there. On the client's loop only.

        Raises:
            OSError, TimeoutError: nothing did.
        """
        async with asyncio.timeout(within_s):
            return (await self._client.run(act, *facts, workers=[worker], **named))[worker]

    async def workers_now(self, within_s: float = ANSWER_S) -> set[str]:
        """The Dask workers that the scheduler knows at this moment."""
        return set((await self._identity(within_s))["workers"])

    async def of_each(self, workers: Iterable[str], act: Callable[[str], Awaitable[Any]]) -> dict[str, Any]:
        """Do something for all of them, some at once."""
        room, names = asyncio.Semaphore(AT_ONCE), list(workers)

        async def one(worker: str) -> Any:
            async with room:
                return await act(worker)

        return dict(zip(names, await asyncio.gather(*(one(each) for each in names)), strict=True))

    def wait(self, work: Coroutine[Any, Any, Answer], within_s: float | None = None) -> Answer:
        """Do it on the client's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def go(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it on the client's loop and don't wait."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._client.close(timeout=2)

    async def _identity(self, within_s: float = ANSWER_S) -> Mapping[str, Any]:
        async with asyncio.timeout(within_s):
            if self._client.scheduler is None:
                raise ConnectionError("the connection broke, and no new one came to be")
            found: Mapping[str, Any] = await self._client.scheduler.identity()
            return found

    async def _workers(self) -> dict[str, int]:
        found = {
            worker: max(1, int(facts["nthreads"])) for worker, facts in (await self._identity())["workers"].items()
        }
        if not found:
            raise BadInput(f"the scheduler at {self.address} has no workers", next_act="start some: 'dask worker'")
        return dict(sorted(found.items()))

    async def _greeted(self) -> dict[str, Hello]:
        """
        Raises:
            BadInput: one has no Headway, or another.
        """
        ours = host.introduction()

        async def greet(worker: str) -> Hello:
            try:
                theirs: Hello = await self.ask(worker, host.hello)
            except (ImportError, AttributeError) as exc:
                raise BadInput(
                    f"{self._plain(worker)} has no Headway {ours.version} to import: {exc}",
                    next_act="install the same 'headway[lab,cluster]' there as here",
                ) from exc
            if (theirs.version, theirs.source) != (ours.version, ours.source):
                raise BadInput(
                    f"{self._plain(worker)} has Headway {theirs.version} (code {theirs.source}), and this one is"
                    f" {ours.version} (code {ours.source})",
                    next_act="install the same one everywhere: they must count alike",
                )
            return theirs

        return await self.of_each(self.threads, greet)

    @staticmethod
    def _plain(worker: str) -> str:
        return f"the Dask worker {worker}"


def _connected(address: str) -> Any:
    """
    Raises:
        BadInput: nothing to connect with, nowhere to connect to, or nobody there.
    """
    parts = urlsplit(address)
    scheme = {"dask": "tcp", "dask+tls": "tls"}.get(parts.scheme)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        scheme = None
    if scheme is None or not parts.hostname or parts.path not in {"", "/"}:
        raise BadInput(f"--on {address!r} is no cluster's address", next_act="say --on dask://HOST:8786")
    try:
        import distributed
    except ImportError as exc:
        raise BadInput(
            "Dask is not installed here, and --on needs it", next_act="install 'headway[lab,cluster]'"
        ) from exc
    for name in [each for each in logging.root.manager.loggerDict if each.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it would say is said as an error of ours
    where = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    try:
        connect: Any = distributed.Client  # its signature has no types
        return connect(f"{scheme}://{where}:{port}", timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as exc:
        raise BadInput(
            f"no Dask scheduler answers at {address}: {exc}", next_act="start one ('dask scheduler'), or mend --on"
        ) from exc
