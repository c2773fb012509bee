"""
What a client carries from a write to its next read: how far the database had come, in a cookie or a header.

`1.<position, hex>.<cluster>[.<signature>]`. With a secret it is signed (HMAC-SHA-256, 128 bits of it); without one
anybody can write one, and gains by it that his own reads go to the primary. A value that is not understood, of another
cluster, or wrongly signed is ignored: the read is then as any other's.
"""

from __future__ import annotations

import hashlib
import hmac
import re

SHAPE = re.compile(r"1\.([0-9a-f]{1,16})\.([0-9a-f]{8})(?:\.([0-9a-f]{32}))?")
LONGEST = 70


def seal(position: int, cluster: str, secret: bytes | None) -> str:
    """The token of a position in a cluster (its mark as of `mark`)."""
    plain = f"1.{position:x}.{cluster}"
    return plain if secret is None else f"{plain}.{_signature(plain, secret)}"


def unseal(text: str | None, cluster: str | None, secret: bytes | None) -> int:
    """
    The position a token asks for; 0 (nothing) when it is not one of ours.

    Args:
        cluster: the mark of the cluster; None while it is not known yet, when any is taken.
    """
    if text is None or len(text) > LONGEST or (found := SHAPE.fullmatch(text)) is None:
        return 0
    if cluster is not None and found[2] != cluster:
        return 0
    if secret is not None:
        plain = text.rpartition(".")[0]
        if found[3] is None or not hmac.compare_digest(found[3], _signature(plain, secret)):
            return 0
    return int(found[1], 16)


def mark(system_identifier: str) -> str:
    """Eight hexadecimal digits that stand for a cluster; its identifier itself is nobody's business."""
    return hashlib.sha256(system_identifier.encode()).hexdigest()[:8]


def _signature(plain: str, secret: bytes) -> str:
    return hmac.new(secret, plain.encode(), hashlib.sha256).hexdigest()[:32]
