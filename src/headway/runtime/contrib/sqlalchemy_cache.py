"""
Invalidate once the transaction is committed, and only then.

    user.name = "Grace"
    invalidate_after_commit(session, cache, "user:5", tags=("users",))
    session.commit()

SQLAlchemy's own `after_commit` also comes when a SAVEPOINT is released, with the transaction still open: a reader would
load the old value again. Here what was said inside a savepoint waits for the outermost commit, and is forgotten when
the savepoint is rolled back.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.util import await_only

from headway.runtime.cache import Cache, SyncCache

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

    AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]

_KEPT = "headway.runtime.contrib.sqlalchemy_cache"

_log = logging.getLogger("headway.runtime.cache")


def invalidate_after_commit(
    session: AnySession, cache: Cache | SyncCache, *keys: str, tags: tuple[str, ...] = ()
) -> None:
    """
    Have keys and tags of a cache forgotten when the session's transaction is committed; nothing on rollback.

    `commit()` returns after the invalidation. An error of the cache's is logged, not raised: the commit has happened.
    A COMMIT that fails may have happened all the same: what waits is invalidated, which costs a load.

    Args:
        session: a Session with any cache that is a SyncCache; an AsyncSession with either kind.

    Raises:
        TypeError: a Cache (asyncio's) with a session of threads: nobody could await it.
    """
    inner = getattr(session, "registry", None)
    each: Any = inner() if inner is not None else session
    plain: Session = getattr(each, "sync_session", each)
    if isinstance(cache, Cache) and plain is each:
        raise TypeError("a Cache is awaited, and a Session does not await; use SyncCache, or AsyncSession")
    waiting = plain.info.get(_KEPT)
    if waiting is None:
        waiting = plain.info[_KEPT] = _Waiting(plain)
    waiting.add(plain.get_nested_transaction() or plain.get_transaction(), cache, keys, tags)


class _Waiting:
    """What one session has to tell after its commit, each with the transaction (or savepoint) in which it was said."""

    def __init__(self, session: Session) -> None:
        self._said: list[tuple[SessionTransaction | None, Cache | SyncCache, tuple[str, ...], tuple[str, ...]]] = []
        self._committing = 0
        self._released: SessionTransaction | None = None
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(
        self,
        within: SessionTransaction | None,
        cache: Cache | SyncCache,
        keys: tuple[str, ...],
        tags: tuple[str, ...],
    ) -> None:
        """`within` is None when nothing has begun: it belongs to the transaction that comes next."""
        self._said.append((within, cache, keys, tags))

    def _before_commit(self, _session: Session) -> None:
        self._committing += 1  # of a transaction, or of savepoints on its way

    def _after_commit(self, session: Session) -> None:
        self._committing -= 1
        savepoint = self._released = session.get_nested_transaction()
        if savepoint is None:
            self._tell()
            return
        # Released only: its words are its parent's now.
        self._said = [
            (savepoint.parent if within is savepoint else within, cache, keys, tags)
            for within, cache, keys, tags in self._said
        ]

    def _after_end(self, _session: Session, transaction: SessionTransaction) -> None:
        if transaction.nested and transaction is not self._released:  # rolled back, maybe because its release failed
            self._committing = max(0, self._committing - 1)
            self._said = [each for each in self._said if each[0] is not transaction]
        if transaction.parent is None:
            if self._committing:  # its COMMIT failed, and may have happened
                self._committing = 0
                self._tell()
            self._said.clear()

    def _tell(self) -> None:
        said, self._said = self._said, []
        for _, cache, keys, tags in said:
            try:
                if isinstance(cache, SyncCache):
                    told = cache.invalidate(*keys) & cache.invalidate_tags(*tags)
                else:
                    told = await_only(cache.invalidate(*keys)) & await_only(cache.invalidate_tags(*tags))
            except Exception:  # noqa: BLE001 - the commit has happened: nothing may make it look failed
                _log.exception("committed, and %s %s could not be invalidated", keys, tags)
            else:
                if not told:
                    _log.warning("committed; other processes could not be told yet to forget %s %s", keys, tags)
