"""What an index costs the workload's own writes: time, write-ahead log, updates that could have left indexes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from headway.model import Price
from headway.prove import trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Evidence
    from headway.prove.session import TrialSession
    from headway.prove.trial import Case, Ran, Turns

MOST_WRITES = 4


@dataclass(frozen=True, kw_only=True)
class WritePrice:
    """What was measured. `extra_ns`: (low, measured, high) over the whole run, by its own counts of each statement."""

    prices: tuple[Price, ...]
    extra_ns: tuple[float, float, float]
    notes: tuple[str, ...]


def price(
    session: TrialSession, evidence: Evidence, table: str, index: str, *, budget_s: float, seed: int, private: bool
) -> WritePrice:
    """
    The workload's INSERTs, UPDATEs and DELETEs on a table with an index and without it, each undone at once.

    Args:
        session: of the copy, where the index exists.
        evidence: the run, for the statements and their counts.
        table: as the workload writes it.
        index: its name, quoted.
        budget_s: about how long this may take.
        seed: of what is drawn.
        private: the server is Headway's own: a checkpoint may be forced, to count full-page images as after one.

    Raises:
        OutOfBudget: a round of them takes too long.
        psycopg.Error: the connection is lost.
    """
    wanted = trial.neighbours(evidence, table, (), writes=True, most=MOST_WRITES)
    if not wanted:
        return WritePrice(prices=(), extra_ns=(0.0, 0.0, 0.0), notes=("the run wrote nothing to this table",))
    chosen, notes = trial.cases(session, wanted, seed=seed)
    kept = []
    for each in chosen:
        try:
            trial.run(session, each, each.sets[0])
            kept.append(each)
        except psycopg.Error as exc:
            said = exc.diag.message_primary or "refused"
            notes.append(f"not priced: {each.name}: {said}")
    if not kept:
        return WritePrice(prices=(), extra_ns=(0.0, 0.0, 0.0), notes=tuple(notes))
    if private:
        session.ask("checkpoint")
    try:
        turns, remark = trial.in_turns(session, kept, [index], budget_s=budget_s, seed=seed)
    except trial.OutOfBudget as exc:
        raise trial.OutOfBudget(f"what its writes would pay could not be measured: {exc}") from exc
    prices = [each for one in turns for each in _prices(session, one, index)]
    extra = [0.0, 0.0, 0.0]
    calls = _calls(evidence)
    for one in turns:
        low, measured, high = (-each for each in one.time.saved(seed))
        for place, value in enumerate((high, measured, low)):
            extra[place] += value * calls[one.case.statement.id]
    return WritePrice(
        prices=tuple(prices), extra_ns=(extra[0], extra[1], extra[2]), notes=(*notes, *([remark] if remark else []))
    )


def _calls(evidence: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in evidence.statements:
        found[each.id] = found.get(each.id, 0) + each.calls
    return found


def _prices(session: TrialSession, turns: Turns, index: str) -> list[Price]:
    name = turns.case.name
    times = turns.time
    found = [
        Price(what=f"time of {name}", unit="ns", before=float(times.without.mean()), after=float(times.with_.mean()))
    ]
    without, with_ = (_flat(each) for each in (turns.without, turns.with_))
    records = [_mean([ran.wal_records for ran in side]) for side in (without, with_)]
    images = [_mean([ran.wal_images for ran in side]) for side in (without, with_)]
    found.append(Price(what=f"WAL records of {name}", unit="records", before=records[0], after=records[1] or 0.0))
    found.append(Price(what=f"full-page images of {name}", unit="pages", before=images[0], after=images[1] or 0.0))
    # Bytes are told only of executions that logged no whole page: an image is up to 8 KiB less its hole, and would
    # drown the rest.
    plain = [_mean([ran.wal_bytes for ran in side if not ran.wal_images]) for side in (without, with_)]
    if plain[0] is not None and plain[1] is not None:
        found.append(Price(what=f"WAL without images of {name}", unit="bytes", before=plain[0], after=plain[1]))
    hot = [_hot(session, turns.case, hidden) for hidden in ([index], [])]
    if hot[0] is not None and hot[1] is not None:
        found.append(Price(what=f"HOT updates of {name}", unit="ratio", before=hot[0], after=hot[1]))
    return found


def _flat(rounds: Sequence[Sequence[Ran]]) -> list[Ran]:
    return [ran for each in rounds for ran in each]


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def _hot(session: TrialSession, case: Case, hidden: Sequence[str]) -> float | None:
    """Share of the rows updated that stayed off the indexes; None when nothing was updated. Undone."""
    with session.undone():
        for name in hidden:
            session.own(f"DROP INDEX {name}")
        for values in case.sets:
            session.own(case.statement.text, values)
        row = session.ask("updates_in_transaction")[0]
    return row["hot"] / row["updated"] if row["updated"] else None
