"""Texts of spans lose their values and keep what they say; keys tell values apart and can't be looked up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.diagnose import statement_shape
from headway.evidence.otlp import texts
from headway.evidence.otlp.rows import Manner
from otlp_bodies import SERVER, row

STATEMENTS = [
    ("postgresql", "SELECT a FROM t WHERE id = 17 AND b = 'x''y' LIMIT 5",
     "SELECT a FROM t WHERE id = ? AND b = ? LIMIT ?"),
    ("postgresql", 'SELECT "a 1" FROM "T2" WHERE x=$1 AND y=%(y)s', 'SELECT "a 1" FROM "T2" WHERE x=$1 AND y=%(y)s'),
    ("postgresql", "SELECT E'it\\'s', $tag$ it's $tag$, 'a\\', 1e5, 0x1F, t1.c2", "SELECT ?, ?, ?, ?, ?, t1.c2"),
    ("postgresql", "SELECT /* traceparent='00-ab' */ 1 -- by ann@example.com", "SELECT ?"),
    ("postgresql", "SELECT x::int, -5, ARRAY[1,2]", "SELECT x::int, ?, ARRAY[?,?]"),
    ("postgresql", "INSERT INTO t VALUES ('cut off in the mid", "INSERT INTO t VALUES (?"),
    ("mysql", 'SELECT `a` FROM t WHERE s = "it\\"s" OR z = \'a\\\'b\'', "SELECT `a` FROM t WHERE s = ? OR z = ?"),
    ("mongodb", '{"find": "users", "filter": {"mail": "a@b.c", "n": 5}}', "{?: ?, ?: {?: ?, ?: ?}}"),
    ("some_sql", "SELECT 'a\\' OR 'hush'", "SELECT ?"),
    ("oracle", "SELECT q'[it's]' FROM dual", "SELECT ? FROM dual"),
    ("redis", "GET user:17", "GET user:?"),
    ("redis", "get session:ab12cd34", "GET session:?"),
    ("redis", "SET user:ann:mail ann@example.com EX 60", "SET user:ann:mail"),
    ("redis", "GET user:1\nGET user:2", "GET user:?\nGET user:?"),
    ("memcached", "get mykey", "GET"),
]  # fmt: skip


@pytest.mark.parametrize(("system", "text", "wanted"), STATEMENTS)
def test_statements_without_their_values(system: str, text: str, wanted: str) -> None:
    """Constants of every kind of quoting become `?`; names, placeholders and casts stay; comments go."""
    assert texts.statement(text, system).text == wanted


SYSTEMS = ["postgresql", "mysql", "mssql", "oracle", "sqlite", "other_sql", "mongodb", "redis", "memcached"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SYSTEMS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'\\"), max_size=12),
    st.sampled_from(["", "E", "N", "B"]), st.text("'\"$`/*- \n", max_size=6),
)  # fmt: skip
def test_a_value_in_quotes_never_stays(system: str, value: str, prefix: str, after: str) -> None:
    """Whatever a quoted value holds and whatever follows it, nothing of it is kept."""
    text = f"SELECT a FROM t WHERE b = {prefix}'{value}SEKRET{value}' {after}"
    assert "SEKRET" not in texts.statement(text, system).text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.sampled_from(SYSTEMS))
def test_any_text_is_borne(text: str, system: str) -> None:
    """Hostile or broken text: no error; a second time changes nothing that could bring a value back."""
    told = texts.statement(text, system)
    assert len(told.text) <= len(text) + 2
    assert len(texts.name(text)) <= texts.LONGEST_NAME
    texts.route("GET", "", text)
    texts.code(text, 1, text, text)
    texts.path_and_query(text, "", "")


def test_hostile_texts_take_no_time() -> None:
    """Twenty thousand characters made to make a pattern go back and forth are done in a fraction of a second."""
    began = time.process_time()
    for unit in ("$a$", "'", '"', "/*", "q'[", "E'\\", "a-", "1.", "?", "((", "--", "@", ":a", "`"):
        for system in ("postgresql", "mysql", "other_sql"):
            texts.statement(unit * (20_000 // len(unit)), system)
        texts.name(unit * 10_000)
    assert time.process_time() - began < 3


def test_names_and_routes_have_no_ids() -> None:
    """Span names and paths of SDKs that know no route: numbers, UUIDs, addresses and queries go."""
    assert texts.name("GET /users/17?token=hush") == "GET /users/?"
    assert texts.name("mail to ann@example.com") == "mail to ?"
    assert texts.name("GET /users/{id} http send") == "GET /users/{id} http send"
    assert (
        texts.route("get", "", "/users/17/posts/9f1c2d3e-1111-2222-3333-444455556666?x=1") == "GET /users/{}/posts/{}"
    )
    assert texts.route("GET", "users/<int:pk>/", "/users/7/") == "GET /users/<int:pk>/"
    assert texts.route("GET", "", "") is None


def test_what_a_statement_is_can_still_be_told() -> None:
    """With its values gone, a statement's shape is what it was: the key it asks by, and that it asks for one."""
    shape = statement_shape.shape(texts.statement("SELECT a FROM posts WHERE user_id = 17", "postgresql").text)
    assert [each.column for each in shape.keys] == ["user_id"]
    assert not shape.many_keys


def test_keys_tell_values_apart_and_differ_between_runs() -> None:
    """Same statement and values, same key; other values, another; another run, others: nobody can look one up."""

    def key(text: str, salt: bytes = b"a", more: dict[str, str] | None = None) -> int | None:
        found = row({"db.system": "postgresql", "db.statement": text, **(more or {})}, manner=Manner(salt=salt))["key"]
        assert found is None or isinstance(found, int)
        return found

    assert key("SELECT 1 FROM t WHERE id = 7") == key("SELECT 1 FROM t WHERE id = 7")
    assert key("SELECT 1 FROM t WHERE id = 7") != key("SELECT 1 FROM t WHERE id = 8")
    assert key("SELECT 1 FROM t WHERE id = 7") != key("SELECT 1 FROM t WHERE id = 7", b"b")
    open_text = "SELECT 1 FROM t WHERE id = %s"
    assert key(open_text) is None, "a placeholder's value is not in the text: two calls may ask for two keys"
    with_values = [key(open_text, more={"db.statement.parameters": f"({n},)"}) for n in (7, 7, 8)]
    assert with_values[0] == with_values[1] != with_values[2]
    named = [key(open_text, more={"db.query.parameter.0": str(n)}) for n in (7, 8)]
    assert None not in named
    assert named[0] != named[1]


def test_values_are_shown_only_when_asked() -> None:
    """--show-values keeps texts as they came; nothing else does."""
    said = {"db.system": "postgresql", "db.statement": "SELECT 1 FROM t WHERE mail = 'ann@example.com'"}
    shown = row(said, manner=Manner(salt=b"x", show=True))
    assert shown["statement"] == said["db.statement"]
    hidden = row(
        {**said, "db.query.parameter.0": "ann@example.com", "enduser.id": "ann@example.com"}, name="ann@example.com"
    )
    assert "ann" not in repr(hidden)
    request = {"http.method": "GET", "http.target": "/reset/ann@example.com?token=hush"}
    assert not {"ann", "hush"} & set(repr(row(request, kind=SERVER, name="GET /reset/ann@example.com")).split("'"))
    assert row(request, kind=SERVER)["route"] == "GET /reset/{}"
