"""
Heads of answers that were seen before: byte for byte the same head means what it meant, and needs no parser.

Only the simplest kind is kept: a final answer that came whole in one read, with one Content-Length that was true, on a
connection that goes on. All others go through llhttp each time.
"""

from __future__ import annotations

import re

MOST = 1024
LEARNT_AT_ONCE = 64
"""Where each head differs (a request's number in it), learning would cost more than it saves: so many a `renew`."""
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,12})[ \t]*(?=\r|$)", re.IGNORECASE)
_OTHERWISE = re.compile(rb"\r\n(?:transfer-encoding|upgrade|content-length[^:]*:[^\r]*[^\d\r\t ])", re.IGNORECASE)
_BODILESS = frozenset({204, 304})


NONE = b"\0"
"""No answer begins so."""


class Heads:
    """
    `known`: head without its last empty line -> (bytes of the whole answer, status).

    `last`, `last_bytes`, `last_status`: the one learnt last, with its empty line: where all answers are alike,
    comparing with it is cheaper than looking it up.
    """

    __slots__ = ("_left", "known", "last", "last_bytes", "last_status")

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[int, int]] = {}
        self.last, self.last_bytes, self.last_status = NONE, 0, 0
        self._left = LEARNT_AT_ONCE

    def renew(self) -> None:
        """Some more may be learnt."""
        self._left = LEARNT_AT_ONCE

    def learn(self, answer: bytes, status: int) -> None:
        """Keep the head of an answer that a parser has found to be whole, the only one, and reusable."""
        if self._left <= 0 or status in _BODILESS:
            return
        self._left -= 1
        end = answer.find(b"\r\n\r\n")
        head = answer[:end]
        lengths = _LENGTH.findall(head)
        if len(lengths) != 1 or _OTHERWISE.search(head) or head[9:12] != b"%d" % status:
            return
        if len(answer) == end + 4 + int(lengths[0]):
            if len(self.known) >= MOST:
                self.known.clear()
            self.known[head] = (len(answer), status)
            self.last, self.last_bytes, self.last_status = answer[: end + 4], len(answer), status
