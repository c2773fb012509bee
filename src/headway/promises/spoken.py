"""
Clauses said back in words, and units at the edge.

Inside, a latency is in ns, a share is a ratio, a rate is per second. People read ms, percent and req/s. What
`clause_text` says, `criterion.read` understands as the same clause.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

from headway.model import Clause, Side, Statistic, Subject

NO_BOUND = "no bound"
MOST_DECIMALS = 12

_TIME_UNITS = ((Decimal(10) ** 9, "s"), (Decimal(10) ** 6, "ms"), (Decimal(10) ** 3, "µs"), (Decimal(1), "ns"))
_HOLDS = {Subject.INDEXED: "indexed", Subject.MONITORING: "enabled", Subject.ALERTS: "configured"}
_RATIOS = frozenset({Subject.HIT_RATE, Subject.ERROR_RATE, Subject.AVAILABILITY})


def clause_text(clause: Clause) -> str:
    """The clause as a sentence a criterion may hold: "GET /users/{id} P99 <= 250 ms at 2,000 req/s"."""
    said = f"{_noun(clause)} {limit_text(clause)}"  # the windows are the limit's
    if clause.at_rate_per_s is not None:
        said += f" at {_exact(Decimal(repr(clause.at_rate_per_s)))} req/s"
    return said


def limit_text(clause: Clause) -> str:
    """Comparison and limit, exact: "< 100 ms", "> 80%", "< 100 ms for 95% of the seconds"; "indexed", "enabled"."""
    if clause.limit is None or clause.comparison is None:
        return _HOLDS.get(clause.subject, "holds")
    return f"{clause.comparison.value} {_limit_value(clause.subject, clause.limit)}{windows_text(clause)}"


def windows_text(clause: Clause) -> str:
    """ " for 95% of the seconds", " in 99% of 10 s windows"; nothing where it must hold over the whole phase."""
    if clause.windows_ratio is None:
        return ""
    share = f"{_exact(Decimal(repr(clause.windows_ratio)) * 100, three_decimals=True)}%"
    return (
        f" for {share} of the seconds"
        if clause.window_s in (None, 1)
        else f" in {share} of {clause.window_s} s windows"
    )


def value_text(clause: Clause, value: float) -> str:
    """
    A measured value in the clause's unit, rounded for reading: "81.3%", "52.0 ms", "9,870 req/s"; inf is "no bound".

    It is never rounded onto or across the clause's limit, nor a ratio onto 0% or 100%: 99.97 ms against a limit of
    100 ms says "99.97 ms", as a reader compares what is printed.

    Args:
        clause: names the subject, and so the unit, and the limit.
        value: in the clause's base unit (ns, requests per second, ratio); with windows, the share of them that held.
    """
    if math.isnan(value):
        return "no number"
    if math.isinf(value):
        return NO_BOUND
    if clause.windows_ratio is not None or clause.subject in _RATIOS:
        limit = clause.limit if clause.windows_ratio is None else clause.windows_ratio
        return percent_text(value, apart_from=limit)
    if clause.subject is Subject.LATENCY:
        return duration_text(value, apart_from=clause.limit)
    if clause.subject is Subject.THROUGHPUT:
        return rate_text(value, apart_from=clause.limit)
    return _rounded(Decimal(repr(float(value))), (), 3)


def duration_text(value_ns: float, *, apart_from: float | None = None) -> str:
    """Nanoseconds with three significant digits in s, ms, µs or ns; never rounded onto or across `apart_from` (ns)."""
    value = Decimal(repr(float(value_ns)))
    size, unit = _time_unit(value)
    marks = () if apart_from is None else (Decimal(repr(float(apart_from))) / size,)
    return f"{_rounded(value / size, marks, 3)} {unit}"


def percent_text(ratio: float, *, apart_from: float | None = None) -> str:
    """A ratio as percent, three significant digits; only exact 0 and 1 say "0%" and "100%"."""
    value = Decimal(repr(float(ratio))) * 100
    if value in (0, 100):
        return f"{_exact(value)}%"
    marks = (Decimal(0), Decimal(100)) + (() if apart_from is None else (Decimal(repr(float(apart_from))) * 100,))
    return f"{_rounded(value, marks, 3)}%"


def rate_text(per_second: float, *, apart_from: float | None = None) -> str:
    """Requests per second: whole numbers from 100 up, three significant digits below."""
    marks = () if apart_from is None else (Decimal(repr(float(apart_from))),)
    return f"{_rounded(Decimal(repr(float(per_second))), marks, 3)} req/s"


def statistic_text(statistic: Statistic) -> str:
    """ "P99.9", "avg", "max"."""
    if statistic.quantile is None:
        return str(statistic)
    return f"P{_exact(Decimal(repr(statistic.quantile)) * 100)}"


def _noun(clause: Clause) -> str:
    route = "" if clause.route is None else f"{clause.route} "
    match clause.subject:
        case Subject.LATENCY:
            whole = "database queries " if clause.side is Side.DATABASE else "API response time "
            statistic = "" if clause.statistic is None else statistic_text(clause.statistic)
            return f"{route or whole}{statistic}".strip()
        case Subject.HIT_RATE:
            return "edge cache hit rate" if clause.side is Side.EDGE else "cache hit rate"
        case Subject.INDEXED:
            return "database queries"
        case _:
            return f"{route}{clause.subject.value}"


def _limit_value(subject: Subject, limit: float) -> str:
    value = Decimal(repr(float(limit)))
    if subject is Subject.LATENCY:
        size, unit = _time_unit(value)
        return f"{_exact(value / size)} {unit}"
    if subject in _RATIOS:
        return f"{_exact(value * 100, three_decimals=True)}%"
    return f"{_exact(value)} req/s"


def _time_unit(value: Decimal) -> tuple[Decimal, str]:
    smallest = _TIME_UNITS[1] if value == 0 else _TIME_UNITS[-1]  # nothing at all is "0 ms"
    return next((unit for unit in _TIME_UNITS if abs(value) >= unit[0]), smallest)


def _exact(value: Decimal, *, three_decimals: bool = False) -> str:
    """
    Every digit, with thousands separators: 2000 -> "2,000".

    Exactly three decimals get a fourth, as "1.234" is a thousand and more to half the world and the grammar refuses it.
    """
    text = f"{value:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, decimals = text.partition(".")
    return f"{text}0" if len(decimals) == 3 and whole not in ("0", "-0") and not three_decimals else text


def _rounded(value: Decimal, marks: tuple[Decimal, ...], digits: int) -> str:
    """`digits` significant digits, more while rounding would carry the value onto or across one of `marks`."""
    if not value:
        return "0"
    start = max(0, digits - 1 - value.adjusted())
    with localcontext(prec=800):  # any float, down to its last digit
        for decimals in range(start, start + MOST_DECIMALS):
            shown = round(value, decimals)
            if all(_side(shown, mark) == _side(value, mark) for mark in marks):
                return f"{shown:,.{decimals}f}"
    return _exact(value)


def _side(value: Decimal, mark: Decimal) -> int:
    return (value > mark) - (value < mark)
