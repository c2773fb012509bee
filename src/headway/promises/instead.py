"""What a sentence could have said: which part of it was not understood, and the nearest one that would be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from headway.promises.quantities import Refused
from headway.promises.spoken import clause_text

if TYPE_CHECKING:
    from lark.exceptions import UnexpectedInput

_NUMBER = re.compile(r"[<>=≤≥]*-?(?:\d[\d,.]*)[kKM]?")
_KNOWN_TROUBLE = (  # words that people use in promises, and why they cannot be tested as they stand
    (r"\b(?:concurrent|simultaneous|parallel|active|virtual)\s+(?:users?|clients?|sessions?|connections?)\b|\d\w*\s+users\b",
     "users are no load until it is said how often each one asks; name the load as a rate",
     "API response time P95 < 100 ms at 500 req/s"),
    (r"\b(?:under|at|during)\s+(?:peak|normal|high|heavy|full|expected|typical)?\s*(?:load|traffic)\b(?!\s*(?:of\s*)?\d)",
     "it names a load without a number", "API response time P95 < 100 ms at 500 req/s"),
    (r"(?<![/\w])(?:endpoints|routes|pages)\b", "it is unclear whether each one must hold it or all together",
     "API response time P95 < 100 ms"),
    (r"\bmiss(?:es)?(?:[\s-]?(?:rate|ratio))?\b", "misses are promised as hits", "cache hit rate > 80%"),
    (r"\bsuccess(?:ful)?\b", "success is promised as availability or as error rate", "availability >= 99.9%"),
    (r"(?<![<>=])==?(?![<>=])\s*[\d.,]+\s*[\w%/]*", "no measurement equals a number; name a bound", None),
    (r"[-−–]\s?\d[\d.,]*\s*[\w%/]*", "there is nothing below zero", None),
    (r"(?<![\w.])\d+(?:\.\d+)?\s*m\b", '"m" may be minutes, milli or a million; write min, ms or M', None),
    (r"(?<!\d)\d{1,2},\d{1,2}(?!\d)", "decimals are written with a point", None),
)  # fmt: skip
_BY_KEYWORD = (
    (r"alert", "alerts configured"),
    (r"\bapm\b|monitor|metric|dashboard|observ", "monitoring enabled"),
    (r"index|\bscan", "database queries indexed"),
    (r"hit|cache", "cache hit rate > 80%"),
    (r"error|fail|5xx", "error rate < 0.1%"),
    (r"availab|uptime|downtime", "availability >= 99.9%"),
    (r"quer|database|\bdb\b|sql", "database queries avg < 50 ms"),
    (r"rps|qps|req\w*\s*(?:/|per)|throughput|handle|sustain|scale|concurren", "throughput >= 500 req/s"),
    (r"", "API response time P95 < 100 ms"),
)


def complaint(plain: str, unexpected: UnexpectedInput) -> Refused:
    """Why the sentence does not fit the grammar, naming its part."""
    strange = strange_parts(plain)
    for pattern, why, instead in _KNOWN_TROUBLE:
        found = re.search(pattern, plain, re.IGNORECASE)
        if found:
            return Refused(f'"{found[0].strip()}" is not understood: {why}', instead)
    if strange:
        if all(_NUMBER.fullmatch(part) for part in strange):
            return Refused(f'"{strange[0]}" has no unit: ms, req/s, %', nearest(plain))
        return Refused(" and ".join(f'"{part}"' for part in strange) + _are(strange) + " not understood")
    if isinstance(unexpected, UnexpectedToken) and unexpected.token.type != "$END":
        rest = plain[unexpected.token.start_pos or 0 :]
        return Refused(f'it cannot be read on from "{rest}"')
    return Refused("something is missing: what is measured, the comparison, or the limit with its unit")


def strange_parts(plain: str) -> list[str]:
    """The runs of words, as written, that hold something the grammar does not know."""
    words = [(found.start(), found.end()) for found in re.finditer(r"\S+", plain)]
    strange = {index for index, _ in enumerate(words)} & _strange_words(plain, words)
    runs: list[list[int]] = []
    for index in sorted(strange):
        if runs and (index == runs[-1][-1] + 1 or _is_harmless(plain, words[runs[-1][-1] + 1 : index])):
            runs[-1].append(index)
        else:
            runs.append([index])
    return [plain[words[run[0]][0] : words[run[-1]][1]].strip(",;") for run in runs]


def nearest(plain: str, proposed: str | None = None) -> str:
    """A sentence that is understood, as near to this one as can be found; `proposed` when that is one."""
    for candidate in () if proposed is None else (proposed,):
        if _said(candidate, once=True):
            return candidate
    for candidate in _candidates(plain):
        said = _said(candidate)
        if said is not None:
            return said
    return next(example for pattern, example in _BY_KEYWORD if re.search(pattern, plain, re.IGNORECASE))


def _candidates(plain: str) -> list[str]:
    short = plain[:200]
    words = [(found.start(), found.end()) for found in re.finditer(r"\S+", short)]
    strange = _strange_words(short, words)
    known = " ".join(short[start:end] for index, (start, end) in enumerate(words) if index not in strange)
    with_unit = [
        re.sub(r"(?<![\w.,/-])(\d[\d,.]*[kKM]?)(?![\w.,%/])(?!\s*(?:ms|s|%|req|rps)\b)", rf"\g<1> {unit}", short)
        for unit in ("ms", "req/s", "%")
    ]
    bound = re.sub(r"(?<![<>=])==?(?![<>=])", "<=", short), re.sub(r"(?<![<>=])==?(?![<>=])", ">=", short)
    positive = re.sub(r"[-−–]\s?(?=\d)", "", short)
    point = re.sub(r"(?<!\d)(\d{1,2}),(\d{1,2})(?!\d)", r"\1.\2", short)
    requests = re.sub(r"(\d[KM]?)\s*(?:requests?|reqs?)\b(?!\s*(?:/|per))", r"\1 req/s", short, flags=re.IGNORECASE)
    return [*with_unit, *bound, positive, point, requests, known]


def _said(candidate: str, *, once: bool = False) -> str | None:
    """The candidate as Headway would say it; None when it is not understood, nor what would be said instead of it."""
    from lark.exceptions import UnexpectedInput

    from headway.promises.criterion import grammar
    from headway.promises.sentence import clauses

    try:
        return " and ".join(clause_text(clause) for clause in clauses(grammar().parse(candidate)))
    except UnexpectedInput:
        return None
    except Refused as refused:
        return None if once or refused.instead is None else _said(refused.instead, once=True)


def _strange_words(plain: str, words: list[tuple[int, int]]) -> set[int]:
    """Indices of the words in which the lexer stops."""
    from headway.promises.criterion import grammar

    left, strange = plain, set[int]()
    for _ in words:
        try:
            for _token in grammar().lex(left):
                pass
        except UnexpectedCharacters as stop:
            at = stop.pos_in_stream or 0
            index = next(i for i, (start, end) in enumerate(words) if start <= at < end)
            start, end = words[index]
            strange.add(index)
            left = left[:start] + " " * (end - start) + left[end:]
        else:
            break
    return strange


def _is_harmless(plain: str, words: list[tuple[int, int]]) -> bool:
    from headway.promises.criterion import grammar

    try:
        return all(not list(grammar().lex(plain[start:end])) for start, end in words)
    except UnexpectedCharacters:  # half of a quantity of two words
        return False


def _are(parts: list[str]) -> str:
    return " is" if len(parts) == 1 else " are"
