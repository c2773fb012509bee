"""Where the cache keeps what."""

from __future__ import annotations


def user_key(id: int) -> str:
    """One user."""
    return f"user:{id}"


def product_key(id: int) -> str:
    """One product."""
    return f"product:{id}"
