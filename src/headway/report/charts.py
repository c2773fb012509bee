"""The charts of a report: which series, on which axes, with what said below. None where there is nothing to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headway.load import histogram
from headway.model import Side, Subject
from headway.promises.spoken import limit_text, statistic_text
from headway.report import axis, series
from headway.report.series import LINE_QUANTILES, Series, Thinning
from headway.report.svg import Band, Chart, Limit, Line, Mark
from headway.report.words import ns_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headway.model import CacheUse, EdgeUse, Evidence, PhaseHits, Verdict
    from headway.report.series import FloatArray

_INKS = ("s1", "s2", "s3", "s4", "s5", "s6")
_MOST_PROCESSES = 6
_LATE_RATES = (
    " What failed after the end is counted in the last second; good answers after the end are in the tables alone."
)
_TIME = "seconds since the warm-up ended"


def latency_over_time(hits: PhaseHits) -> Chart | None:
    """P50, P95, P99 of each second: response (solid) and service (dashed), failures marked from the upper edge."""
    failed = series.failed_per_second(hits)
    lines: list[Line] = []
    for cells, measure, dash in ((hits.response, "response", ""), (hits.service, "service", "dashed")):
        values = series.latency_per_second(cells, failed, hits.seconds)
        for row, (q, ink) in enumerate(zip(LINE_QUANTILES, _INKS, strict=False)):
            drawn = series.per_second(f"P{q * 100:g} {measure}", values[row], Thinning.HIGHEST)
            lines.append(_line(drawn, ink, dash))
    if not hits.seconds or not (any(np.isfinite(line.y).any() for line in lines) or failed.any()):
        return None
    heights = axis.latency([float(y) for line in lines for y in line.y])
    caption = (
        "Response counts from the intended send time, service from the actual one: where they part, requests waited. "
        "By completion second; a failed request counts as never answered, and a line breaks where its rank falls among "
        "failures." + _late_said(hits) + _log_said(heights) + _thinning_said(hits.seconds, Thinning.HIGHEST)
    )
    return Chart(
        title="Latency over time",
        caption=caption,
        x=axis.seconds(hits.seconds),
        y=heights,
        lines=lines,
        marks=_failure_marks(hits, failed),
        x_title=_TIME,
        x_words=axis.time_label,
        y_words=ns_text,
    )


def latency_by_percentile(hits: PhaseHits, verdict: Verdict | None) -> Chart | None:
    """The HDR view: every percentile at once, with the promised limits as corners the curve must pass below."""
    failed = int(hits.failures.count.sum())
    curves = [
        (name, series.by_percentile(histogram.fold(cells), failed), ink, dash)
        for name, cells, ink, dash in (
            ("response", hits.response, "s1", ""),
            ("service", hits.service, "s2", "dashed"),
        )
    ]
    if not any(len(x) for _, (x, _), _, _ in curves):
        return None
    limits = [] if verdict is None else promised(verdict, hits.phase.name)
    return percentile_chart(
        [Line(name=name, x=x, y=y, ink=ink, dash=dash, steps=True) for name, (x, y), ink, dash in curves],
        limits,
        title="Latency by percentile",
        caption="All routes; each further nine is one step to the right. Failed requests rank above every answer."
        + (" A dashed corner is a promised limit: the response curve must pass below it." if limits else ""),
        failed_from=_failed_from(hits),
    )


def percentile_chart(
    lines: Sequence[Line], limits: Sequence[Limit], *, title: str, caption: str, failed_from: float | None = None
) -> Chart:
    """Curves over x = log10(1 / (1 - q)); `failed_from` is the x from which ranks are failed requests."""
    ends = [float(line.x[-1]) for line in lines if len(line.x)]
    bands: tuple[Band, ...] = ()
    high = max([1.0, *ends, *(limit.x or 0.0 for limit in limits)])
    if failed_from is not None:
        high = max(high, failed_from * 1.12)
        bands = (Band(low=failed_from, high=high, label="failed", kind="failed"),)
    heights = axis.latency([float(y) for line in lines for y in line.y] + [limit.y for limit in limits])
    x = axis.percentiles(high)
    return Chart(
        title=title, caption=caption + _log_said(heights), x=x, y=heights, lines=lines, limits=limits, bands=bands,
        x_title="percentile of requests", x_words=_percentile_words, y_words=ns_text,
    )  # fmt: skip


def promised(verdict: Verdict, phase: str) -> list[Limit]:
    """The limits a verdict promised of the whole API's client latency in one phase."""
    out = []
    for judgement in verdict.judgements:
        clause = judgement.clause
        if clause is None or clause.subject is not Subject.LATENCY or clause.side is not Side.CLIENT:
            continue
        if clause.route is not None or judgement.phase != phase or clause.limit is None or clause.statistic is None:
            continue
        q = clause.statistic.quantile
        if clause.statistic.average or clause.windows_ratio is not None:
            continue  # an average is no rank of this axis, and a window's quantile none of the whole phase's
        label = f"{statistic_text(clause.statistic)} {limit_text(clause)}"
        out.append(Limit(y=clause.limit, label=label, x=None if q is None else float(-np.log10(1 - q))))
    return out


def rates(hits: PhaseHits) -> Chart | None:
    """Planned, sent and good requests per second; failures in their own line."""
    if not hits.seconds or not (hits.planned.any() or hits.sent.any()):
        return None
    named: tuple[tuple[str, FloatArray, str, str], ...] = (
        ("planned", hits.planned.astype(np.float64), "s6", "dotted"),
        ("sent", hits.sent.astype(np.float64), "s1", "dashed"),
        ("good", hits.good.astype(np.float64), "s4", ""),
        ("failed", series.failed_per_second(hits), "s3", ""),
    )
    lines = [
        _line(series.per_second(name, y[: hits.seconds], Thinning.MEAN), ink, dash)
        for name, y, ink, dash in named
        if name != "failed" or y.any()
    ]
    return Chart(
        title="Requests per second",
        caption="Planned by intended time, sent by actual time, good and failed by completion time."
        + (_LATE_RATES if series.came_late(hits) else "")
        + _thinning_said(hits.seconds, Thinning.MEAN),
        x=axis.seconds(hits.seconds),
        y=axis.linear(_top(lines), axis.count_label),
        lines=lines,
        x_title=_TIME,
        x_words=axis.time_label,
        y_words=_rate_words,
    )


def hit_rate(uses: CacheUse | EdgeUse, seconds: int, *, title: str, promise: Limit | None) -> Chart | None:
    """Share served from a cache in each second; None when there is no reading by second."""
    values = series.ratio_per_second(uses.per_second, seconds)
    if not np.isfinite(values).any():
        return None
    return Chart(
        title=title,
        caption="Hits of all look-ups in each second; a gap is a second without look-ups."
        + _thinning_said(seconds, Thinning.MEAN),
        x=axis.seconds(seconds),
        y=axis.linear(1.0, axis.percent_label),
        lines=[_line(series.per_second("hit rate", values, Thinning.MEAN), "s4", "")],
        limits=() if promise is None else (promise,),
        x_title=_TIME,
        x_words=axis.time_label,
        y_words=axis.percent_label,
    )


def host(evidence: Evidence) -> tuple[Chart, ...]:
    """The machine over the whole run: CPU, memory, disk, network, and the watched processes."""
    if not evidence.host:
        return ()
    seen = evidence.host
    ratios = ("cpu_ratio", "iowait_ratio", "steal_ratio", "memory_used_ratio")
    begun = seen[0].at_s
    columns = {field: series.host_column(seen, field, field, begun) for field in (*ratios, *_FLOWS)}
    shares = [
        _line(columns[field], ink, dash, name=name)
        for field, name, ink, dash in (
            ("cpu_ratio", "CPU", "s1", ""),
            ("iowait_ratio", "waiting for disk", "s2", "dashed"),
            ("steal_ratio", "stolen", "s3", "dotted"),
            ("memory_used_ratio", "memory", "s5", ""),
        )
        if field != "steal_ratio" or columns[field].y.any()
    ]
    return (
        _host_chart(evidence, "CPU and memory", "Share of all cores, and of memory.", shares, axis.percent_label, 1.0),
        _host_chart(evidence, "Disk", "Bytes per second of all disks.", _flows(columns, "disk"), axis.bytes_label),
        _host_chart(
            evidence, "Network", "Bytes per second of all interfaces, loopback included.",
            _flows(columns, "network"), axis.bytes_label,
        ),
        *_processes(evidence, begun),
    )  # fmt: skip


_FLOWS = ("disk_read_bytes", "disk_write_bytes", "network_sent_bytes", "network_received_bytes")


def _flows(columns: dict[str, Series], which: str) -> list[Line]:
    chosen = [field for field in _FLOWS if field.startswith(which)]
    names = [field.split("_")[1].replace("write", "written") for field in chosen]
    return [
        _line(columns[field], ink, dash, name=name)
        for field, name, ink, dash in zip(chosen, names, ("s1", "s2"), ("", "dashed"), strict=True)
    ]


def _processes(evidence: Evidence, begun: float) -> tuple[Chart, ...]:
    cores = series.process_cores(evidence.processes, begun)
    if not cores:
        return ()
    lines = [_line(each, ink, "") for each, ink in zip(cores[:_MOST_PROCESSES], _INKS, strict=False)]
    left = len(cores) - len(lines)
    caption = "1.0 is one core busy; children are counted with their parent." + (
        f" The {left} least busy are left out." if left else ""
    )
    return (_host_chart(evidence, "Cores used by process", caption, lines, axis.count_label),)


def _host_chart(
    evidence: Evidence, title: str, caption: str, lines: list[Line], label: Callable[[float], str], high: float = 0.0
) -> Chart:
    begun = evidence.host[0].at_s if evidence.host else evidence.processes[0].at_s
    length = max(float(line.x[-1]) for line in lines) + 1
    bands = [
        Band(low=hits.started_at_s - begun, high=hits.started_at_s - begun + hits.seconds, label=hits.phase.name)
        for hits in evidence.phases
    ]
    return Chart(
        title=title,
        caption=caption + _thinning_said(round(length), Thinning.HIGHEST),
        x=axis.seconds(length),
        y=axis.linear(max(high, _top(lines)), label),
        lines=lines,
        bands=bands,
        x_title="seconds since the first reading; shaded: measured phases",
        x_words=axis.time_label,
        y_words=label,
    )


def _failure_marks(hits: PhaseHits, failed: FloatArray) -> list[Mark]:
    counts, step = series.thinned(failed, Thinning.SUM)
    good, _ = series.thinned(hits.good.astype(np.float64)[: hits.seconds], Thinning.SUM)
    return [
        Mark(
            x=float(index * step),
            width=float(step),
            share=float(count / (count + good[index])),
            tip=f"{axis.time_label(index * step)}: {count:,.0f} failed, {good[index]:,.0f} good",
        )
        for index, count in enumerate(counts.tolist())
        if count
    ]


def _failed_from(hits: PhaseHits) -> float | None:
    failed, good = int(hits.failures.count.sum()), int(hits.response.count.sum())
    return float(-np.log10(failed / (failed + good))) if failed and good else None


def _line(drawn: Series, ink: str, dash: str, name: str | None = None) -> Line:
    return Line(name=name or drawn.name, x=drawn.x, y=drawn.y, ink=ink, dash=dash)


def _top(lines: Sequence[Line]) -> float:
    highest = [float(np.nanmax(line.y)) for line in lines if np.isfinite(line.y).any()]
    return max(highest, default=0.0) * 1.02


def _thinning_said(seconds: int, rule: Thinning) -> str:
    step = series.step_of(seconds)
    return "" if step == 1 else f" Each point is {rule.value} of {step} seconds."


def _late_said(hits: PhaseHits) -> str:
    if not series.came_late(hits):
        return ""
    return " What was due in the phase and came after its end is counted in the last second."


def _log_said(heights: axis.Axis) -> str:
    return " The scale of times is logarithmic." if heights.log else ""


def _percentile_words(x: float) -> str:
    return f"P{(1 - 10.0**-x) * 100:.5g}"


def _rate_words(value: float) -> str:
    return f"{value:,.4g}/s"
