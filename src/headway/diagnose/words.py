"""How findings say statements, and how they are told apart over runs."""

from __future__ import annotations

import hashlib
import re

LONGEST = 110


def one_line(text: str, most: int = LONGEST) -> str:
    """Text from outside on one short line, without characters a terminal would obey."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def fingerprint(rule: str, *location: str) -> str:
    """The same for the same rule and place in every run: numbers don't go in."""
    return hashlib.sha256("\x00".join((rule, *(" ".join(each.split()) for each in location))).encode()).hexdigest()[:16]


def quoted(name: str) -> str:
    """A column as SQL names it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else '"' + name.replace('"', '""') + '"'
