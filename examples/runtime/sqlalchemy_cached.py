"""SQLAlchemy with a cache that forgets after the commit, and only then: `python sqlalchemy_cached.py`."""

import os

from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from headway.runtime.cache import SyncCache
from headway.runtime.contrib.sqlalchemy_cache import invalidate_after_commit


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    """Somebody."""

    __tablename__ = "cached_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


engine = create_engine(os.environ["DATABASE_URL"])
cache = SyncCache(os.environ.get("CACHE_URL"), namespace="sqlalchemy")


@cache.cached("user:{user_id}")
def name_of(user_id: int) -> str:
    """Asked of the database once."""
    with Session(engine) as session:
        return session.get_one(User, user_id).name


def rename(session: Session, user_id: int, name: str) -> None:
    """Whoever commits need not know what is cached."""
    session.get_one(User, user_id).name = name
    invalidate_after_commit(session, cache, name_of.key(user_id), tags=("users",))


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.merge(User(id=5, name="Ada"))
        session.commit()
    print(name_of(5))
    with Session(engine) as session:
        rename(session, 5, "Grace")
        session.rollback()
        print(name_of(5), cache.stats()["loads"])
        rename(session, 5, "Grace")
        session.commit()
    print(name_of(5), cache.stats()["loads"])
    cache.close()
