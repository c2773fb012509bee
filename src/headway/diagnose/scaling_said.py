"""What page sizes showed, in words and as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from headway.diagnose.words import one_line

if TYPE_CHECKING:
    from headway.diagnose.scaling import Grown, Line, Scaled

SHOWN = 8


def as_text(found: Scaled) -> str:
    """A line for the whole, one for each statement that comes at all, and what follows."""
    sizes = ", ".join(f"{each:,}" for each in found.sizes)
    lines = [f"{one_line(found.route, 80)}, pages of {sizes}: {found.requests} requests"]
    lines.append(f"  queries a request = {_line(found.whole)}")
    for each in found.statements[:SHOWN]:
        mark = "N+1 " if each.is_n_plus_one else "    "
        counts = ", ".join(f"{each.calls[size]:.3g}" for size in found.sizes)
        lines.append(f"  {mark}{counts} calls ({_line(each.line)}): {one_line(each.text, 90)}")
    if len(found.statements) > SHOWN:
        lines.append(f"      and {len(found.statements) - SHOWN} more")
    lines += [f"  note: {each}" for each in found.notes]
    lines.append(_verdict(found))
    return "\n".join(lines) + "\n"


def as_json(found: Scaled) -> str:
    """Everything, numbers as they are; an interval without bounds has null."""
    content = {
        "route": found.route,
        "sizes": list(found.sizes),
        "requests": found.requests,
        "queries": _numbers(found.whole),
        "statements": [_statement(each) for each in found.statements],
        "notes": list(found.notes),
    }
    return json.dumps(content, indent=2) + "\n"


def _verdict(found: Scaled) -> str:
    grown = len(found.n_plus_one)
    if grown:
        return f"{grown} N+1: {'it grows' if grown == 1 else 'they grow'} with the rows of the page"
    return "no statement that reads by a key grows with the page"


def _line(line: Line) -> str:
    bounds = "" if math.isinf(line.each_low) else f" [{line.each_low:.2f} to {line.each_high:.2f}]"
    return f"{line.fixed:.2f} + {line.each:.2f}{bounds} * rows"


def _statement(each: Grown) -> dict[str, Any]:
    calls = {str(size): n for size, n in each.calls.items()}
    named = {"statement_id": each.statement_id, "statement": each.text, "n_plus_one": each.is_n_plus_one}
    return named | {"calls": calls} | _numbers(each.line)


def _numbers(line: Line) -> dict[str, float | None]:
    bounds = [None if math.isinf(each) else each for each in (line.each_low, line.each_high)]
    return {"fixed": line.fixed, "each_row": line.each, "each_row_low": bounds[0], "each_row_high": bounds[1]}
