"""N+1 as SQLAlchemy and Django really make them, seen through OpenTelemetry, and gone when their hint is taken."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

import orm_spans
from headway.diagnose.batching import chosen_key, orm_hint

SIZES = [4, 8, 16, 30, 12]


class Base(DeclarativeBase):
    """Of the tests' own tables."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list[Post]] = relationship(back_populates="user")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    user: Mapped[User] = relationship(back_populates="posts")


@pytest.fixture
def blog_url(postgres_url: str) -> str:
    """Forty users with three posts each."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL)")
        connection.execute("CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL, title text NOT NULL)")
        connection.execute("INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 40) n")
        connection.execute("INSERT INTO posts SELECT n, 1 + n % 40, 'post ' || n FROM generate_series(1, 120) n")
    return postgres_url


@pytest.fixture
def engine(blog_url: str) -> Iterator[Any]:
    made = create_engine(blog_url.replace("postgresql://", "postgresql+psycopg://", 1))
    yield made
    made.dispose()


def hints(told: list[Any]) -> list[str]:
    """What is said of each N+1."""
    found = []
    for each in told:
        if each.speaks:
            key = chosen_key(each.repeated.shape, each.repeated.seen.source)
            assert key is not None
            hint = orm_hint(each.repeated.statement, each.repeated.shape, key, each.repeated.seen.source)
            found.append(hint or "")
    return found


def test_a_lazy_collection_of_sqlalchemy(engine: Any, tmp_path: Path) -> None:
    """User.posts read in a loop is an N+1; selectinload, which the hint names, ends it."""

    def page(size: int, *options: Any) -> Callable[[], object]:
        def read() -> object:
            with Session(engine) as session:
                users = session.scalars(select(User).order_by(User.id).limit(size).options(*options)).all()
                return [[post.title for post in user.posts] for user in users]

        return read

    (hint,) = hints(orm_spans.judged(tmp_path, "GET /users", [page(size) for size in SIZES]))
    assert "selectinload(User.posts)" in hint
    taken = [page(size, selectinload(User.posts)) for size in SIZES]
    assert hints(orm_spans.judged(tmp_path, "GET /users", taken)) == []


def test_a_lazy_parent_of_sqlalchemy(engine: Any, tmp_path: Path) -> None:
    """Post.user read in a loop is an N+1; joinedload, which the hint names, ends it."""

    def page(size: int, *options: Any) -> Callable[[], object]:
        def read() -> object:
            with Session(engine) as session:
                posts = session.scalars(select(Post).order_by(Post.id).limit(size).options(*options)).all()
                return [post.user.name for post in posts]

        return read

    (hint,) = hints(orm_spans.judged(tmp_path, "GET /posts", [page(size) for size in SIZES]))
    assert "joinedload(Post.user)" in hint
    taken = [page(size, joinedload(Post.user)) for size in SIZES]
    assert hints(orm_spans.judged(tmp_path, "GET /posts", taken)) == []


def test_rows_added_in_bulk_are_none(engine: Any, tmp_path: Path) -> None:
    """SQLAlchemy writes many rows in few statements: nothing is said of it."""

    def write(first: int) -> Callable[[], object]:
        def add() -> None:
            with Session(engine) as session:
                session.add_all([Post(id=first + each, user_id=1, title="new") for each in range(20)])
                session.commit()

        return add

    assert hints(orm_spans.judged(tmp_path, "POST /posts", [write(1_000 + 20 * each) for each in range(5)])) == []


@pytest.fixture
def django_models(blog_url: str) -> Iterator[Any]:
    """Django's models of the same tables, on this test's database."""
    import django
    from django.conf import settings
    from django.db import connections, models

    parts = urlsplit(blog_url)
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path[1:], "USER": parts.username,
        "PASSWORD": parts.password, "HOST": parts.hostname, "PORT": parts.port,
    }  # fmt: skip
    if not settings.configured:
        settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
        django.setup()
    connections.databases["default"].update(database)
    if not MODELS:

        class Author(models.Model):  # type: ignore[misc]  # Django ships no types
            name = models.TextField()

            class Meta:
                app_label, db_table, managed = "blog", "users", False

        class Article(models.Model):  # type: ignore[misc]  # Django ships no types
            title = models.TextField()
            author = models.ForeignKey(Author, models.DO_NOTHING, db_column="user_id", related_name="articles")

            class Meta:
                app_label, db_table, managed = "blog", "posts", False

        MODELS.update(author=Author, article=Article)
    yield MODELS
    connections.close_all()


MODELS: dict[str, Any] = {}


def test_a_foreign_key_of_django(django_models: Any, tmp_path: Path) -> None:
    """article.author in a loop is an N+1; select_related ends it."""
    articles = django_models["article"].objects

    def page(size: int, *related: str) -> Callable[[], object]:
        queryset = articles.select_related(*related) if related else articles.all()
        return lambda: [each.author.name for each in queryset.order_by("id")[:size]]

    (hint,) = hints(orm_spans.judged(tmp_path, "GET /articles", [page(size) for size in SIZES]))
    assert hint.startswith("Django: .select_related(")
    taken = [page(size, "author") for size in SIZES]
    assert hints(orm_spans.judged(tmp_path, "GET /articles", taken)) == []


def test_a_reverse_foreign_key_of_django(django_models: Any, tmp_path: Path) -> None:
    """author.articles in a loop is an N+1; prefetch_related ends it."""
    authors = django_models["author"].objects

    def page(size: int, *related: str) -> Callable[[], object]:
        queryset = authors.prefetch_related(*related) if related else authors.all()
        return lambda: [[one.title for one in each.articles.all()] for each in queryset.order_by("id")[:size]]

    (hint,) = hints(orm_spans.judged(tmp_path, "GET /authors", [page(size) for size in SIZES]))
    assert hint.startswith("Django: .prefetch_related(")
    taken = [page(size, "articles") for size in SIZES]
    assert hints(orm_spans.judged(tmp_path, "GET /authors", taken)) == []


def test_djangos_own_ways_that_are_none(django_models: Any, tmp_path: Path) -> None:
    """in_bulk, iterator() with its chunks, get() of a few, bulk_create: nothing is said of them."""
    articles = django_models["article"].objects
    chance = random.Random(1)

    def mixed() -> object:
        few = [articles.get(id=chance.randint(1, 120)).title for _ in range(3)]
        many = articles.in_bulk(chance.sample(range(1, 121), 30))
        return few, many, list(articles.order_by("id").iterator(chunk_size=10))

    assert hints(orm_spans.judged(tmp_path, "GET /mixed", [mixed for _ in range(5)])) == []
