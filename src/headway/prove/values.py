"""
Real parameters for a statement of the workload: those that auto_explain logged, where values were asked for; else drawn
from the rows of the tables it reads, on the copy.

`user_id = $1` gets the user_id of a row picked at random, so a value is as likely as it is common; all parameters of
one table come from one row, so that what belongs together stays together. LIMIT gets the rows a call returned in the
run.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import sqlglot
from psycopg import sql
from sqlglot import exp

from headway.errors import HeadwayError
from headway.thresholds import PROVE_MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.model import Statement
    from headway.prove.session import TrialSession

Values = tuple[str | None, ...]
OUTSIDE = re.compile(
    r"\b(dblink\w*|http_\w+|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_read_\w*file|lo_(im|ex)port|"
    r"pg_promote|pg_switch_wal|pg_rotate_logfile|copy)\b",
    re.IGNORECASE,
)
"""What acts beyond the database it is called in: a statement that says it isn't tried."""
ARRAY_LENGTH = 20
MOST_SAMPLED = 2_000
MOST_LIMIT = 1_000
_NUMBER = re.compile(r"\$(\d+)")
_PROBE = 3


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Where a parameter stands: compared with a column, or a count of rows."""

    role: str  # "column", "set", "array", "like", "limit", "offset", "one"
    table: str | None = None
    column: str | None = None


class NoValues(HeadwayError):
    """No values can be found for a statement's parameters."""


def parsed(text: str) -> exp.Expression:
    """
    A statement of the workload as a tree.

    Raises:
        NoValues: it can't be read, or it isn't one SELECT, INSERT, UPDATE or DELETE.
    """
    try:
        # "$1,$2" would open a dollar-quoted text named "1,".
        found = [each for each in sqlglot.parse(_NUMBER.sub(r"$\1 ", text), read="postgres") if each is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as exc:
        raise NoValues("the statement cannot be read", next_act="try it by hand") from exc
    kinds = exp.Select | exp.Insert | exp.Update | exp.Delete | exp.SetOperation
    if len(found) != 1 or not isinstance(found[0], kinds) or OUTSIDE.search(text):
        raise NoValues("it is not one statement that acts on its tables only", next_act="try it by hand")
    return found[0]


def tables(tree: exp.Expression) -> dict[str, str]:
    """Alias -> table as the statement writes it ("posts", "shop.posts"), CTEs left out."""
    named = {each.alias for each in tree.find_all(exp.CTE)}
    found = {}
    for each in tree.find_all(exp.Table):
        full = f"{each.db}.{each.name}" if each.db else each.name
        if each.name and full not in named:
            found[each.alias_or_name] = full
    return found


def is_write(tree: exp.Expression) -> bool:
    """Whether it changes rows."""
    return isinstance(tree, exp.Insert | exp.Update | exp.Delete)


def slots(tree: exp.Expression, columns: Mapping[str, Sequence[str]]) -> dict[int, Slot]:
    """
    Where each parameter stands.

    Args:
        tree: of `parsed`.
        columns: table as the statement writes it -> its columns' names.

    Raises:
        NoValues: a parameter stands where nothing says what it could be.
    """
    found: dict[int, Slot] = {}
    aliases = tables(tree)
    for parameter in tree.find_all(exp.Parameter):
        number = int(parameter.this.name)
        slot = _slot(parameter, aliases, columns)
        if number not in found or found[number].role == "one":
            found[number] = slot
    if set(found) != set(range(1, len(found) + 1)):
        raise NoValues("its parameters aren't numbered from 1", next_act="try it by hand")
    return found


def draw(session: TrialSession, statement: Statement, *, seed: int, most: int = PROVE_MOST_VALUES) -> list[Values]:
    """
    Sets of parameter values, each as text; one empty set when the statement has no parameters.

    Those that auto_explain logged of the statement come first; where there are none, rows of its tables give them.

    Raises:
        NoValues: the statement can't be read, a parameter has no column, or its table is empty.
    """
    tree = parsed(statement.text)
    if logged := real(statement, tree):
        return logged[:most]
    columns = {}
    for table in set(tables(tree).values()):
        columns[table] = [str(row["name"]) for row in session.ask("columns_of", {"table": quoted(table)})]
    wanted = slots(tree, columns)
    if not wanted:
        return [()]
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, not a secret
    rows = {
        table: _rows(session, table, sorted({s.column for s in wanted.values() if s.table == table and s.column}), seed)
        for table in {slot.table for slot in wanted.values() if slot.table is not None}
    }
    per_call = statement.rows / statement.calls if statement.calls else 1.0
    limit = max(1, min(MOST_LIMIT, round(per_call)))
    made: list[Values] = []
    for _ in range(most * 4):
        row = {table: chance.choice(each) for table, each in rows.items()}
        values = tuple(_value(wanted[n], row, rows, limit, chance) for n in range(1, len(wanted) + 1))
        if values not in made:
            made.append(values)
        if len(made) == most:
            break
    return made


def real(statement: Statement, tree: exp.Expression) -> list[Values]:
    """Sets that were logged with as many values as the statement has parameters; without constants they are fewer."""
    numbers = {int(each.this.name) for each in tree.find_all(exp.Parameter)}
    sets = statement.logged.values if statement.logged is not None else ()
    return [each for each in dict.fromkeys(sets) if numbers and numbers == set(range(1, len(each) + 1))]


def quoted(table: str) -> str:
    """A table's name for to_regclass: each part in double quotes."""
    return ".".join('"' + part.strip('"').replace('"', '""') + '"' for part in table.split("."))


def _slot(parameter: exp.Expression, aliases: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> Slot:
    if parameter.find_ancestor(exp.Limit) is not None:
        return Slot(role="limit")
    if parameter.find_ancestor(exp.Offset) is not None:
        return Slot(role="offset")
    inserted = _inserted(parameter)
    if inserted is not None:
        return inserted
    role, node = "column", parameter.parent
    while node is not None:
        if isinstance(node, exp.Any):
            role = "array"
        if isinstance(node, exp.Like | exp.ILike):
            role = "like"
        if isinstance(node, exp.Sub | exp.Add | exp.Mul | exp.Div):
            return Slot(role="one")
        if isinstance(node, exp.Predicate | exp.In | exp.Between):
            near = node.find(exp.Column)
            if near is not None:
                # A new value, of another row: one that stays as it was would touch no index.
                role = "set" if isinstance(node.parent, exp.Update) and node.arg_key == "expressions" else role
                return _of_column(near, role, aliases, columns)
        if isinstance(node, exp.Select):
            break
        node = node.parent
    raise NoValues(f"nothing says what ${parameter.this.name} could be", next_act="turn auto_explain on for its values")


def _inserted(parameter: exp.Expression) -> Slot | None:
    """A place in INSERT's VALUES."""
    row = parameter.find_ancestor(exp.Tuple)
    insert = parameter.find_ancestor(exp.Insert)
    if (
        row is None
        or insert is None
        or not isinstance(row.parent, exp.Values)
        or not isinstance(insert.this, exp.Schema)
    ):
        return None
    for place, each in enumerate(row.expressions):
        if each is parameter or parameter in list(each.find_all(exp.Parameter)):
            names = insert.this.expressions
            table = insert.this.this
            full = f"{table.db}.{table.name}" if table.db else table.name
            return Slot(role="column", table=full, column=names[place].name) if place < len(names) else None
    return None


def _of_column(column: exp.Column, role: str, aliases: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> Slot:
    named = aliases.get(column.table) if column.table else None
    owner = named or next((each for each in aliases.values() if column.name in columns.get(each, ())), None)
    if owner is None or column.name not in columns.get(owner, ()):
        raise NoValues(f"no table of it has the column {column.name}", next_act="turn auto_explain on for its values")
    return Slot(role=role, table=owner, column=column.name)


def _rows(session: TrialSession, table: str, names: Sequence[str], seed: int) -> list[dict[str, str | None]]:
    facts = session.ask("table_facts", {"table": quoted(table)})
    total = max(float(facts[0]["reltuples"]), 1.0) if facts else 1.0
    cells = sql.SQL(", ").join(
        sql.SQL("{}::text AS {}").format(sql.Identifier(name), sql.Identifier(name)) for name in names
    )
    # Whole pages are drawn, ten times as many rows as are kept: one page holds rows that were written together.
    percent = min(100.0, 100.0 * MOST_SAMPLED * 10 / total)
    for share in (percent, 100.0):
        statement = sql.SQL(
            "SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) REPEATABLE ({}) LIMIT {}"
        ).format(cells, sql.Identifier(*table.split(".")), share, seed, MOST_SAMPLED * 20)  # fmt: skip
        try:
            found = session.run(statement)
        except psycopg.Error as exc:
            raise NoValues(f"{table} cannot be sampled", next_act="try the statement by hand") from exc
        if found:
            chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, not a secret
            return chance.sample(found, min(MOST_SAMPLED, len(found)))
    raise NoValues(f"{table} is empty on the copy", next_act="try it on a copy with data")


def _value(
    slot: Slot,
    row: Mapping[str, Mapping[str, str | None]],
    rows: Mapping[str, Sequence[Mapping[str, str | None]]],
    limit: int,
    chance: random.Random,
) -> str | None:
    if slot.role in {"limit", "offset", "one"} or slot.table is None or slot.column is None:
        return {"limit": str(limit), "offset": "0"}.get(slot.role, "1")
    value = row[slot.table][slot.column]
    if slot.role == "set":
        return chance.choice(rows[slot.table])[slot.column]
    if slot.role == "array":
        several = [chance.choice(rows[slot.table])[slot.column] for _ in range(ARRAY_LENGTH)]
        return (
            "{" + ",".join('"' + each.replace("\\", "\\\\").replace('"', '\\"') + '"' for each in several if each) + "}"
        )
    if slot.role == "like" and value:
        word = max(re.split(r"\W+", value), key=len)[:8]
        return f"%{word}%"
    return value
