"""
Entity tags and conditional GET: an answer that has not changed is 304 and no body.

Source: RFC 9110, 8.8.3 (ETag), 13.1.2 (If-None-Match: weak comparison).
"""

from __future__ import annotations

import hashlib
import re

_TAG = re.compile(r'\s*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
LONGEST = 8_192


def etag(body: bytes, *, weak: bool = False) -> str:
    """The tag of a body: equal bodies, equal tags, on every process. `weak` for bodies that only mean the same."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return f"W/{tag}" if weak else tag


def not_modified(if_none_match: str | None, tag: str) -> bool:
    """
    Whether a GET or HEAD with this If-None-Match is answered by 304.

    A header that is not as the standard has it matches nothing: the whole answer is always right.
    """
    if if_none_match is None or len(if_none_match) > LONGEST:
        return False
    if if_none_match.strip() == "*":
        return True
    opaque, at, tags = tag.removeprefix("W/"), 0, set()
    while at < len(if_none_match):
        found = _TAG.match(if_none_match, at)
        if found is None:
            return False
        tags.add(found[1])
        at = found.end()
    return opaque in tags
