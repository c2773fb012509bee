"""
What can go wrong, by what the service can do about it. All are psycopg's OperationalError: one handler answers 503.

psycopg.OperationalError
└── DatabaseUnavailable   nothing was done: try again later
    └── CommitUnknown     it may have been committed: read before trying again
"""

from __future__ import annotations

import psycopg


class DatabaseUnavailable(psycopg.OperationalError):
    """No server could be had that may answer. Nothing was read or written."""


class CommitUnknown(DatabaseUnavailable):
    """The connection ended while COMMIT was under way."""
