"""
A wake-up finer than the event loop's own: libuv's timers round to a millisecond, a timerfd does not.

Source: timerfd_create(2). Elsewhere than on Linux the loop's own timers serve, a millisecond coarse.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Timer:
    """
    Calls `wake` soon after a monotonic instant, once per `arm`.

    Args:
        loop: the running loop.
        wake: called with no arguments.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._fd >= 0:
            self._spec = _Itimerspec()
            self._at = ctypes.byref(self._spec)
            loop.add_reader(self._fd, self._fired)

    def arm(self, at_ns: int) -> None:
        """Wake at `at_ns` of the monotonic clock; at once when that has passed."""
        if self._fd < 0:
            self._loop.call_later(max(0.0, (at_ns - time.monotonic_ns()) / 1e9), self._wake)
            return
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = divmod(max(at_ns, 1), 1_000_000_000)
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._at, None)

    def close(self) -> None:
        """Wake no more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._wake()
