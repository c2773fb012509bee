"""The metrics an alert reads are found in its expression."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.evidence.promql import NotPromQL, metric_names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        ('rate(http_requests_total{status=~"5..", job="shop"}[5m]) > 0.1', {"http_requests_total"}),
        ("sum by (le, route) (rate(latency_seconds_bucket[5m]))", {"latency_seconds_bucket"}),
        ("sum(rate(a[5m])) without (pod) / on (job) group_left (team) b", {"a", "b"}),
        ("histogram_quantile(0.95, sum by(le)(rate(h_bucket[5m:1m] offset 1d)))", {"h_bucket"}),
        ("absent(app_up) or absent_over_time(other[1h])", {"app_up", "other"}),
        ("job:errors:rate5m > 1e-3 and on() vector(1)", {"job:errors:rate5m"}),
        ('{__name__="odd_name", x="y"}', {"odd_name"}),
        ('{"my.metric", x="y"} > 0x1F', {"my.metric"}),
        ('count_values("version", build_info) > bool 1', {"build_info"}),
        ("topk(5, a) unless b @ end() # c", {"a", "b"}),
        ("a > Inf or b != NaN", {"a", "b"}),
        ("time() - start_time_seconds > 1h30m", {"start_time_seconds"}),
        ("a offset -5m > .5", {"a"}),
    ],
)
def test_metrics_are_told_from_functions_labels_and_keywords(expression: str, names: set[str]) -> None:
    """Only names of series come back."""
    assert metric_names(expression) == names


@pytest.mark.parametrize("expression", ["", "  ", "rate(a[5m]", "a)", 'a{x="}', "a ; b", "a{b=`", "(a]"])
def test_what_is_not_promql_is_said(expression: str) -> None:
    """Open brackets, open strings, strange characters and nothing at all are errors."""
    with pytest.raises(NotPromQL):
        metric_names(expression)


@given(st.text(alphabet="ab_:(){}[]\"'=~!,0 .5m\\#@`", max_size=60))
def test_any_text_gives_names_or_one_error(text: str) -> None:
    """No text makes it fail in another way or hang."""
    with contextlib.suppress(NotPromQL):
        metric_names(text)
