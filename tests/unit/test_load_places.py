"""Line and column of everything in a scenario file, TOML or YAML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.load import toml_places, yaml_places
from headway.load.places import Place, Rows, Table

TOML = """\
name = "x"
[load]
rate = 5
"a b".c = '''
]'''
[[routes]]
path = "/"   # [not = "this"]
h = { a.b = [1, 2 , {c = \"\"\"x
]\"\"\"}], "q r" = 2020-01-01 10:00:00 }
[[routes.sub]]
x = 1
[[routes]]
  path = "/b"
"""


def at(found: Place | None) -> tuple[int, int | None]:
    assert found is not None
    return found.line, found.column


def test_every_key_and_value_of_toml_has_its_place() -> None:
    """Dotted and quoted keys, strings of several lines, comments, tables in tables in lists."""
    read = toml_places.read(TOML)
    assert at(read.keys_at["name"]) == (1, 1)
    assert at(read.values_at["name"]) == (1, 8)
    assert at(read["load"].values_at["rate"]) == (3, 8)
    assert at(read["load"]["a b"].values_at["c"]) == (4, 11)
    first, second = read["routes"]
    assert [at(each) for each in read["routes"].items_at] == [(6, 1), (12, 1)]
    assert at(first.values_at["path"]) == (7, 8)
    assert at(first["h"]["a"].keys_at["b"]) == (8, 9)
    assert [at(each) for each in first["h"]["a"]["b"].items_at] == [(8, 14), (8, 17), (8, 21)]
    assert at(first["h"]["a"]["b"][2].values_at["c"]) == (8, 26)
    assert at(first["h"].keys_at["q r"]) == (9, 9)
    assert at(first["sub"][0].values_at["x"]) == (11, 5)
    assert at(second.keys_at["path"]) == (13, 3)


KEYS = st.sampled_from(["a", "b-1", "1", '"q. #"', "'l]'", '"\\u00e9"'])
SCALARS = st.sampled_from(
    ['"a, ] } # b"', "'c=\"'", '"""x\n[y]\n""z"""', "'''\n}'''", '""""""', '""""""""', "1_000", "-2.5e3", "true",
     "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", '"\\""', '"\\\\"', "''"]
)  # fmt: skip
SPACE = st.sampled_from(["", " ", "\t"])
BREAK = st.sampled_from(["", " ", "\n", " # ] } \" '\n", "\r\n"])


def listed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(BREAK, inner, BREAK).map("".join)
    return st.lists(item, max_size=3).map(lambda items: f"[{','.join(items)}]")


def inline(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(SPACE, KEYS, SPACE, inner, SPACE).map(
        lambda each: f"{each[0]}{each[1]}{each[2]}={each[3]}{each[4]}"
    )
    return st.lists(pair, max_size=3).map(lambda pairs: f"{{{','.join(pairs)}}}")


VALUES = st.recursive(SCALARS, lambda inner: listed(inner) | inline(inner), max_leaves=6)
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(" . ".join)
LINES = st.one_of(
    st.tuples(DOTTED, VALUES).map(lambda each: f"{each[0]} = {each[1]}"),
    DOTTED.map(lambda key: f"[{key}]"),
    DOTTED.map(lambda key: f"[[ {key} ]] # c"),
    st.sampled_from(["", "# a = 1", "   "]),
)


@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_the_walk_sees_what_tomllib_sees(lines: list[str], end: str) -> None:
    """In any TOML: the same content, and a place for every key, value and item, where that very thing stands."""
    text = end.join(lines)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    read = toml_places.read(text)
    assert read == content
    placed(read, text.replace("\r\n", "\n").split("\n"))


def placed(value: Any, lines: list[str]) -> None:
    if isinstance(value, Table):
        assert set(value.keys_at) == set(value.values_at) == set(value)
        for key, place in value.keys_at.items():
            text = lines[place.line - 1][(place.column or 0) - 1 :]
            assert text.startswith(key) or text[0] in "\"'"
        for each in value.values():
            placed(each, lines)
    if isinstance(value, Rows):
        assert len(value.items_at) == len(value)
        assert None not in value.items_at
        for each in value:
            placed(each, lines)


def test_yaml_means_what_people_mean_and_has_places() -> None:
    """The rules of YAML 1.2: no and on are text, 12:30 is text; every key and value has its place."""
    read = yaml_places.read(
        "name: no\n1: ~\nat: 12:30\nroutes:\n- path: /\n  weight: 1e3\n- &b {path: /b, n: 0x1f, 'q': '5', t: true}\n"
        "again: *b\nlong: |\n  a\n  b\nbig: .inf\nday: 2020-01-01\n"
    )
    assert read["name"] == "no"
    assert read["1"] is None
    assert (read["at"], read["day"], read["long"], read["big"]) == ("12:30", "2020-01-01", "a\nb\n", float("inf"))
    assert read["routes"] == [{"path": "/", "weight": 1000.0}, {"path": "/b", "n": 31, "q": "5", "t": True}]
    assert read["again"] == read["routes"][1]
    assert at(read["routes"][0].keys_at["weight"]) == (6, 3)
    assert at(read["routes"][1].values_at["n"]) == (7, 20)
    assert at(read["routes"].items_at[0]) == (5, 3)
    assert yaml_places.read("# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("a: 1\nb: [\n", "expected the node content", (3, 1)),
        ("a: 1\na: 2\n", "there twice", (2, 1)),
        ("a: !!python/object/apply:os.system [ls]\n", "the tag", (1, 4)),
        ("a: !!int '3'\n", "the tag", (1, 4)),
        ("a: 1\n--- \nb: 2\n", "another document", (2, 1)),
        ("- 1\n", "not a table", (1, 1)),
        ("a: &x [*x]\n", "endless", (1, 4)),
        ("? [a]\n: 1\n", "a key that is not text", (1, 3)),
        ("a: b\n\x07: 1\n", "may not stand in YAML", (2, 1)),
        ("a: *none\n", "undefined alias", (1, 4)),
    ],
)
def test_yaml_that_is_not_read_is_refused_at_its_place(text: str, said: str, place: tuple[int, int]) -> None:
    """What YAML has and a scenario hasn't is refused with line and column, and nothing in it is run."""
    with pytest.raises(yaml_places.NotYaml, match=said) as refused:
        yaml_places.read(text)
    assert at(refused.value.place) == place


def test_a_short_text_of_anchors_cannot_be_endless() -> None:
    """Anchors that refer to anchors ("a billion laughs") end early."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    with pytest.raises(yaml_places.NotYaml, match="endless"):
        yaml_places.read(text)


@given(st.text(max_size=60))
def test_no_text_makes_the_readers_fail(text: str) -> None:
    """Any text is read, or refused as what it is not."""
    for read, refused in ((toml_places.read, ValueError), (yaml_places.read, yaml_places.NotYaml)):
        try:
            read(text)
        except refused:
            continue
