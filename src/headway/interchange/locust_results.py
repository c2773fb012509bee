"""
Locust's CSV files (`--csv PREFIX`): PREFIX_stats.csv, and beside it PREFIX_stats_history.csv and PREFIX_failures.csv.

Percentiles come without samples, and Locust rounds times to two digits before it counts them. The users are a closed
model: they wait for a slow answer, so its times are not corrected for coordinated omission. Connecting is in them.
"""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from headway.interchange.foreign import Foreign, Routes, opened, refused, statistics
from headway.model import Told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOOL = "Locust"
TIMING = "from the moment a Locust user sent, connecting included, rounded to two digits"
NEXT_ACT = "name a file that 'locust --csv PREFIX' wrote, or PREFIX itself"
ROUNDED = "Locust rounds times to two digits before it counts them: a P95 of 147 ms is told as 150 ms"
ALL = "Aggregated"
_NAMES = {"Average Response Time": "avg", "Min Response Time": "min", "Max Response Time": "max"}

Row = dict[str, str]


def read(file: Path, templates: Sequence[str] = ()) -> Foreign:
    """
    Read the statistics, and what lies beside them.

    Args:
        file: any of the files of one run, or their common prefix.
        templates: as for Routes.

    Raises:
        BadInput: there is no PREFIX_stats.csv, or it is not Locust's.
    """
    prefix = re.sub(r"_(stats|stats_history|failures|exceptions)\.csv$", "", file.name)
    stats = file.with_name(f"{prefix}_stats.csv")
    rows = _rows(stats)
    if not rows or "Request Count" not in rows[0] or rows[-1].get("Name") != ALL:
        raise refused(stats, "is not Locust's statistics", NEXT_ACT)
    routes = Routes(templates)
    told = tuple(_told(stats, number, row, routes) for number, row in enumerate(rows, start=2))
    if told[-1].requests == 0:
        raise refused(stats, "has no request", "run Locust against an HTTP service; nothing was asked")
    history = file.with_name(f"{prefix}_stats_history.csv")
    seconds, began_at_s, users = _history(history) if history.exists() else ((), None, None)
    failures = file.with_name(f"{prefix}_failures.csv")
    said = [f"{row['Method']} {row['Name']}: {row['Error']}" for row in _rows(failures)] if failures.exists() else []
    return Foreign(
        tool=TOOL, file=stats, timing=TIMING, routes=tuple(routes.names), told=(told[-1], *told[:-1]),
        by_second=seconds, began_at_s=began_at_s, users=users, notes=(ROUNDED, *said[:5]),
    )  # fmt: skip


def _rows(file: Path) -> list[Row]:
    text = opened(file).decode("utf-8-sig", "replace")
    try:
        return list(csv.DictReader(text.splitlines(), strict=True))
    except csv.Error as exc:
        raise refused(file, f"is not CSV: {exc}", NEXT_ACT) from exc


def _told(file: Path, line: int, row: Row, routes: Routes) -> Told:
    named = ((_NAMES.get(name) or (f"p{name[:-1]}" if re.fullmatch(r"[\d.]+%", name or "") else ""), text)
             for name, text in row.items())  # fmt: skip
    try:
        return Told(
            route=None if row["Name"] == ALL else routes.names[routes.index(row["Name"], row["Type"])],
            requests=int(row["Request Count"]),
            failed=int(row["Failure Count"]),
            statistics_ns=statistics(
                ((name, float(text)) for name, text in named if name and name != "p100" and text not in {"", "N/A"}),
                1e6,
            ),
        )
    except (KeyError, ValueError, TypeError) as exc:
        raise refused(file, f"is not a line of Locust's statistics: {exc!r}", NEXT_ACT, line) from exc


def _history(file: Path) -> tuple[tuple[tuple[int, int], ...], float | None, int | None]:
    """
    (good, failed) by second, when the first began, and the most users: from the running totals of all requests.

    A second without a line of its own shares what came until the next, spread evenly.
    """
    try:
        rows = [
            (int(row["Timestamp"]), int(row["User Count"]), int(row["Total Request Count"]),
             int(row["Total Failure Count"]))
            for row in _rows(file)
            if row["Name"] == ALL
        ]  # fmt: skip
    except (KeyError, ValueError, TypeError) as exc:
        raise refused(file, f"is not Locust's history: {exc!r}", NEXT_ACT) from exc
    found: list[tuple[int, int]] = []
    last = list({at: (at, more - worse, worse) for at, _, more, worse in rows}.values())  # a second's last line
    for (at, good, bad), (later, better, worse) in pairwise(last):
        if better < good or worse < bad or later < at:
            raise refused(file, "counts backwards: statistics were reset", "run Locust without --reset-stats")
        of = later - at
        found += [(_part(better - good, share, of), _part(worse - bad, share, of)) for share in range(of)]
    return tuple(found), (float(rows[0][0]) if rows else None), max((users for _, users, _, _ in rows), default=None)


def _part(total: int, share: int, of: int) -> int:
    return total * (share + 1) // of - total * share // of
