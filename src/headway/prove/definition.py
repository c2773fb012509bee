"""An index as a remedy describes it, made into one CREATE INDEX that can be nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from psycopg import sql
from sqlglot import exp

from headway.errors import BadInput
from headway.prove.values import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headway.prove.session import TrialSession

METHODS = frozenset({"btree", "hash", "gin", "gist", "brin", "spgist"})
LONGEST_NAME = 63
_REST = re.compile(r"(?:\s+[A-Za-z_][\w.]*)?(?:\s+(?:ASC|DESC))?(?:\s+NULLS\s+(?:FIRST|LAST))?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class IndexDefinition:
    """One index. `schema`, `table` as the catalog has them; `keys` and `included` as SQL, names quoted."""

    schema: str
    table: str
    name: str
    method: str
    keys: tuple[str, ...]
    included: tuple[str, ...] = ()
    where: str | None = None

    @property
    def qualified(self) -> str:
        """Schema and name, each quoted: for to_regclass."""
        return f"{_identifier(self.schema)}.{_identifier(self.name)}"

    def create(self, *, concurrently: bool = False) -> sql.Composed:
        """The statement that makes it."""
        parts = [
            sql.SQL("CREATE INDEX {}{} ON {} USING {} (").format(
                sql.SQL("CONCURRENTLY " if concurrently else ""),
                sql.Identifier(self.name), sql.Identifier(self.schema, self.table), _raw(_method(self.method)),
            ),
            sql.SQL(", ").join(_raw(each) for each in self.keys), sql.SQL(")"),
        ]  # fmt: skip
        if self.included:
            parts += [sql.SQL(" INCLUDE ("), sql.SQL(", ").join(_raw(each) for each in self.included), sql.SQL(")")]
        if self.where:
            parts += [sql.SQL(" WHERE "), _raw(self.where)]
        return sql.Composed(parts)


def define(session: TrialSession, parameters: Mapping[str, Any]) -> IndexDefinition:
    """
    From a remedy's parameters, names looked up in the catalog of the place it is tried on.

    Args:
        parameters: "table", "columns", and where there are any "include", "where", "method".

    Raises:
        BadInput: no such table, not a table, a column that is none, more than one statement.
    """
    table = str(parameters.get("table", ""))
    facts = _facts(session, table)
    columns = [str(row["name"]) for row in session.ask("columns_of", {"table": facts["regclass"]})]
    said = [str(each) for each in parameters.get("columns") or ()]
    if not said:
        raise BadInput(f"the remedy names no column of {table}", next_act="diagnose the run again")
    method = str(parameters.get("method") or "btree")
    found = IndexDefinition(
        schema=str(facts["schema"]), table=str(facts["name"]), method=_method(method),
        name=_free_name(session, str(facts["schema"]), str(facts["name"]), said, columns),
        keys=tuple(_key(each, columns) for each in said),
        included=tuple(_key(str(each), columns) for each in parameters.get("include") or ()),
        where=str(parameters["where"]) if parameters.get("where") else None,
    )  # fmt: skip
    _check(found, session)
    return found


def existing(parameters: Mapping[str, Any]) -> str:
    """The quoted name of an index that is there, of a remedy's "index" and, where its table has one, "schema"."""
    name = str(parameters.get("index") or parameters.get("name") or "")
    schema = str(parameters.get("schema") or str(parameters.get("table") or "").rpartition(".")[0])
    return quoted(f"{schema}.{name}" if schema and "." not in name else name)


def _facts(session: TrialSession, table: str) -> dict[str, Any]:
    for written in (quoted(table), table):
        try:
            rows = session.ask("table_facts", {"table": written})
        except Exception as exc:  # a name that can't be read as one
            raise BadInput(f"{table!r} is no table's name", next_act="diagnose the run again") from exc
        if rows:
            if rows[0]["kind"] not in {"r", "m"}:
                kinds = {"p": "partitioned", "f": "a foreign table", "v": "a view"}
                what = kinds.get(rows[0]["kind"], "no table")
                raise BadInput(f"{table} is {what}: an index on it is not tried", next_act="try it by hand")
            return {**rows[0], "regclass": written}
    raise BadInput(f"the copy has no table {table}", next_act="diagnose the run again, or name another copy")


def _key(said: str, columns: Sequence[str]) -> str:
    """A column (quoted as needed) with what follows it, or an expression as it stands."""
    text = said.strip()
    if text in columns:
        return _identifier(text)
    for name in sorted(columns, key=len, reverse=True):
        for head in (name, f'"{name}"'):
            if text.startswith(head) and _REST.fullmatch(text[len(head) :]):
                return _identifier(name) + text[len(head) :]
    return text


def _raw(text: str) -> sql.SQL:
    # Not LiteralString: it comes from a remedy. `_check` has read the whole as one CREATE INDEX, and it is sent in the
    # extended protocol, which takes one statement only.
    return sql.SQL(text)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _method(name: str) -> str:
    if name.lower() not in METHODS:
        raise BadInput(f"{name!r} is no index method", next_act=f"one of {', '.join(sorted(METHODS))}")
    return name.lower()


def _free_name(session: TrialSession, schema: str, table: str, said: Sequence[str], columns: Sequence[str]) -> str:
    """As PostgreSQL would name it, and free."""
    words = [re.match(r'"?(\w+)', each) for each in said]
    stem = "_".join([table, *(word[1] if word and word[1] in columns else "expr" for word in words)])
    for number in range(100):
        tail = "_idx" if number == 0 else f"_idx{number}"
        name = stem[: LONGEST_NAME - len(tail)] + tail
        if not session.ask("index_state", {"name": f"{_identifier(schema)}.{_identifier(name)}"}):
            return name
    raise BadInput(f"a hundred indexes are named {stem}_idx", next_act="drop some of them")


def _check(found: IndexDefinition, session: TrialSession) -> None:
    """Refuse what isn't exactly one CREATE INDEX: parts of it are texts from outside."""
    text = found.create().as_string(session.connection)
    try:
        trees = [each for each in sqlglot.parse(text, read="postgres") if each is not None]
    except (sqlglot.errors.SqlglotError, RecursionError):
        trees = []
    if len(trees) != 1 or not isinstance(trees[0], exp.Create) or trees[0].kind != "INDEX":
        raise BadInput("the remedy's parameters make no CREATE INDEX", next_act="diagnose the run again")
