"""
A normalised statement with the constants that make an expression what it is: `settings ->> $1` is written
`settings ->> 'token'` where all executions that auto_explain logged, or that were seen as they ran, were that.

What stands there is other people's text: it is put where exactly one `$n` of that form is, and then parsed as SQL.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.model import Statement

_CONSTANT = r"((?:E|B|X)?'(?:[^']|'')*'|\d[\w.]*)"
_FORMS = (
    (re.compile(rf'([\w."]+) (->>?) {_CONSTANT}', re.IGNORECASE), r"{0}\s*{1}\s*\$\d+"),
    (re.compile(rf'(coalesce)\(([\w."]+), {_CONSTANT}\)', re.IGNORECASE), r"{0}\s*\(\s*{1}\s*,\s*\$\d+\s*\)"),
)


def text(statement: Statement) -> str:
    """The statement's text; where it is known what an expression's constant is, and only one can be meant, with it."""
    known: dict[str, list[str]] = defaultdict(list)
    told = [each.fixed for each in (statement.logged, statement.live) if each is not None and each.fixed]
    for each in told[0] if told else ():
        for form, written in _FORMS:
            found = form.fullmatch(each)
            if found is not None:
                known[written.format(*map(re.escape, found.groups()[:2]))].append(each)
    made = statement.text
    for written, meant in known.items():
        if len(meant) == 1 and len(re.findall(written, made, re.IGNORECASE)) == 1:
            made = meant[0].join(re.split(written, made, flags=re.IGNORECASE))
    return made
