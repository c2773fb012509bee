"""Names that several rooms must spell alike: files of the bundle, tags, the SQL comment."""

from __future__ import annotations

SQL_TAG = "/* headway */"
"""Every statement Headway sends starts with it, so that a database administrator can tell whose it is."""

USER_AGENT = "headway/0.1"
"""Sent with every request of the load, so that access logs tell it from people."""

STATE_FOLDER = ".headway"
RUNS_FOLDER = "runs"
LAB_FOLDER = "lab"

# Files of one run's folder. Everything printed or drawn is a fold over them.
RUN_FILE = "run.json"
HIT_LOG = "hits.hlog"  # HdrHistogram log 1.3, one line per second, route and measure
LOAD_LOG = "load.jsonl"  # one line per second and worker: counters and generator health
STATEMENTS_FILE = "statements.parquet"
DATABASE_FILE = "database.parquet"
TABLES_FILE = "tables.parquet"
PLANS_FILE = "plans.json"
CACHE_FILE = "cache.parquet"
CACHE_COMMANDS_FILE = "cache-commands.parquet"
CACHE_SLOW_FILE = "cache-slow.parquet"
CACHE_KEYS_FILE = "cache-keys.parquet"
CACHE_MONITOR_FILE = "cache-monitor.parquet"
EDGE_FILE = "edge.parquet"
HOST_FILE = "host.parquet"
PROCESSES_FILE = "processes.parquet"
MONITORING_FILE = "monitoring.json"
ANSWERS_FILE = "answers.json"  # what each GET route says of caching and compression
SPANS_FILE = "spans.parquet"  # evidence/span_columns.py
TRACES_FILE = "traces.json"  # what was received, refused and dropped
INDEXES_FILE = "indexes.parquet"
COLUMNS_FILE = "columns.parquet"
WAITS_FILE = "waits.parquet"
BLOCKERS_FILE = "blockers.parquet"
CONNECTIONS_FILE = "connections.parquet"
POOLS_FILE = "pools.parquet"
REPLICAS_FILE = "replicas.parquet"
LOGGED_PLANS_FILE = "logged-plans.json"
LIVE_PLANS_FILE = "live-plans.json"
PROFILE_FILE = "profile.speedscope.json"
BUDGET_FILE = "budget.json"
PROOFS_FILE = "proofs.json"
FINDINGS_FILE = "findings.json"
VERDICT_FILE = "verdict.json"
BREAKPOINT_FILE = "breakpoint.json"
COMPARISON_FILE = "comparison.json"
TURN_FILE = "turn.json"  # of a round of A and B in turns: which side, which round
REPORT_FILE = "report.html"

ACCEPTED_FILE = "accepted.json"
"""In the state folder, meant to be committed: findings that were accepted, by fingerprint, each with its reason."""

LEDGER_FILE = "ledger.jsonl"
"""In the state folder: every proof, its estimate beside what was measured."""

BASELINE_FILE = "baseline.json"
"""In the state folder: what later runs are compared with. The one file there that is meant to be committed."""


def trace_variables(endpoint: str) -> dict[str, str]:
    """
    What makes an OpenTelemetry SDK send its traces to a run. `endpoint` is "http://127.0.0.1:4318".

    Spans of a run's end come within a second, and a burst of them finds room: what finds none is lost in the SDK,
    unseen.

    Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }
