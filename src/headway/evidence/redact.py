"""Secrets out of what is kept: URLs, headers, bodies, commands, statements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "***"
_NAME = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|credential|authorization|session)"
_SECRET_HEADER = re.compile(_NAME + r"|^(?:cookie|x-auth.*|proxy-auth.*)$", re.IGNORECASE)
_JSON_MEMBER = re.compile(rf'("[^"]*{_NAME}[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_FORM_FIELD = re.compile(rf"(?<![\w.-])([\w.-]*{_NAME}[\w.-]*=)[^&\s\"']+", re.IGNORECASE)
_OPTION = re.compile(rf"(--?[\w-]*{_NAME}[\w-]*[ =])\S+", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+@")
_SQL_CONSTANT = re.compile(
    r"(?P<kept>\"(?:[^\"]|\"\")*\"?|\$\d+)|(?P<comment>/\*.*?(?:\*/|$)|--[^\n]*)"
    r"|[eE]'(?:[^'\\]|''|\\.)*'?|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'?|\$(?P<tag>[^\W\d]?\w*)\$.*?(?:\$(?P=tag)\$|$)"
    r"|(?P<name>[^\W\d][\w$]*)|\d[\w.]*",
    re.DOTALL,
)
_SQL_PASSWORD = re.compile(r"(\bpassword\s+)(?:E?'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\2\$|$))", re.IGNORECASE | re.DOTALL)


def url(text: str) -> str:
    """A URL without user, password and secret query fields; host, port and path stay."""
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")
        netloc = f"{HIDDEN}@{host[2]}" if host[1] else host[2]
        return urlunsplit((parts.scheme, netloc, parts.path, _FORM_FIELD.sub(rf"\1{HIDDEN}", parts.query), ""))
    except ValueError:
        return HIDDEN


def header(name: str, value: str) -> str:
    """A header's value, hidden when its name says that it is a secret."""
    return HIDDEN if _SECRET_HEADER.search(name) else value


def body(text: str) -> str:
    """A request's path or body without the values of secret JSON members and form fields."""
    return _FORM_FIELD.sub(rf"\1{HIDDEN}", _JSON_MEMBER.sub(rf'\1"{HIDDEN}"', text))


def command(text: str) -> str:
    """A command line without the values of secret options and variables, and without users in URLs."""
    return _OPTION.sub(rf"\1{HIDDEN}", _USER_IN_URL.sub(f"{HIDDEN}@", body(text)))


def statement(text: str) -> str:
    """A statement without passwords: pg_stat_statements doesn't normalise ALTER ROLE ... PASSWORD '...'."""
    return _SQL_PASSWORD.sub(rf"\1'{HIDDEN}'", text)


def constants(text: str) -> str:
    """A statement, or a piece of one as a plan shows it, with `?` for each constant; its end may be cut off."""
    return _SQL_CONSTANT.sub(_without_constant, text)


def constant_places(text: str) -> Iterator[re.Match[str]]:
    """Where the constants of a statement stand; what looks like one inside another, or a comment, is none."""
    return (each for each in _SQL_CONSTANT.finditer(text) if not (each["kept"] or each["name"] or each["comment"]))


def _without_constant(found: re.Match[str]) -> str:
    if found["comment"] is not None:
        return " "
    return found["kept"] or found["name"] or "?"
