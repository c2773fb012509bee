"""A connection's socket: whether the server has hung up, and hanging up for whoever waits on it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ConnStatus

MOST_NOTICES = 10


@dataclass(slots=True)
class Marks:
    """
    What is known of a connection beside what psycopg knows.

    Args:
        start: which start of which server it is to.
        peer: the server's address, to be sure later that a file descriptor is still this connection.
        timeout_ms: the statement_timeout set on it; None is the server's.
    """

    start: str = ""
    peer: Any = None
    timeout_ms: int | None = None


class Connection(psycopg.Connection[Any]):
    """psycopg's connection, with marks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.marks = Marks()


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """psycopg's asynchronous connection, with marks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.marks = Marks()


def mark_peer(connection: Connection | AsyncConnection) -> None:
    """Remember whose address the connection has."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        connection.marks.peer = ours.getpeername()


def alive(connection: Connection | AsyncConnection) -> bool:
    """
    Whether an idle connection's server has not hung up, without asking it: some microseconds, no round trip.

    A server that ends a session says so before it closes; an idle connection on which something can be read has a
    notice or has ended. A machine that vanished without a word is not noticed here.
    """
    if connection.closed:
        return False
    try:
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        for _ in range(MOST_NOTICES):
            if not poll.poll(0):
                return connection.pgconn.status == ConnStatus.OK
            connection.pgconn.consume_input()
    except (psycopg.Error, OSError, ValueError):
        return False
    return False


def broke(connection: Any, failure: BaseException | None) -> bool:
    """
    Whether a failure ended the connection, which is then closed. A server that ends a session says so in an error
    first, and libpq notices the end only when it reads again.
    """
    if isinstance(failure, psycopg.errors.AdminShutdown | psycopg.errors.CrashShutdown):
        connection.pgconn.finish()
    return bool(connection.closed)


def cut(connection: Any) -> None:
    """
    Shut the connection's socket, so that whoever waits for its server gets an error at once.

    Called from another thread than the one that waits: the socket is shut through a copy of its descriptor, and only
    when that still leads to the same server.
    """
    with contextlib.suppress(OSError, psycopg.Error):
        ours = socket.socket(fileno=os.dup(connection.pgconn.socket))
        with ours:
            marks = getattr(connection, "marks", None)
            if marks is None or marks.peer is None or marks.peer == ours.getpeername():
                ours.shutdown(socket.SHUT_RDWR)
