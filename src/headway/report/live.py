"""A run as it happens, to stderr: redrawn on a terminal, one plain line per five seconds in a pipe."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headway.report.visible import one_line
from headway.report.words import count_text, load_text, ns_text, seconds_text

if TYPE_CHECKING:
    from types import TracebackType

    from headway.model import Progress

PLAIN_EVERY_S = 5.0


class LiveView:
    """
    Shows the last second of a running phase. A view that cannot be drawn never stops the run.

    Args:
        stream: where to draw; stderr when None, so that stdout stays data.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live: Live | None = None
        self._shown: tuple[str, bool, float] | None = None  # phase, warming up, elapsed at the last plain line
        self._gone = False

    def __enter__(self) -> Self:
        if _redraws(self._stream):
            # Drawn only when a second arrives: no refresh thread beside the load.
            # What others print to stdout stays on stdout; what they print to stderr appears above the view.
            self._live = Live(
                console=Console(file=self._stream), auto_refresh=False, transient=True, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            try:
                self._live.stop()
            except (OSError, ValueError):
                self._gone = True

    def second(self, progress: Progress) -> None:
        """Show one second; the reader of stderr may be gone, which is no reason to stop."""
        if self._gone:
            return
        try:
            if self._live is not None:
                self._live.update(panel(progress), refresh=True)
            elif self._is_due(progress):
                print(plain_line(progress), file=self._stream, flush=True)
        except (OSError, ValueError):  # a closed pipe, a closed file
            self._gone = True

    def _is_due(self, progress: Progress) -> bool:
        name, warming, elapsed = progress.phase.name, progress.warming_up, progress.elapsed_s
        if (
            self._shown is not None
            and self._shown[:2] == (name, warming)
            and 0
            <= elapsed - self._shown[2]
            < (
                PLAIN_EVERY_S - 0.5  # seconds tick with some jitter
            )
        ):
            return False
        self._shown = (name, warming, elapsed)
        return True


def plain_line(progress: Progress) -> str:
    """One second as one line without colour."""
    stage = "warm-up" if progress.warming_up else _left_text(progress)
    return (
        f"{one_line(progress.phase.name, 40)} {progress.elapsed_s:.0f}s ({stage}): "
        f"planned {progress.planned_per_s:,.0f}/s sent {progress.sent_per_s:,.0f}/s good {progress.good_per_s:,.0f}/s; "
        f"response p50 {ns_text(progress.response_p50_ns)} p95 {ns_text(progress.response_p95_ns)} "
        f"p99 {ns_text(progress.response_p99_ns)}, service p95 {ns_text(progress.service_p95_ns)}; "
        f"failed {progress.failed_total:,}; connections {progress.connections:,} backlog {progress.backlog:,}"
    )


def panel(progress: Progress) -> Group:
    """One second as a bar and two small tables."""
    phase = progress.phase
    total = phase.warmup_s + phase.duration_s
    title = Text.assemble((one_line(phase.name, 40), "bold"), f"  {load_text(phase)}  ")
    title.append("warming up, not counted" if progress.warming_up else "measuring", style="dim")
    bar = Table.grid(padding=(0, 2))
    done = min(100, 100 * progress.elapsed_s / total) if total > 0 else 100
    bar.add_row(
        ProgressBar(total=max(total, 1e-9), completed=min(progress.elapsed_s, total), width=36),
        f"{done:.0f}%",
        _left_text(progress),
    )
    failing = "bold red" if progress.failed else ""
    rates = _pairs(
        ("planned/s", f"{progress.planned_per_s:,.0f}", ""),
        ("sent/s", f"{progress.sent_per_s:,.0f}", ""),
        ("good/s", f"{progress.good_per_s:,.0f}", ""),
        ("failed/s", count_text(progress.failed), failing),
        ("failed so far", count_text(progress.failed_total), "red" if progress.failed_total else ""),
        ("backlog", count_text(progress.backlog), "yellow" if progress.backlog else ""),
    )
    times = _pairs(
        ("response p50", ns_text(progress.response_p50_ns), ""),
        ("p95", ns_text(progress.response_p95_ns), "bold"),
        ("p99", ns_text(progress.response_p99_ns), ""),
        ("service p95", ns_text(progress.service_p95_ns), ""),
        ("connections", f"{progress.connections:,}/{phase.max_connections:,}", ""),
    )
    return Group(title, bar, rates, times)


def _pairs(*pairs: tuple[str, str, str]) -> Table:
    """Names above, numbers below; widths are fixed so that nothing jumps from second to second."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, _, style in pairs:
        table.add_column(name, justify="right", style=style, min_width=max(8, len(name)), no_wrap=True)
    table.add_row(*(value for _, value, _ in pairs))
    return table


def _left_text(progress: Progress) -> str:
    left_s = progress.phase.warmup_s + progress.phase.duration_s - progress.elapsed_s
    return f"{seconds_text(left_s)} left" if left_s > 0 else "waiting for the last answers"


def _redraws(stream: IO[str]) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb"):
        return False
    try:
        return stream.isatty()
    except ValueError:  # already closed
        return False
