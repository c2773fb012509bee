"""The metric names in a PromQL expression: tokens, not a parser."""

from __future__ import annotations

import re

LABEL_LISTS = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
KEYWORDS = LABEL_LISTS | {"and", "or", "unless", "atan2", "bool", "offset", "start", "end", "inf", "nan"}
AGGREGATIONS = frozenset(("sum", "min", "max", "avg", "group", "count", "quantile", "topk", "bottomk")) | {
    "stddev", "stdvar", "count_values", "limitk", "limit_ratio",
}  # fmt: skip
MADE_BY_PROMETHEUS = re.compile(r"^(up|ALERTS|ALERTS_FOR_STATE|scrape_\w+)$")
"""Series that Prometheus makes itself for every target and alert."""

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    | (?P<number>0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+|(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)?)
    | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],:@])
    """,
    re.VERBOSE,
)
_CLOSES = {")": "(", "}": "{", "]": "["}


class NotPromQL(ValueError):
    """The text isn't a PromQL expression; the message says where."""


def metric_names(expression: str) -> frozenset[str]:
    """
    The metrics an expression reads: not its functions, aggregations, labels and keywords.

    Raises:
        NotPromQL: empty, an unknown character, an open string or bracket.
    """
    tokens = _tokens(expression)
    if not tokens:
        raise NotPromQL("the expression is empty")
    names: set[str] = set()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if text == "{":
            at = _selector(tokens, at + 1, names)
        elif text == "[":
            at = tokens.index(("sign", "]"), at)
        elif kind == "name":
            word = text.lower()
            if word in LABEL_LISTS and following == "(":
                at = tokens.index(("sign", ")"), at)
            elif following != "(" and word not in KEYWORDS and not _aggregates(word, following):
                names.add(text)
        at += 1
    return frozenset(names)


def _aggregates(word: str, following: str) -> bool:
    return word in AGGREGATIONS and following.lower() in {"by", "without"}


def _selector(tokens: list[tuple[str, str]], at: int, names: set[str]) -> int:
    """Read label matchers up to the closing brace; a name may be in it: {__name__="x"} or {"x"}."""
    end = tokens.index(("sign", "}"), at)
    inside = tokens[at:end]
    for place, (kind, text) in enumerate(inside):
        before = [each for _, each in inside[max(place - 2, 0) : place]]
        following = inside[place + 1][1] if place + 1 < len(inside) else ","
        named = before == ["__name__", "="]
        bare = following == "," and (not before or before[-1] == ",")
        if kind == "string" and (named or bare):
            names.add(text[1:-1])
    return end


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    open_brackets: list[str] = []
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise NotPromQL(f"unexpected {expression[at]!r} at character {at + 1}")
        at = found.end()
        kind, text = str(found.lastgroup), found.group()
        if kind == "space":
            continue
        if text in "({[" and kind == "sign":
            open_brackets.append(text)
        elif text in _CLOSES and (not open_brackets or open_brackets.pop() != _CLOSES[text]):
            raise NotPromQL(f"{text!r} at character {at} closes nothing")
        tokens.append((kind, text))
    if open_brackets:
        raise NotPromQL(f"{open_brackets[-1]!r} is never closed")
    return tokens
