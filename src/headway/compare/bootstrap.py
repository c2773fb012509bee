"""
Differences between two series of histograms, with intervals that know that seconds resemble their neighbours.

Blocks of consecutive seconds are drawn with replacement, as many as the run is long, around its end (circular block
bootstrap), for each run on its own. As few blocks make the spread too small, the ends are moved out by Student's t
over the normal quantile, for as many blocks as the shorter run has.

Source: Politis and Romano 1992 (circular blocks); Politis and White 2004 (block length from the autocorrelation);
Vargha and Delaney 2000 (A); Mann and Whitney 1947.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from headway.thresholds import COMPARE_RESAMPLES, CONFIDENCE_RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SEED = 20_240_101
"""Fixed: the same two runs always get the same answer."""
CHUNK = 250
LEAST_BLOCKS = 5


@dataclass(frozen=True, kw_only=True)
class Between:
    """An estimate and its interval; inf where a rank falls among failed requests or nothing bounds it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Differences:
    """
    B against A for one set of quantiles.

    a, b: (q,) each side's quantiles, ns. absolute: b - a, ns; relative: b / a - 1. superiority: Vargha and Delaney's A,
    the chance that a request of B takes longer than one of A, ties half. p: of the Mann-Whitney test for A = 1/2, with
    the spread of the bootstrap, as the usual formula takes requests for independent. blocks: of the shorter run.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    absolute: tuple[Between, ...]
    relative: tuple[Between, ...]
    throughput: Between
    errors: Between
    superiority: Between
    p: float
    block_units: tuple[int, int]


def block_length(series: FloatArray) -> int:
    """
    Units per block: twice the lag at which the autocorrelation has died away, at least the cube root of the length.

    Args:
        series: (n,) one number a unit.
    """
    n = len(series)
    least = math.ceil(n ** (1 / 3))
    centred = series - series.mean()
    spread = float(centred @ centred)
    lag = 0
    if spread > 0:
        noise = 2 * math.sqrt(math.log10(max(n, 10)) / n)
        while lag + 1 < n // 2 and float(centred[: -(lag + 1)] @ centred[lag + 1 :]) / spread > noise:
            lag += 1
    return max(1, min(max(least, 2 * lag), n // LEAST_BLOCKS))


def differences(
    a: FloatArray, b: FloatArray, values: FloatArray, quantiles: tuple[float, ...],
    *, unit_s: tuple[int, int] = (1, 1), comparisons: int = 1, resamples: int = COMPARE_RESAMPLES,
) -> Differences:  # fmt: skip
    """
    B against A.

    Args:
        a, b: (n, u + 1), (m, u + 1) requests by unit and bucket, the last column those that failed.
        values: (u + 1,) ns, ascending, the last inf.
        quantiles: ratios in (0, 1).
        unit_s: seconds a unit has, in A and in B.
        comparisons: how many intervals are to hold together (Bonferroni).
        resamples: how many.
    """
    rng = np.random.default_rng(SEED)
    blocks = tuple(block_length(_tail_share(each)) for each in (a, b))
    k = min(len(each) / block for each, block in zip((a, b), blocks, strict=True))
    drawn = [
        _statistics(_weights(rng, len(a), blocks[0], size) @ a, _weights(rng, len(b), blocks[1], size) @ b,
                    values, quantiles, (len(a) * unit_s[0], len(b) * unit_s[1]))
        for size in _chunks(resamples)
    ]  # fmt: skip
    seen = _statistics(
        a.sum(axis=0, keepdims=True), b.sum(axis=0, keepdims=True), values, quantiles,
        (len(a) * unit_s[0], len(b) * unit_s[1]),
    )  # fmt: skip
    widen = widening(k, comparisons)

    def between(name: str, column: int | None = None) -> Between:
        every = np.concatenate([each[name] for each in drawn])
        value = seen[name][0]
        if column is not None:
            every, value = every[:, column], value[column]
        return _between(float(value), every, widen)

    spread = float(np.std(np.concatenate([each["superiority"] for each in drawn]))) * math.sqrt(k / max(k - 1, 1e-9))
    superiority = between("superiority")
    t = abs(superiority.value - 0.5) / spread if spread > 0 else (0.0 if superiority.value == 0.5 else math.inf)
    count = range(len(quantiles))
    return Differences(
        a=tuple(seen["a"][0].tolist()), b=tuple(seen["b"][0].tolist()),
        absolute=tuple(between("absolute", each) for each in count),
        relative=tuple(between("relative", each) for each in count),
        throughput=between("throughput"), errors=between("errors"),
        superiority=Between(
            value=superiority.value, low=max(0.0, superiority.low), high=min(1.0, superiority.high)
        ),
        p=float(2 * (1 - special.stdtr(max(k - 1, 1), t))), block_units=(blocks[0], blocks[1]),
    )  # fmt: skip


def widening(blocks: float, comparisons: int) -> float:
    """By how much an interval of 95% for one comparison grows: for few blocks, and for many comparisons."""
    tail = (1 - CONFIDENCE_RATIO) / 2
    t = float(special.stdtrit(max(blocks - 1, 1), 1 - tail / comparisons))
    return t / float(special.ndtri(1 - tail)) * math.sqrt(blocks / max(blocks - 1, 0.5))


def mann_whitney(a: FloatArray, b: FloatArray) -> FloatArray:
    """
    Vargha and Delaney's A from merged histograms: the Mann-Whitney U over the number of pairs.

    Args:
        a, b: (r, u) requests by bucket, ascending.

    Returns:
        (r,) the share of pairs in which B's request is slower, ties half; 1/2 where a side is empty.
    """
    below = np.cumsum(a, axis=1) - a / 2
    pairs = a.sum(axis=1) * b.sum(axis=1)
    return np.divide((b * below).sum(axis=1), pairs, out=np.full(len(a), 0.5), where=pairs > 0)


def quantile(histograms: FloatArray, values: FloatArray, q: float) -> FloatArray:
    """(r,) the value at rank ceil(q n) of each of (r, u) histograms, as `load.histogram` takes it; nan where empty."""
    reached = np.cumsum(histograms, axis=1)
    total = reached[:, -1]
    rank = np.maximum(1, np.ceil(q * total - 1e-9))
    place = np.minimum((reached < rank[:, None]).sum(axis=1), len(values) - 1)
    return np.where(total > 0, values[place], np.nan)


def _tail_share(units: FloatArray) -> FloatArray:
    """(n,) share of a unit's requests that are slower than the median of all: what the autocorrelation is of."""
    reached = np.cumsum(units.sum(axis=0))
    middle = int(np.searchsorted(reached, reached[-1] / 2))
    total = units.sum(axis=1)
    return np.divide(units[:, middle + 1 :].sum(axis=1), total, out=np.zeros(len(units)), where=total > 0)


def _chunks(resamples: int) -> list[int]:
    whole, rest = divmod(resamples, CHUNK)
    return [CHUNK] * whole + ([rest] if rest else [])


def _weights(rng: np.random.Generator, n: int, block: int, resamples: int) -> FloatArray:
    """(r, n) how often each unit is drawn."""
    starts = rng.integers(0, n, size=(resamples, -(-n // block)))
    drawn = ((starts[:, :, None] + np.arange(block)) % n).reshape(resamples, -1)[:, :n]
    place = drawn + np.arange(resamples)[:, None] * n
    return np.bincount(place.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _statistics(
    a: FloatArray, b: FloatArray, values: FloatArray, quantiles: tuple[float, ...], lengths_s: tuple[int, int]
) -> dict[str, FloatArray]:
    of_a = np.stack([quantile(a, values, q) for q in quantiles], axis=1)
    of_b = np.stack([quantile(b, values, q) for q in quantiles], axis=1)
    good_a, good_b = (each[:, :-1].sum(axis=1) / s for each, s in zip((a, b), lengths_s, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "a": of_a,
            "b": of_b,
            "absolute": of_b - of_a,
            "relative": of_b / of_a - 1,
            "throughput": good_b / good_a - 1,
            "errors": b[:, -1] / b.sum(axis=1) - a[:, -1] / a.sum(axis=1),
            "superiority": mann_whitney(a, b),
        }


def _between(value: float, drawn: FloatArray, widen: float) -> Between:
    tail = (1 - CONFIDENCE_RATIO) / 2
    low, high = (
        float(np.quantile(np.where(np.isnan(drawn), other, drawn), at, method="inverted_cdf"))
        for other, at in ((-math.inf, tail), (math.inf, 1 - tail))
    )
    if math.isnan(value):
        return Between(value=value, low=-math.inf, high=math.inf)
    if math.isinf(value):
        return Between(value=value, low=low, high=high)
    return Between(
        value=value, low=min(value, value - widen * (value - low)), high=max(value, value + widen * (high - value))
    )
