"""headway scale: whether a route's statements grow with its page."""

from __future__ import annotations

from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format
from headway.errors import BadInput

EXAMPLES = options.examples(
    'headway scale "GET /users" limit=10,50 --against http://127.0.0.1:8000 --database-url postgresql://...'
)


def scale(
    route: Annotated[str, typer.Argument(help='The route, as "GET /users".')],
    sizes: Annotated[str, typer.Argument(help="The parameter that says how many rows, and two sizes: limit=10,50.")],
    *,
    against: Annotated[str, typer.Option("--against", metavar="URL", help="The service to ask.")],
    database_url: Annotated[str, typer.Option("--database-url", help="Its PostgreSQL; only counters are read.")],
    value: Annotated[list[str] | None, typer.Option("--value", help="NAME=VALUE for a {name} of the route.")] = None,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Ask a route for pages of two sizes, and see which statements grow with the rows: queries = a + b * rows.

    Finds an N+1 without traces. Makes a few dozen requests, one after another, and reads pg_stat_statements between
    them; nothing else should use the database meanwhile, and what did is said.
    """
    from headway.diagnose import scaling, scaling_said

    parameter, _, listed = sizes.partition("=")
    try:
        numbers = [int(each) for each in listed.split(",")]
        values = dict(_pair(each) for each in value or ())
    except ValueError as exc:
        raise BadInput(f"cannot read {sizes!r} or a --value", next_act="write limit=10,50 and --value id=7") from exc
    found = scaling.measure(against, route, parameter, numbers, database_url, values=values)
    options.deliver(scaling_said.as_json(found) if format is Format.JSON else scaling_said.as_text(found), output)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(text)
    return name, value
