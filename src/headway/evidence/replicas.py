"""How far the database's streaming replicas were behind in each phase: pg_stat_replication, once a second."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from headway.conventions import REPLICAS_FILE
from headway.evidence import columns
from headway.evidence.collector import Collector, absent, failed, present
from headway.model import ReplicaLag, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from headway.evidence.session import Session
    from headway.model import Phase


class Replicas(Collector):
    """One row a replica and phase; none where nothing streams."""

    name = "replicas"

    def __init__(self, session: Session | None) -> None:
        super().__init__()
        self._session = session
        self._phase: str | None = None
        self._seen: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--database-url")
        (scope,) = self._session.rows("statements_scope")
        if not scope["reads_all"]:
            what = f"role {scope['role']} may not see replication"
            return failed(self.name, what, f"as a superuser: GRANT pg_monitor TO {scope['role']}")
        count = len(self._session.rows("replicas_lag"))
        return present(self.name, f"{count} stream from {self._session.place}" if count else "nothing streams from it")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._phase = phase.name
        self.sample(at_s)

    def sample(self, at_s: float) -> None:
        if self._session is not None and self._phase is not None:
            for row in self._session.rows("replicas_lag"):
                self._seen[self._phase, str(row["name"])].append(row)

    def end(self, phase: Phase, at_s: float) -> None:
        self.sample(at_s)
        self._phase = None

    def write(self, folder: Path) -> None:
        if self._session is not None:
            rows = [_lag(phase, name, looks) for (phase, name), looks in self._seen.items()]
            columns.write(folder / REPLICAS_FILE, ReplicaLag, rows)


def _lag(phase: str, name: str, looks: Sequence[Mapping[str, Any]]) -> ReplicaLag:
    def known(column: str) -> list[float]:
        return [float(each[column]) for each in looks if each[column] is not None]

    def most_ns(column: str) -> int | None:
        return round(max(known(column)) * 1e9) if known(column) else None

    replay, behind = known("replay_s"), known("replay_bytes")
    return ReplicaLag(
        phase=phase, name=name, state=str(looks[-1]["state"]), sync=str(looks[-1]["sync_state"]), looks=len(looks),
        write_lag_most_ns=most_ns("write_s"), flush_lag_most_ns=most_ns("flush_s"),
        replay_lag_mean_ns=1e9 * sum(replay) / len(replay) if replay else None, replay_lag_most_ns=most_ns("replay_s"),
        replay_bytes_mean=sum(behind) / len(behind) if behind else None,
        replay_bytes_most=round(max(behind)) if behind else None,
    )  # fmt: skip
