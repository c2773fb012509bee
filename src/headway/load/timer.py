"""
A wake-up finer than the event loop's own: libuv's timers round to a millisecond, a timerfd does not.

Source: timerfd_create(2); epoll(7), edge-triggered: an alarm that went off needs no read.
"""

from __future__ import annotations

import ctypes
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.plain import Poller

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Timer:
    """
    Calls `wake` soon after a monotonic instant, once per `arm`.

    Args:
        poller: waits for it.
        wake: called with no arguments.

    Raises:
        OSError: this machine has no file descriptor left.
    """

    def __init__(self, poller: Poller, wake: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._settime = libc.timerfd_settime
        self._spec = _Itimerspec()
        self._at = ctypes.byref(self._spec)
        self._poller = poller
        poller.watch(self._fd, select.EPOLLIN | select.EPOLLET, lambda _events: wake())

    def arm(self, at_ns: int) -> None:
        """Wake at `at_ns` of the monotonic clock; at once when that has passed."""
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = divmod(max(at_ns, 1), 1_000_000_000)
        self._settime(self._fd, _ABSOLUTE, self._at, None)

    def close(self) -> None:
        """Wake no more."""
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
