"""One answer whole, for those that look into it: checks, extractions, redirects, cookies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.load import encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

Headers = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, values without the space around them, in the order they came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer. Interim ones (1xx) are not kept. The body's content encoding is already taken off."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name, which is in lower case."""
        return next(self.all(name), None)

    def all(self, name: bytes) -> Iterator[bytes]:
        """Every header of that name, as Set-Cookie may come several times."""
        return (value for each, value in self.headers if each == name)


def decoded(headers: Headers, body: bytes, most_bytes: int) -> bytes:
    """
    The body without its content encoding.

    Args:
        headers: of the answer.
        body: as it came.
        most_bytes: what it may grow to.

    Raises:
        ValueError: damaged, larger than that, or in an encoding nobody here knows.
    """
    return encoding.plain(b",".join(value for name, value in headers if name == b"content-encoding"), body, most_bytes)
