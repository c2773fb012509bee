"""
One statement for all keys, tried: single ones and the batched one on the same data; the same rows or no proof.

Only reads, in a read-only session: on the copy where there is one, else on the database itself. Both sides are sent as
prepared statements, as a driver sends what it sends often, so that the single ones are not made slower than they are.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo
from sqlglot import exp

from headway.conventions import SQL_TAG
from headway.diagnose.batching import Batch, batched
from headway.diagnose.command_shape import SYSTEMS
from headway.diagnose.statement_shape import Key, shape, table_of
from headway.errors import BadInput
from headway.evidence.collector import in_words
from headway.model import ProofState, Statement
from headway.promises.spoken import duration_text
from headway.prove import batched_commands, values
from headway.prove.measure import Paired, paired
from headway.prove.outcome import proof, unproven
from headway.prove.session import TrialSession
from headway.thresholds import PROVE_MATTERS_RATIO, PROVE_MAX_ROUNDS, PROVE_MIN_ROUNDS

if TYPE_CHECKING:
    from headway.model import Evidence, Finding, Proof, Remedy
    from headway.prove.grounds import Grounds

PAGES = 4
"""Different sets of keys, as a service's pages are different."""
STATEMENT_S = 5.0
"""As the evidence's own session: on the real database nothing of Headway's takes longer."""
UNKNOWN_LIMIT = 10
READ_ONLY = "-c default_transaction_read_only=on"

Row = tuple[bytes | None, ...]


class Unprovable(Exception):
    """Why nothing can be said; in words."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one request would ask: the keys, and the other parameters, which are the same for all of them."""

    singles: tuple[values.Values, ...]
    many: values.Values


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Try it; a reason comes back whatever happens. Nothing is changed anywhere."""
    if remedy.parameters.get("system") in SYSTEMS:
        return batched_commands.prove(finding, remedy, grounds)
    url = grounds.staging_url or grounds.sources.database_url
    if url is None:
        return unproven(finding, remedy, grounds, "there is no database to ask: name it with --database-url")
    try:
        with TrialSession(_read_only(url), statement_s=STATEMENT_S) as session:
            return _tried(session, finding, remedy, grounds)
    except Unprovable as exc:
        return unproven(finding, remedy, grounds, str(exc))
    except (BadInput, values.NoValues) as exc:
        return unproven(finding, remedy, grounds, exc.what)
    except psycopg.Error as exc:
        return unproven(finding, remedy, grounds, f"the database refused: {in_words(exc)}")


def _tried(session: TrialSession, finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    batch = _batch(session, remedy, on_copy=grounds.staging_url is not None)
    pages, notes = _pages(session, batch, remedy, grounds)
    grounds.say(f"asking {len(pages[0].singles)} single statements and the batched one, in turns")
    for page in pages:  # also warms both sides up
        _same_rows(session, batch, page)
    measured = _in_turns(session, batch, pages, budget_s=grounds.budget_s, seed=grounds.seed)
    overlap = float(remedy.parameters.get("overlap", 1.0))
    measured = Paired(without=measured.without / overlap, with_=measured.with_)
    state, reason = judged(measured, remedy, seed=grounds.seed)
    keys = len(pages[0].singles)
    metric = f"time for {keys} keys" + (
        f", {overlap:.1f} single statements at once as in the spans" if overlap > 1.1 else ""
    )
    where = grounds.where if grounds.staging_url is not None else f"{session.place}, read-only"
    return proof(
        finding, _as_tried(remedy, batch), grounds, state, reason, where=where,
        effects=(measured.effect(metric, "ns", decides=True, seed=grounds.seed),), notes=tuple(notes),
    )  # fmt: skip


def judged(measured: Paired, remedy: Remedy, *, seed: int) -> tuple[ProofState, str]:
    """Worth it: the nearer end of the saving's interval is past `PROVE_MATTERS_RATIO` of the calls' time."""
    low, share, high = measured.saving(seed)
    times = f"{duration_text(float(measured.without.mean()))} → {duration_text(float(measured.with_.mean()))}"
    if high < PROVE_MATTERS_RATIO:
        return ProofState.NOT_WORTH_IT, f"the same rows in {times}: it saves {share:.0%}, at most {high:.0%}"
    if low < PROVE_MATTERS_RATIO:
        return ProofState.UNPROVEN, f"the same rows in {times}, between {low:.0%} and {high:.0%} less: too wide to tell"
    return ProofState.WORTH_IT, f"the same rows in {times}; {_of_request(remedy, low, high)}"


def _of_request(remedy: Remedy, low: float, high: float) -> str:
    cost = float(remedy.parameters.get("cost_ns", 0.0))
    whole = float(remedy.parameters.get("request_ns", 0.0))
    if cost <= 0 or whole <= 0:
        return f"{low:.0%} to {high:.0%} less"
    return (
        f"the spans give these calls {duration_text(cost)} of the route's {duration_text(whole)}: at the ratio measured"
        f" {duration_text(cost * low)} to {duration_text(cost * high)} less a request"
        f" ({cost * low / whole:.0%} to {cost * high / whole:.0%}), predicted"
    )


def _batch(session: TrialSession, remedy: Remedy, *, on_copy: bool) -> Batch:
    """
    The batched statement again, with the key's type as the catalog has it.

    Raises:
        Unprovable: it can't be made, or running it could do more than read.
    """
    text, column = (str(remedy.parameters.get(name, "")) for name in ("statement", "key_column"))
    keys = [each for each in shape(text).keys if each.column == column]
    if not keys:
        raise Unprovable("the statement is not asked by a key that is known")
    unknown = {each.name.lower() for each in values.parsed(text).find_all(exp.Anonymous)}
    if unknown and not on_copy:
        raise Unprovable(
            f"it calls {', '.join(sorted(unknown))}, which may do more than read: try it on a copy, --copy"
        )
    made = batched(
        text, keys[0], key_type=_key_type(session, text, keys[0]), unique=bool(remedy.parameters.get("unique"))
    )
    if made is None:
        raise Unprovable("no batched statement can be made from its text")
    return made


def _key_type(session: TrialSession, text: str, key: Key) -> str:
    table = table_of(text, key)
    if table is None:
        raise Unprovable(f"which table {key.column} is of, its text doesn't say")
    columns = {row["name"]: row["type"] for row in session.ask("columns_of", {"table": values.quoted(table)})}
    if key.column not in columns:
        raise Unprovable(f"the database has no {table}.{key.column}")
    return str(columns[key.column])


def _pages(session: TrialSession, batch: Batch, remedy: Remedy, grounds: Grounds) -> tuple[list[Page], list[str]]:
    """
    Keys from the tables' own rows, with the other parameters of those rows; as many a page as a request asked for.

    Raises:
        Unprovable: fewer than two keys have their other parameters in common.
    """
    wanted = max(2, int(remedy.parameters.get("calls", 2)))
    counted = _counted(grounds.evidence, remedy, batch)
    drawn = values.draw(session, counted, seed=grounds.seed, most=wanted * PAGES)
    at = batch.takes[batch.key.parameter - 1] - 1
    alike: dict[values.Values, dict[str, values.Values]] = defaultdict(dict)
    for each in drawn:
        if each[at] is not None:
            alike[each[:at] + each[at + 1 :]][str(each[at])] = each
    most = max(alike.values(), key=len, default={})
    if len(most) < 2:
        raise Unprovable(f"fewer than two values of {batch.key.column} were found that go with the same other values")
    sets = list(most.values())
    size = min(wanted, len(sets))
    pages = [_page(sets[first : first + size], batch, at) for first in range(0, len(sets) - size + 1, size)][:PAGES]
    notes = [f"keys drawn from the rows of the table, not from the requests; {len(pages)} pages of {size}"]
    if size < wanted:
        notes.append(f"the requests asked for {wanted} keys; only {size} were found that go together")
    return pages, notes


def _counted(evidence: Evidence, remedy: Remedy, batch: Batch) -> Statement:
    wanted = str(remedy.parameters.get("statement_id", ""))
    found = next((each for each in evidence.statements if each.id == wanted and wanted), None)
    rows, calls = (found.rows, found.calls) if found is not None else (UNKNOWN_LIMIT, 1)
    return Statement(
        phase="", id=wanted, text=batch.single, calls=calls, rows=rows, total_ns=0.0, mean_ns=0.0, stddev_ns=0.0,
        share_ratio=0.0,
    )  # fmt: skip


def _page(sets: list[values.Values], batch: Batch, at: int) -> Page:
    array = "{" + ",".join('"' + str(each[at]).replace("\\", "\\\\").replace('"', '\\"') + '"' for each in sets) + "}"
    many = tuple(array if number - 1 == at else sets[0][number - 1] for number in batch.takes)
    return Page(singles=tuple(sets), many=many)


def _ask(session: TrialSession, text: bytes, given: values.Values) -> list[Row]:
    """The rows as the server wrote them: nothing is turned into objects, on either side."""
    with psycopg.RawCursor(session.connection) as cursor:
        cursor.execute(text, given, prepare=True)
        result = cursor.pgresult
        if result is None:
            return []
        return [tuple(result.get_value(row, at) for at in range(result.nfields)) for row in range(result.ntuples)]


def _texts(batch: Batch) -> tuple[bytes, bytes]:
    return tuple(f"{SQL_TAG} {text}".encode() for text in (batch.single, batch.batched))  # type: ignore[return-value] # two


def _same_rows(session: TrialSession, batch: Batch, page: Page) -> None:
    """
    Whether both sides give the same rows, key by key, in whatever order.

    Raises:
        Unprovable: they don't.
    """
    single, many = _texts(batch)
    at = batch.takes[batch.key.parameter - 1] - 1
    apart: Counter[tuple[bytes | None, Row]] = Counter()
    for each in page.singles:
        key = str(each[at]).encode()
        apart.update((key, row) for row in _ask(session, single, each))
    together: Counter[tuple[bytes | None, Row]] = Counter()
    for row in _ask(session, many, page.many):
        rest = row[: batch.key_at] + row[batch.key_at + 1 :] if batch.key_added else row
        together[row[batch.key_at], rest] += 1
    if apart != together:
        lost, added = sum((apart - together).values()), sum((together - apart).values())
        raise Unprovable(
            f"the batched statement gives other rows: {lost:,} of {sum(apart.values()):,} are missing, {added:,} new"
            " (where ORDER BY leaves ties, LIMIT may pick either; writes meanwhile change rows too)"
        )


def _in_turns(session: TrialSession, batch: Batch, pages: list[Page], *, budget_s: float, seed: int) -> Paired:
    """
    Rounds of all pages on both sides, the order drawn by chance, until the budget is spent.

    Raises:
        Unprovable: the budget is too short for the fewest rounds that say anything.
    """
    single, many = _texts(batch)
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, not a secret
    without: list[list[float]] = []
    with_: list[list[float]] = []
    until = time.monotonic() + budget_s
    while len(without) < PROVE_MAX_ROUNDS and (time.monotonic() < until):
        sides: tuple[list[float], list[float]] = ([0.0] * len(pages), [0.0] * len(pages))
        order = [(place, side) for place in range(len(pages)) for side in (0, 1)]
        chance.shuffle(order)
        for place, side in order:
            began = time.perf_counter_ns()
            if side:
                _ask(session, many, pages[place].many)
            else:
                for each in pages[place].singles:
                    _ask(session, single, each)
            sides[side][place] = float(time.perf_counter_ns() - began)
        without.append(sides[0])
        with_.append(sides[1])
    if len(without) < PROVE_MIN_ROUNDS:
        raise Unprovable(f"only {len(without)} rounds fit into {budget_s:g} s; give it more time with --budget")
    return paired(without, with_)


def _as_tried(remedy: Remedy, batch: Batch) -> Remedy:
    before = str(remedy.parameters.get("batched", ""))
    act = remedy.act.replace(before, batch.batched) if before else f"{batch.batched}\n{remedy.act}"
    return replace(remedy, act=act, parameters={**remedy.parameters, "batched": batch.batched})


def _read_only(url: str) -> str:
    try:
        given = conninfo.conninfo_to_dict(url)
        return conninfo.make_conninfo(url, options=f"{given.get('options') or ''} {READ_ONLY}".strip())
    except psycopg.Error as exc:
        raise BadInput(
            "the database URL cannot be read", next_act="write postgresql://user:password@host:5432/database"
        ) from exc
