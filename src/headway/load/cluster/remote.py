"""The hands of a crew on a cluster: generators hired there, started at one instant, heard until they are done."""

from __future__ import annotations

import asyncio
import pickle
import queue
import uuid
from dataclasses import dataclass, replace
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from headway.errors import RunInvalid
from headway.load.cluster import host as there
from headway.load.cluster.client import ANSWER_S, Cluster
from headway.load.cluster.clock import EXCHANGES, Offset, offset, start_skew_ns
from headway.load.cluster.parcel import packed
from headway.load.cluster.placing import spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from headway.load.crew import Message
    from headway.load.target import Address, Target
    from headway.load.worker import Assignment
    from headway.model import Scenario

POLL_S = 1.0
SILENT_MAX_S = 10.0
"""A worker, or the scheduler, that has not answered for so long is lost."""
ASK_AGAIN_S = 3.0
LEAD_S = 0.3
LEAD_TRIPS = 20
"""From the order to the start: so many times the slowest way there and back, as orders go out to all at once."""
GONE = -1
"""The number in whose name it is said that the scheduler is lost."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a generator runs: its Dask worker, that one's clock, its key there."""

    worker: str
    key: str
    offset: Offset


class There:
    """
    A cluster as the place where the generators run (`drive.Site`).

    Args:
        on: `dask://host:port` of its scheduler.

    Raises:
        BadInput: as `Cluster`.
    """

    def __init__(self, on: str) -> None:
        self._cluster = Cluster(on)
        self._addresses: Mapping[str, Address] = {}

    @property
    def size(self) -> int:
        """A generator for each thread that the cluster's workers declare."""
        return self._cluster.size

    def arrive(self, target: Target, scenario: Scenario) -> Address:
        """
        The target's address as the first worker finds it; each generator uses what its own machine finds.

        Raises:
            TargetUnreachable: one of them finds nothing that speaks HTTP.
        """
        self._addresses = self._cluster.arrive(target, scenario)
        return next(iter(self._addresses.values()))

    def hands(self, shares: Sequence[Assignment]) -> Remote:
        """The workers of one phase."""
        return Remote(self._cluster, shares, self._addresses)

    def close(self) -> None:
        """Leave the cluster as it is."""
        self._cluster.close()


class Remote:
    """The hands of a crew (`crew.Hands`) on a cluster."""

    def __init__(self, cluster: Cluster, shares: Sequence[Assignment], addresses: Mapping[str, Address]) -> None:
        self._cluster = cluster
        run = uuid.uuid4().hex[:12]
        self._spread = spread(cluster.threads, len(shares))
        self._shares = [replace(share, address=addresses[at]) for share, at in zip(shares, self._spread, strict=True)]
        self._keys = [f"{run}-{number}" for number in range(len(shares))]
        self._places: list[Place] = []
        self._heard: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()
        self._ending = False
        self.lead_ns = int(LEAD_S * 1e9)

    @property
    def workers(self) -> int:
        """Generator processes of this crew."""
        return len(self._shares)

    def hire(self) -> None:
        """
        Start the generators, compare clocks.

        Raises:
            RunInvalid: a worker did not start one, or answers no more.
        """
        try:
            self._cluster.wait(self._hire_all())
            offsets: dict[str, Offset] = self._cluster.wait(
                self._cluster.of_each(sorted(set(self._spread)), self._compared)
            )
        except (OSError, TimeoutError) as exc:
            raise RunInvalid(
                f"a worker of {self._cluster.address} answers no more: {str(exc) or type(exc).__name__}",
                next_act="look at its log, then run again",
            ) from exc
        self._places = [
            Place(worker=worker, key=key, offset=offsets[worker])
            for worker, key in zip(self._spread, self._keys, strict=True)
        ]
        slowest_ns = 2 * max(each.uncertainty_ns for each in offsets.values())
        self.lead_ns = int(LEAD_S * 1e9) + LEAD_TRIPS * slowest_ns

    def start(self, began_ns: int) -> Mapping[str, Any]:
        """Order all to begin at one instant, each told in its own clock; then listen."""
        numbers = range(len(self._places))
        for number in numbers:
            self._cluster.go(self._listen(number))
        try:
            margins = self._cluster.wait(self._start_all(began_ns))
        except (OSError, TimeoutError) as exc:
            raise RunInvalid(
                f"a worker of {self._cluster.address} did not hear the order to start", next_act="run again"
            ) from exc
        late = [max(0, -margin) for margin in margins]
        return {
            "start_skew_ns": start_skew_ns((each.offset for each in self._places), late),
            "places": [
                {
                    "worker": number, "dask_worker": each.worker, "host": self._cluster.hellos[each.worker].name,
                    "clock_ahead_ns": each.offset.ahead_ns, "clock_uncertainty_ns": each.offset.uncertainty_ns,
                    "order_early_ns": margins[number],
                }
                for number, each in zip(numbers, self._places, strict=True)
            ],
        }  # fmt: skip

    def messages(self, wait_s: float) -> Iterator[tuple[int, Message]]:
        """
        What the generators said.

        Raises:
            RunInvalid: the scheduler is lost.
        """
        try:
            number, message = self._heard.get(timeout=wait_s)
            while True:
                if number == GONE:
                    raise RunInvalid(
                        f"the Dask scheduler at {self._cluster.address} is lost: {message[1]}",
                        next_act="start it, then run again; what came until then is kept as the latest run",
                    )
                yield number, message
                number, message = self._heard.get_nowait()
        except queue.Empty:
            return

    def drain(self) -> None:
        """Tell every generator to send nothing new."""
        for place in self._places:
            self._cluster.go(self._told(place.worker, place.key, there.drain))

    def dismiss(self) -> None:
        """No generator is left afterwards; one that cannot be told ends by itself (`host.LEASE_S`)."""
        self._ending = True
        self._cluster.wait(self._dismiss_all())

    async def _dismiss_all(self) -> None:
        pairs = zip(self._spread, self._keys, strict=True)
        await asyncio.gather(*(self._told(worker, key, there.dismiss) for worker, key in pairs))

    async def _hire_all(self) -> None:
        first = {self._cluster.hellos[at].machine: number for number, at in reversed(list(enumerate(self._spread)))}

        async def hire(number: int, at: str) -> None:
            assignment, files = packed(self._shares[number])
            why = await self._cluster.ask(
                at, there.hire, self._keys[number], assignment, files, watches=number in first.values(),
                within_s=there.READY_S + ANSWER_S,
            )  # fmt: skip
            if why is not None:
                raise RunInvalid(
                    f"{self._cluster.named(at)} could not start a generator: {why}", next_act="look at its log"
                )

        await asyncio.gather(*(hire(number, at) for number, at in enumerate(self._spread)))

    async def _compared(self, worker: str) -> Offset:
        found = []
        for _ in range(EXCHANGES):
            asked = monotonic_ns()
            read = await self._cluster.ask(worker, there.clock)
            found.append((asked, int(read), monotonic_ns()))
        return offset(found)

    async def _start_all(self, began_ns: int) -> list[int]:
        async def order(place: Place) -> int:
            margin = await self._cluster.ask(place.worker, there.start, place.key, began_ns + place.offset.ahead_ns)
            return 0 if margin is None else int(margin)  # gone: the listener says so

        return await asyncio.gather(*(order(each) for each in self._places))

    async def _listen(self, number: int) -> None:
        """Fetch one generator's messages until it is done or lost."""
        place, seen, heard_s = self._places[number], 0, monotonic()
        while not self._ending:
            try:
                said = await self._cluster.ask(
                    place.worker, there.take, place.key, seen, POLL_S, within_s=POLL_S + ANSWER_S / 2
                )
            except Exception as exc:  # noqa: BLE001 - whatever it was, it is judged by what the scheduler knows
                if self._ending or await self._is_lost(number, exc, heard_s):
                    return
                continue
            heard_s = monotonic()
            if said is None:
                self._heard.put((number, ("lost", f"{self._cluster.named(place.worker)} was restarted")))
                return
            for number_said, raw in said:
                seen = number_said
                message: Message = pickle.loads(raw)  # noqa: S301 - from the cluster, which runs what we send it anyway
                self._heard.put((number, message))
                if message[0] in {"done", "lost"}:
                    return

    async def _is_lost(self, number: int, exc: Exception, heard_s: float) -> bool:
        """Whether to give a generator up, and said so; else waits a moment before the next try."""
        place = self._places[number]
        try:
            known = place.worker in await self._cluster.workers_now(within_s=min(ASK_AGAIN_S, SILENT_MAX_S))
        except (OSError, TimeoutError) as cause:
            silent_s = monotonic() - heard_s
            if silent_s > SILENT_MAX_S:
                said = str(cause) or "no answer in time"
                self._heard.put((GONE, ("gone", f"nothing came from it for {silent_s:.0f} s ({said})")))
                return True
            await asyncio.sleep(POLL_S / 2)
            return False
        silent_s = monotonic() - heard_s
        if known and silent_s <= SILENT_MAX_S:
            await asyncio.sleep(POLL_S / 2)
            return False
        why = f"{self._cluster.named(place.worker)} " + (
            f"was silent for {silent_s:.0f} s ({str(exc) or type(exc).__name__})" if known else "left the cluster"
        )
        self._heard.put((number, ("lost", why)))
        return True

    async def _told(self, worker: str, key: str, act: Callable[..., Awaitable[None]]) -> None:
        try:
            if worker in await self._cluster.workers_now(ASK_AGAIN_S):
                await self._cluster.ask(worker, act, key)
        except Exception:  # noqa: BLE001 - nobody there: it ends by itself
            return
