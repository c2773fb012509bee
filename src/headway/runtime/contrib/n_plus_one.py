"""
A guard against N+1 for tests and development: lazy loads, one for each row, raise or warn with the line and the cure.

    with guard():
        render(session.scalars(select(User)))  # NPlusOne: ... select(User).options(selectinload(User.posts))

It counts what SQLAlchemy itself calls a lazy load: a relation asked for, object by object, from one line of code. Loads
answered from the session's identity map cost no statement and are not counted. Not for production: every ORM statement
passes through it.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import event
from sqlalchemy.orm import RelationshipProperty, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import ORMExecuteState

_NOT_THE_READERS = ("sqlalchemy", "headway.runtime", "contextlib", "greenlet")


class NPlusOne(AssertionError):
    """One relation was loaded object by object."""


class NPlusOneWarning(UserWarning):
    """The same, where it shall only be said."""


@contextmanager
def guard(*, most: int = 2, act: Literal["raise", "warn"] = "raise", sessions: Any = Session) -> Iterator[None]:
    """
    Watch all sessions while the block runs.

    Args:
        most: lazy loads of one relation from one line that are let pass.
        act: "warn" says each place once and goes on.
        sessions: a `Session` class, `sessionmaker` or session to watch; all of them by default.

    Raises:
        NPlusOne: with the line, and the loader option that loads the relation for all rows at once.
    """
    seen: Counter[tuple[str, str]] = Counter()

    def watch(state: ORMExecuteState) -> None:
        relation = _relation(state)
        if relation is None:
            return
        line = _line()
        seen[str(relation), line] += 1
        if seen[str(relation), line] != most + 1:
            return
        said = _said(relation, line, most)
        if act == "raise":
            raise NPlusOne(said)
        warnings.warn(said, NPlusOneWarning, stacklevel=2)

    event.listen(sessions, "do_orm_execute", watch)
    try:
        yield
    finally:
        event.remove(sessions, "do_orm_execute", watch)


def _relation(state: ORMExecuteState) -> RelationshipProperty[Any] | None:
    """The relation that is loaded for one object; None when the statement is no lazy load."""
    path = state.loader_strategy_path
    if not state.is_relationship_load or state.lazy_loaded_from is None or path is None:
        return None
    return next((each for each in reversed(path.path) if isinstance(each, RelationshipProperty)), None)


def _said(relation: RelationshipProperty[Any], line: str, most: int) -> str:
    owner = relation.parent.class_.__name__
    name = f"{owner}.{relation.key}"
    # Many rows for each: a second statement with all keys. One for each: a join adds columns, not rows.
    loader = "selectinload" if relation.uselist else "joinedload"
    return (
        f"N+1: {name} is loaded one {owner} at a time, more than {most} times, by {line}; load it with the rows:"
        f" select({owner}).options({loader}({name}))"
    )


def _line() -> str:
    """The nearest line outside SQLAlchemy and this library."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_THE_READERS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
