"""What is taken out of an answer, and what is asked of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.load import check, document, extract
from headway.load.answer import Answer
from headway.model import Check, Extraction


def answer(body: bytes | Any = b"", *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(200, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def taken(source: str, expression: str, whole: Answer) -> str | None:
    return extract.compiled(Extraction(name="x", source=source, expression=expression))(whole)


def judged(whole: Answer, source: str, expression: str, equals: str | None = None, **values: str) -> str | None:
    return check.compiled(Check(source=source, expression=expression, equals=equals))(whole, values)


SHOP = {
    "token": "a b",
    "id": 17,
    "big": 12345678901234567890123,
    "price": 1.5,
    "open": True,
    "gone": None,
    "empty": "",
    "items": [{"id": 1, "tag": "x"}, {"id": 2, "tag": "y"}],
    "odd key": {"ü": "v"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.token", "a b"),
        ("$.id", "17"),
        ("$.big", "12345678901234567890123"),
        ("$.price", "1.5"),
        ("$.open", "true"),
        ("$.empty", ""),
        ("$.items[1].id", "2"),
        ("$.items[-1].tag", "y"),
        ("$['odd key']['ü']", "v"),
        ("$.items[?@.id > 1].tag", "y"),
        ("$..tag", "x"),
        ("$.items[*].id", "1"),
        ("$.gone", None),
        ("$.items", None),
        ("$.items[0]", None),
        ("$.nothing", None),
        ("$.items[9].id", None),
        ("$.items.id", None),
        ("$.token[0]", None),
        ("$.id.id", None),
        ("$", None),
    ],
)
def test_a_json_path_finds_the_first_plain_value(path: str, value: str | None) -> None:
    """Text, numbers, true and false are values; null, objects and arrays are none, nor is what isn't there."""
    assert taken("json", path, answer(SHOP)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=12,
    ),
    st.lists(st.sampled_from("abc") | st.integers(-3, 3), max_size=4),
)
def test_the_short_way_finds_what_the_library_finds(body: Any, keys: list[str | int]) -> None:
    """Plain paths are walked without the JSONPath library, and mean exactly what they mean there."""
    from jsonpath import JSONPathEnvironment

    path = "$" + "".join(f"[{key!r}]" for key in keys)
    assert list(document.path(path)(body)) == JSONPathEnvironment(strict=True).findall(path, body)


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"token": "x"} trailing', b"\x00"],
)
def test_what_is_not_json_gives_nothing_and_no_error(body: bytes) -> None:
    """Any body at all: an extraction finds nothing, a check says why in a few words."""
    assert taken("json", "$.token", answer(body)) is None
    assert judged(answer(body), "json", "$.token") in {"the body is empty", "the body is not JSON"}


@given(st.binary(max_size=60), st.binary(max_size=30))
def test_no_answer_makes_a_look_fail(body: bytes, header: bytes) -> None:
    """Whatever bytes come: a value or none, a reason or none, never an exception."""
    whole = answer(body, (b"content-type", header), (b"set-cookie", header), (b"x", header))
    for source, expression in (("json", "$..a"), ("header", "X"), ("regex", "(a)|."), ("cookie", "sid")):
        taken(source, expression, whole)
    for source, expression in (("json", "$.a"), ("header", "x"), ("regex", "(a)|."), ("text", "ü"), ("max_bytes", "3")):
        judged(whole, source, expression, "v" if source not in {"text", "max_bytes"} else None)


def test_headers_are_found_whatever_their_case() -> None:
    """The first header of the name, as UTF-8 or Latin-1."""
    whole = answer(b"", (b"location", b"/a"), (b"location", b"/b"), (b"x-name", "Zoë".encode("latin-1")))
    assert taken("header", "Location", whole) == "/a"
    assert taken("header", "X-NAME", whole) == "Zoë"
    assert taken("header", "etag", whole) is None


def test_a_regex_gives_its_first_group() -> None:
    """The group, else the whole match; a group that took no part is nothing; the charset is heeded."""
    page = answer(b'<input name="csrf" value="t-1"> <input value="t-2">')
    assert taken("regex", r'value="([^"]+)"', page) == "t-1"
    assert taken("regex", r"t-\d", page) == "t-1"
    assert taken("regex", r"(z)?t-2", page) is None
    assert taken("regex", r"none", page) is None
    latin = answer("größe".encode("latin-1"), (b"content-type", b'text/html; charset="ISO-8859-1"'))
    assert taken("regex", r"gr(.)", latin) == "ö"
    assert taken("regex", r"gr(.)", answer(latin.body)) == "\ufffd"
    assert taken("regex", r"gr(.)", answer("grö".encode(), (b"content-type", b"text/html; charset=rot13"))) == "ö"


def test_a_cookie_is_taken_as_it_was_set() -> None:
    """By exact name, without its attributes; the last one where it is set twice."""
    whole = answer(
        b"", (b"set-cookie", b"sid=1; Path=/; HttpOnly"), (b"set-cookie", b"sid2=x"), (b"set-cookie", b"sid = a=b ")
    )
    assert taken("cookie", "sid", whole) == "a=b"
    assert taken("cookie", "Path", whole) is None


@pytest.mark.parametrize(
    ("source", "expression", "equals", "reason"),
    [
        ("json", "$.token", None, None),
        ("json", "$.gone", None, None),
        ("json", "$.id", "17", None),
        ("json", "$.open", "true", None),
        ("json", "$.gone", "null", None),
        ("json", "$.items[*].id", "2", None),
        ("json", "$.nothing", None, "nothing at $.nothing"),
        ("json", "$.id", "18", "$.id is '17', not '18'"),
        ("json", "$.items", "1", "$.items is an array, not '1'"),
        ("json", "$.items[*].id", "3", "$.items[*].id is '1' and 1 more, not '3'"),
        ("header", "ETag", '"1"', None),
        ("header", "ETag", '"2"', "header ETag is '\"1\"', not '\"2\"'"),
        ("header", "Age", None, "no header Age"),
        ("regex", r'"id": (\d+)', "17", None),
        ("regex", r'"id": (\d+)', "7", "found '17', not '7'"),
        ("regex", "sold out", None, "no match for 'sold out'"),
        ("text", '"token"', None, None),
        ("text", "welcome", None, "the body lacks 'welcome'"),
        ("max_bytes", "100000", None, None),
        ("max_bytes", "10", None, "bytes, more than 10"),
    ],
)
def test_a_check_holds_or_says_why(source: str, expression: str, equals: str | None, reason: str | None) -> None:
    """None when it holds; else a few words with what was there."""
    found = judged(answer(SHOP, (b"etag", b'"1"')), source, expression, equals)
    assert found is None if reason is None else found is not None and reason in found


def test_a_check_compares_with_what_was_asked() -> None:
    """`{name}` in equals is the visit's own value, so that an answer about somebody else does not pass."""
    body = answer({"id": 17, "note": "{x}"})
    assert judged(body, "json", "$.id", "{user_id}", user_id="17") is None
    assert judged(body, "json", "$.id", "{user_id}", user_id="18") == "$.id is '17', not '18'"
    assert judged(body, "json", "$.note", "{x}", user_id="18") is None


def test_a_reason_is_short_and_on_one_line() -> None:
    """A page of text in the wrong place does not become a page of reason."""
    reason = judged(answer({"a": "x\n" * 5000}), "json", "$.a", "y") or ""
    assert "\n" not in reason
    assert len(reason) < 100


@pytest.mark.parametrize(
    ("source", "expression", "said"),
    [
        ("json", "token", "expected"),
        ("json", "$.items[", "unexpected end"),
        ("json", "$[?@.a=~/x/]", "unexpected token"),
        ("header", "a b", "no header's name"),
        ("regex", "(", "no regular expression"),
        ("cookie", "a=b", "no cookie's name"),
        ("xpath", "//a", "none of json, header, regex, cookie"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(source: str, expression: str, said: str) -> None:
    """When the scenario is read, not while load is made."""
    with pytest.raises(ValueError, match=said):
        extract.compiled(Extraction(name="x", source=source, expression=expression))


@pytest.mark.parametrize(
    ("source", "expression", "equals", "said"),
    [
        ("text", "", None, "empty text"),
        ("text", "a", "a", "has no equals"),
        ("max_bytes", "-1", None, "no whole number"),
        ("max_bytes", "10", "10", "has no equals"),
        ("status", "200", None, "none of json"),
    ],
)
def test_a_check_that_means_nothing_is_refused(source: str, expression: str, equals: str | None, said: str) -> None:
    """A check that could never fail, or never hold, is a mistake to mend."""
    with pytest.raises(ValueError, match=said):
        check.compiled(Check(source=source, expression=expression, equals=equals))
