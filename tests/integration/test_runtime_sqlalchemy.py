"""SQLAlchemy over the routed database, sync and async, and the guard against N+1."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import ForeignKey, exc, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

from headway.runtime.contrib.n_plus_one import NPlusOne, NPlusOneWarning, guard
from headway.runtime.contrib.sqlalchemy import AsyncOrm, Orm
from headway.runtime.database import AsyncDatabase, Database
from replicated import Replicated, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Base(DeclarativeBase):
    """The test's tables."""


class User(Base):
    """Has posts."""

    __tablename__ = "orm_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list[Post]] = relationship(back_populates="author")


class Post(Base):
    """Has an author."""

    __tablename__ = "orm_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("orm_users.id"))
    author: Mapped[User] = relationship(back_populates="posts")


@pytest.fixture(scope="module")
def servers(service_room: Path) -> Iterator[Replicated]:
    """A primary and a replica 400 ms late; five users with two posts each."""
    room = service_room / "orm"
    room.mkdir(mode=0o711)
    made = Replicated.make(room)
    try:
        with Database(made.primary.url) as database, Orm(database).write() as session:
            Base.metadata.create_all(session.connection())
            session.add_all(User(id=number, name="?", posts=[Post(), Post()]) for number in range(1, 6))
        made.add_replica(400)
        yield made
    finally:
        made.stop()


@pytest.fixture
def database(servers: Replicated) -> Iterator[Database]:
    """A database whose replica gets reads."""
    with Database(servers.primary.url, replicas=[servers.replicas[0].url]) as made:
        until(lambda: made.standings()[1].unfit is None)
        yield made


def name_of(session: Session, number: int) -> str | None:
    """One user's name."""
    return session.scalars(select(User.name).where(User.id == number)).one_or_none()


def test_a_session_reads_what_it_wrote(database: Database) -> None:
    """Though the replica is late; a read that may be stale goes there and does not see it."""
    orm = Orm(database)
    stale = 0
    for number in range(10):
        with database.session():
            with orm.write() as session:
                user = session.get_one(User, 1)
                user.name = f"Ada {number}"
            assert user.name == f"Ada {number}"
            with orm.read(stale_ok=True) as session:
                stale += name_of(session, 1) != user.name
            with orm.read() as session:
                assert name_of(session, 1) == user.name
    assert stale > 0
    with database.write() as connection:
        assert connection._notice_handlers == []  # lent ten times, and nothing stuck to it


def test_what_is_rolled_back_or_raises_is_not_written(database: Database) -> None:
    """An error inside, and a rollback by hand, leave the row as it was; the connections go back whole."""
    orm = Orm(database)
    with pytest.raises(ZeroDivisionError), orm.write() as session:
        session.get_one(User, 2).name = "never"
        session.flush()
        raise ZeroDivisionError
    with orm.write() as session:
        session.get_one(User, 2).name = "never"
        session.flush()
        session.rollback()
    with database.primary(), orm.read() as session:
        assert name_of(session, 2) == "?"
    assert [len(each.holders) for each in database.pools()] == [0, 0]
    assert sum(each.discarded for each in database.pools()) == 0


def test_a_write_in_a_reading_session_is_refused(database: Database) -> None:
    """And so is one after the transaction was committed by hand: it would not be the scope's."""
    orm = Orm(database)
    with database.primary(), pytest.raises(exc.InternalError, match="read-only"), orm.read() as session:
        session.get_one(User, 3).name = "never"
        session.flush()
    with pytest.raises(exc.InternalError, match="read-only"), orm.write() as session:
        session.get_one(User, 3).name = "once"
        session.commit()
        session.get_one(User, 3).name = "twice"
    with database.primary(), orm.read() as session:
        assert name_of(session, 3) == "once"


def test_the_asynchronous_session_reads_what_it_wrote(servers: Replicated) -> None:
    """The same over AsyncSession."""

    async def story() -> None:
        async with AsyncDatabase(servers.primary.url, replicas=[servers.replicas[0].url]) as database:
            orm = AsyncOrm(database)
            await asyncio.to_thread(until, lambda: database.standings()[1].unfit is None)
            for number in range(5):
                with database.session():
                    async with orm.write() as session:
                        (await session.get_one(User, 4)).name = f"Eve {number}"
                    async with orm.read() as session:
                        name = (await session.scalars(select(User.name).where(User.id == 4))).one()
                    assert name == f"Eve {number}"
            assert [len(each.holders) for each in database.pools()] == [0, 0]

    asyncio.run(story())


def test_the_guard_names_the_line_and_the_option_that_cures_it(database: Database) -> None:
    """Both ways of a relation; with the option that it names, nothing is said."""
    orm = Orm(database)
    with orm.read() as session, guard():
        users = session.scalars(select(User)).all()
        with pytest.raises(
            NPlusOne, match=r"User\.posts.*test_runtime_sqlalchemy\.py:\d+.*selectinload\(User\.posts\)"
        ):
            [len(user.posts) for user in users]
    with orm.read() as session, guard():
        posts = session.scalars(select(Post).order_by(Post.id)).all()
        with pytest.raises(NPlusOne, match=r"Post\.author.*select\(Post\)\.options\(joinedload\(Post\.author\)\)"):
            [post.author.name for post in posts]
    with orm.read() as session, guard():
        assert sum(len(user.posts) for user in session.scalars(select(User).options(selectinload(User.posts)))) == 10
        posts = session.scalars(select(Post).options(joinedload(Post.author))).all()
        assert len({post.author.name for post in posts}) >= 1


def test_the_guard_lets_single_loads_pass_and_may_only_warn(database: Database) -> None:
    """One object's relation is no N+1; with act="warn" each place is said once and the work goes on."""
    orm = Orm(database)
    with orm.read() as session, guard():
        assert len(session.get_one(User, 1).posts) == 2
    with orm.read() as session, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with guard(act="warn"):
            assert sum(len(user.posts) for user in session.scalars(select(User)).all()) == 10
        assert [each.category for each in said] == [NPlusOneWarning]
    with orm.read() as session:
        assert sum(len(user.posts) for user in session.scalars(select(User)).all()) == 10
