"""The rules. Each takes a run's Evidence and yields Findings; what it needs and is not there gives none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.rules import (
    backlog,
    big_cache_key,
    blocking_call,
    cache_evictions,
    cache_unused,
    cacheable_reads,
    compression,
    connection_per_request,
    dominant_statement,
    duplicate_index,
    error_bursts,
    failures,
    hot_cache_key,
    hot_code,
    http_cache_headers,
    lock_contention,
    missing_index,
    n_plus_one,
    n_plus_one_by_counts,
    one_process,
    payload,
    pool_size,
    replica_opportunity,
    saturated_host,
    slow_cache_command,
    slow_statement,
    unused_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headway.model import Evidence, Finding

RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    missing_index.find,
    slow_statement.find,
    dominant_statement.find,
    failures.find,
    error_bursts.find,
    saturated_host.find,
    one_process.find,
    payload.find,
    backlog.find,
    blocking_call.find,
    hot_code.find,
    connection_per_request.find,
    pool_size.find,
    lock_contention.find,
    replica_opportunity.find,
    cache_unused.find,
    cache_evictions.find,
    slow_cache_command.find,
    big_cache_key.find,
    hot_cache_key.find,
    cacheable_reads.find,
    http_cache_headers.find,
    compression.find,
    n_plus_one.find,
    n_plus_one_by_counts.find,
    unused_index.find,
    duplicate_index.find,
)

WHY_NOT: Mapping[str, Callable[[Evidence, str], str | None]] = {
    missing_index.RULE: missing_index.why_not,
    slow_statement.RULE: slow_statement.why_not,
    n_plus_one.RULE: n_plus_one.why_not,
    n_plus_one_by_counts.RULE: n_plus_one_by_counts.why_not,
}
"""Rule -> why it says nothing of a statement, by its id; None: it does, or it does not know that statement."""
