"""The table of a run's latencies: which number is which, how sure it is, and what their difference means."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from headway.load import histogram
from headway.model import PhaseHits
from headway.report import latencies, summary
from made import judged


def measured() -> PhaseHits:
    """Twenty seconds of answers of 1 to 10 ms."""
    return judged.made_hits([[1.0 + each % 10 for each in range(50)]] * 20)


def test_every_quantile_has_its_interval_and_the_service_time_beside_it() -> None:
    """P50 to P99.99; the interval holds the figure; a service that stalls shows in the response time alone."""
    hits = measured()
    found = latencies.latencies(hits)
    assert [latencies.name(each.quantile) for each in found] == ["p50", "p90", "p95", "p99", "p99.9", "p99.99"]
    for each in found:
        assert each.response is not None
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.response <= each.high
        assert each.service is not None
        assert each.service <= each.response * 1.001


def test_one_sentence_says_what_the_difference_means() -> None:
    """Requests that waited are said to have; equal times are said to be; failures are said to be left out."""
    hits = measured()
    assert "did not wait" in latencies.meaning(replace(hits, response=hits.service))
    late = replace(hits.response, bucket=histogram.bucket_of(histogram.highest_ns(hits.response.bucket) * 3))
    assert "waited" in latencies.meaning(replace(hits, response=late))
    assert latencies.meaning(replace(hits, response=late)).startswith("Response time counts from when")


def test_nothing_measured_is_a_dash_and_no_number() -> None:
    """No answers: dashes in the table, null in the JSON, and no exception."""
    none = judged.made_hits([[]] * 20)
    assert all(each.response is None and each.service is None for each in latencies.latencies(none))
    assert "–" in "\n".join(latencies.table(none))


def test_the_summary_has_them_for_people_and_for_programs() -> None:
    """The text has the table; the JSON the same figures in ns, and the word inf where there is no bound."""
    evidence = judged.made_evidence(measured())
    text = summary.as_text(evidence)
    assert "p99.99" in text
    told = json.loads(summary.as_json(evidence), parse_constant=pytest.fail)["latencies"]
    assert [each["quantile"] for each in told] == list(latencies.QUANTILES)
    assert all(isinstance(each["high"], float) or each["high"] == "inf" for each in told)
    assert all(math.isfinite(float(each["response"])) for each in told)
