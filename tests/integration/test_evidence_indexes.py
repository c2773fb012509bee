"""Indexes and column statistics from a real PostgreSQL, through the run's folder and back."""

from __future__ import annotations

from pathlib import Path

import psycopg

from headway.conventions import COLUMNS_FILE, INDEXES_FILE
from headway.evidence import columns
from headway.evidence.indexes import Indexes
from headway.evidence.session import Session
from headway.model import Column, Index, Presence

TABLES = """
CREATE SCHEMA "Odd";
CREATE TABLE posts (id int PRIMARY KEY, user_id int NOT NULL, title text, gone_at timestamptz, tags text[]);
CREATE TABLE "Odd"."Strange ""name" ("Col, one" int);
CREATE INDEX by_user ON posts (user_id, id DESC) INCLUDE (title) WHERE gone_at IS NULL;
CREATE INDEX by_lower ON posts (lower(title));
CREATE INDEX by_tags ON posts USING gin (tags);
CREATE INDEX odd ON "Odd"."Strange ""name" ("Col, one");
INSERT INTO posts SELECT n, n % 100, 'post ' || n, NULL, ARRAY['a'] FROM generate_series(1, 10000) n;
ANALYZE;
"""


def test_indexes_and_columns_are_as_they_are_made_and_come_back_from_disk(postgres_url: str, tmp_path: Path) -> None:
    """Keys in order with direction, INCLUDE, predicate, expression, method, size and use; statistics, no values."""
    with psycopg.connect(postgres_url, autocommit=True) as service:
        service.execute(TABLES)
    session = Session(postgres_url)
    collector = Indexes(session)
    assert collector.check().presence is Presence.PRESENT
    collector.finish()
    collector.write(tmp_path)
    session.close()
    indexes = {each.name: each for each in columns.read(tmp_path / INDEXES_FILE, Index)}
    by_user = indexes["by_user"]
    assert (by_user.columns, by_user.descending, by_user.included) == (("user_id", "id"), (False, True), ("title",))
    assert by_user.predicate == "gone_at IS NULL"
    assert by_user.size_bytes > 0
    assert (by_user.primary, by_user.unique, by_user.constraint, by_user.valid) == (False, False, False, True)
    assert (indexes["posts_pkey"].primary, indexes["posts_pkey"].constraint) == (True, True)
    assert indexes["by_lower"].columns == ("lower(title)",)
    assert indexes["by_tags"].method == "gin"
    assert indexes["odd"].table == 'Odd.Strange "name'
    assert indexes["odd"].columns == ('"Col, one"',)
    known = {(each.table, each.name): each for each in columns.read(tmp_path / COLUMNS_FILE, Column)}
    user = known["posts", "user_id"]
    assert (user.distinct, user.null_ratio, user.not_null, user.type) == (100.0, 0.0, True, "integer")
    assert user.commonest_ratio is not None
    assert known["posts", "gone_at"].null_ratio == 1.0
    assert "post 77" not in (tmp_path / COLUMNS_FILE).read_bytes().decode("latin-1")
