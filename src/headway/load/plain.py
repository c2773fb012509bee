"""
Clear-text sockets read and written directly: what an event loop's transports cost is saved, its rules are kept.

One epoll holds all sockets of a worker and stands as a single readable file in the worker's event loop. When it wakes
the loop, everything that is ready is served in batches before the loop goes on, so that under load one turn of the
loop pays for many answers, and idle timers, pipes and TLS connections are served as always.

Source: epoll(7), "an epoll file descriptor can itself be watched"; wrk serves its connections in the same way.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 128
SLICE_NS = 2_000_000
"""How long the poller may keep the event loop for itself while more and more is ready."""
LINGER_NS = 40_000
"""What is due so soon is waited for here, asking again and again: a timer and a turn of the loop would take as long."""
AWAY_NS = 1_000_000
"""Who took so long to ask had no processor: what has come meanwhile is served before what is due."""
READ_BYTES = 1 << 16
QUEUE_FULL_S = 0.002
_IN = select.EPOLLIN
_OUT = select.EPOLLOUT
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})


class Poller:
    """
    Serves the sockets of one worker.

    `after` is called after each batch: the moment to send what has become due meanwhile. `due` says when something is
    due next, on the monotonic clock. `idle` is called when nothing is ready any more, nor due in a moment: then the
    alarm is set. `lingered_ns` is what was spent waiting for what is due in a moment: processor time, but no work.

    Args:
        loop: the running event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self.buffer = bytearray(READ_BYTES)  # what one read brings; the next overwrites it
        self.after: Callable[[], None] | None = None
        self.due: Callable[[], int] | None = None
        self.idle: Callable[[], None] | None = None
        self.lingered_ns = 0
        loop.add_reader(self._epoll.fileno(), self._serve)

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready` with the events that have come about on `fd`; `events` as for epoll(7)."""
        if fd in self._ready:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._ready[fd] = ready

    def forget(self, fd: int) -> None:
        """Watch no more."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Watch nothing any more. Sockets that are still open are their owners' to close."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._ready.clear()

    async def connect(self, protocol: asyncio.Protocol, address: tuple[str, int] | str) -> None:
        """
        Connect and call `protocol.connection_made`.

        Args:
            protocol: as asyncio has it; `data_received` and `connection_lost` follow.
            address: (numeric host, port), or the path of a Unix socket.

        Raises:
            OSError: refused, unreachable, or this machine has no more files or ports.
        """
        sock = socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address)
            while code == errno.EAGAIN and sock.family == socket.AF_UNIX:
                # The listener's queue is full, and nothing says when it has room: connect(2), EAGAIN.
                await asyncio.sleep(QUEUE_FULL_S)
                code = sock.connect_ex(address)
            if code in _UNDER_WAY:
                await self._connected(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except BaseException:
            sock.close()
            raise
        if code:
            sock.close()
            raise OSError(code, os.strerror(code))
        PlainTransport(self, sock, protocol)

    async def _connected(self, sock: socket.socket) -> None:
        writable = self._loop.create_future()

        def ready(_events: int) -> None:
            self.forget(sock.fileno())
            if not writable.done():
                writable.set_result(None)

        self.watch(sock.fileno(), _OUT, ready)
        try:
            await writable
        finally:
            self.forget(sock.fileno())

    def _serve(self) -> None:
        poll, ready, after, due = self._epoll.poll, self._ready, self.after, self.due
        last_ns = monotonic_ns()
        until_ns = last_ns + SLICE_NS
        while (events := poll(0, BATCH)) or (due is not None and due() < monotonic_ns() + LINGER_NS):
            if not events:
                asked_ns, last_ns = last_ns, monotonic_ns()
                self.lingered_ns += last_ns - asked_ns
                if last_ns - asked_ns > AWAY_NS:
                    continue
            for fd, what in events:
                serve = ready.get(fd)  # an earlier one of the batch may have closed it
                if serve is not None:
                    serve(what)
            if after is not None:
                after()
            last_ns = monotonic_ns()
            if last_ns > until_ns:
                break  # what is still ready wakes the loop again at once
        if self.idle is not None:
            self.idle()


def family_of(address: tuple[str, int] | str) -> socket.AddressFamily:
    """The address family of a numeric host, or of the path of a Unix socket."""
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class PlainTransport(asyncio.Transport):
    """One connected socket. Not for general use: no flow control of what is written, as requests are small."""

    __slots__ = (
        "_buffer",
        "_closed",
        "_fd",
        "_poller",
        "_protocol",
        "_recv_into",
        "_send",
        "_serve",
        "_sock",
        "_unsent",
    )

    def __init__(self, poller: Poller, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        self._poller = poller
        self._sock = sock
        self._fd = sock.fileno()
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._unsent = b""
        self._closed = False
        self._protocol = protocol
        self._buffer = poller.buffer
        served = getattr(protocol, "served", None)
        self._serve = self.ready if served is None else served(self, sock)
        poller.watch(self._fd, _IN, self._serve)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send now what the socket takes; the rest follows when it takes more."""
        if self._unsent:
            self._unsent += bytes(data)
            return
        try:
            sent = self._send(data)  # an error when it is closed, of which nothing comes
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent != len(data):
            self._unsent = bytes(data[sent:])
            self._poller.watch(self._fd, _IN | _OUT, self.ready)

    def abort(self) -> None:
        """Close at once; `connection_lost` follows from the event loop, as with any transport."""
        self._lose(None)

    def close(self) -> None:
        """As `abort`: nothing of a request is worth waiting for."""
        self._lose(None)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, by the name "socket"."""
        return self._sock if name == "socket" else default

    def ready(self, events: int) -> None:
        """The socket is ready for these events."""
        if events != _IN:
            if events & _OUT and self._unsent:
                self._flush()
            if events == _OUT or self._closed:
                return
        try:
            size = self._recv_into(self._buffer)
        except OSError as error:
            self.unread(error)
            return
        self.got(size)

    def unread(self, error: OSError) -> None:
        """Reading brought nothing."""
        if not isinstance(error, BlockingIOError):
            self._lose(error)

    def got(self, size: int) -> None:
        """So many bytes were read into the buffer; none: the other side has closed."""
        if size:
            self._protocol.data_received(bytes(memoryview(self._buffer)[:size]))
        else:
            self._lose(None)

    def _flush(self) -> None:
        try:
            sent = self._send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._poller.watch(self._fd, _IN, self._serve)

    def _lose(self, error: OSError | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._poller.forget(self._fd)
        self._sock.close()
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)
