"""
PostgreSQL with replicas: reads go to replicas that have what their session wrote, writes to the primary.

Needs the extra `headway[database]` (psycopg 3 and its pool).
"""

from headway.runtime.database.awaiting import AsyncDatabase
from headway.runtime.database.blocking import Database
from headway.runtime.database.errors import CommitUnknown, DatabaseUnavailable
from headway.runtime.database.fleet import Reason, Standing
from headway.runtime.database.ledger import Holder, PoolState, Times
from headway.runtime.database.session import Session
from headway.runtime.database.settings import Settings
from headway.runtime.database.sizing import Advice, advise

__all__ = [
    "Advice",
    "AsyncDatabase",
    "CommitUnknown",
    "Database",
    "DatabaseUnavailable",
    "Holder",
    "PoolState",
    "Reason",
    "Session",
    "Settings",
    "Standing",
    "Times",
    "advise",
]
