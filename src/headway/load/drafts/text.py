"""A draft as a scenario file: the scenario's own form, with what the source could not say as comments beside it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from headway.load import written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.load.drafts.draft import Draft

WIDTH = 118
ASLEEP = "Not asked, since they write or are no user's requests. To ask for one, remove the # before its lines."
_TABLE = re.compile(r"^\[(?P<name>load|(?:parameters|feeds)\.[\w\"-]+)\]\s*$|^(?P<route>\[\[routes\]\])\s*$")


def render(draft: Draft) -> str:
    """The file's text. What is in comments changes nothing; the rest is `written.dumps`'s."""
    head = [f"First draft, made by 'headway init' from {draft.found}.", *draft.notes]
    lines = [*comment(head), ""]
    lines += _remarked(written.dumps(draft.scenario).split("\n"), draft, [each.name for each in draft.scenario.routes])
    if draft.asleep:
        lines += [
            "",
            *comment([ASLEEP]),
        ]
        lines += _asleep(draft)
    return "\n".join(lines).rstrip() + "\n"


def comment(sentences: Sequence[str]) -> list[str]:
    """The sentences as comments, each on lines of its own; no text from a source can end the comment."""
    found = []
    for each in sentences:
        clean = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\u2028\u2029]", "?", " ".join(each.split()))
        found += [f"# {line}" for line in textwrap.wrap(clean, WIDTH, break_on_hyphens=False, break_long_words=False)]
    return found


def _remarked(lines: Sequence[str], draft: Draft, routes: Sequence[str]) -> list[str]:
    found: list[str] = []
    names = iter(routes)
    for line in lines:
        table = _TABLE.match(line)
        if table is not None:
            part = next(names) if table["route"] else table["name"].replace('"', "")
            found += comment(draft.remarks.get(part, ()))
        found.append(line)
    return found


def _asleep(draft: Draft) -> list[str]:
    """The routes that are not asked, with the parameters only they use, as the file would have them."""
    only = replace(
        draft.scenario, routes=draft.asleep, parameters=draft.asleep_parameters, journeys=(), setup=(), teardown=()
    )
    text = written.dumps(only)
    start = re.search(r"^\[(?:parameters|feeds)\.|^\[\[routes\]\]", text, re.MULTILINE)
    lines = text[start.start() if start else 0 :].split("\n")
    remarked = _remarked(lines, draft, [each.name for each in draft.asleep])
    return [line if line.startswith("# ") or not line else f"#{line}" for line in remarked]
