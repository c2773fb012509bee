"""From where on a rule of the diagnose room speaks. Each has its unit in its name, its value, why, and a source."""

from __future__ import annotations

DOMINANT_STATEMENT_MIN_RATIO = 0.10
"""Share of database time from which a statement is worth a line: below it, mending it moves nothing one can measure."""

FAILURES_MIN_RATIO = 0.001
"""Share of failed requests from which they are a finding: one in a thousand, the usual error budget's order."""

SATURATED_CPU_RATIO = 0.90
"""Average share of all cores over a phase from which the machine is called saturated. Queueing theory: at 90%
utilisation the wait is nine times the service time (M/M/1)."""

CONNECTION_PER_REQUEST_MIN_RATIO = 0.5
"""Database connections opened per request from which there is no pool to speak of."""

SYMPTOM_WEIGHT_RATIO = 0.3
"""Saturation and backlog are symptoms; weighed so that a statement with a larger share of its cause goes first."""

DATABASE_IDLE_MAX_SESSIONS = 0.2
"""Statements executing at once, on average, below which the database is idle and no statement's share matters."""

PROFILE_MIN_SAMPLES = 30
"""Samples below which a share of a profile says nothing: the 95% interval of one half is then 36 points wide."""

HOT_CODE_MIN_RATIO = 0.20
HOT_CODE_MIN_CORES = 0.05
"""Share of a process's processor time, and of one core, from which one function of the service's own is worth a line:
of a fifth, halving it gives a tenth (Amdahl); of a process that idles, nothing."""

BLOCKING_MIN_LOOP_RATIO = 0.02
"""Share of an event loop's time spent waiting inside a callback from which it is a finding: while one waits, all do."""

BLOCKING_WAIT_RATIO = 0.5
"""Share of the time at a line that is waiting, not running, from which the line blocks rather than works."""

BLOCKING_WAIT_DEVIATIONS = 2.0
"""Standard deviations of what two samplers of so few looks differ by, from which their difference is waiting: below it
a computing line that one of them happened to miss would be called a wait."""

BLOCKING_MIN_WALL_SAMPLES = 8
"""Looks that found the loop waiting at a place; fewer may be chance or the sampler's own."""

BLOCKING_HOLD_MIN_NS = 10_000_000
"""Processor time in one callback from which it holds up the other requests of the loop. asyncio's own debug mode warns
at 100 ms; at 10 ms and 20 requests a second each, a fifth of the loop is gone.
Source: Python manual, "Developing with asyncio", slow_callback_duration."""

N_PLUS_ONE_MIN_CALLS = 5
"""Calls of one statement in a request from which they are spoken of as an N+1. Sentry's detector has the same default.
Source: docs.sentry.io, "N+1 Queries": at least five repeating spans."""

N_PLUS_ONE_FOLLOWING_MIN_CALLS = 3
"""The same, where the calls are known to be as many as the rows read before them."""

N_PLUS_ONE_CONSTANT_MIN_CALLS = 10
"""The same, where every request makes the same number of calls and no rows are seen: a handful may be a handful of
different things. A page of fewer rows is told by asking for pages of two sizes."""

N_PLUS_ONE_MIN_SHARE_RATIO = 0.01
"""Share of its route's time below which an N+1 isn't worth a line."""

POLLING_MIN_GAP_NS = 10_000_000
"""Even gaps from 10 ms on, with nothing in them, between calls for the same are waits: no sleep of an event loop or
thread in a service is usually shorter."""

SATURATED_MEMORY_RATIO = 0.95
SATURATED_MEMORY_PRESSURE_RATIO = 0.10
"""Share of memory in use, and of time in which a task waited for memory, from which it is said to run out. Used memory
alone says little where caches fill it; Linux's own count of what is available is what is used here.
Source: Gregg, Systems Performance, 2.5.9 (USE); Linux, psi.rst."""

SATURATED_DISK_RATIO = 0.90
SATURATED_DISK_WAIT_RATIO = 0.20
"""Share of time the busiest disk was busy, and of time in which all cores or a task waited for it. A busy disk that
serves many at once need not be full; both together are."""

SATURATED_NETWORK_RATIO = 0.80
"""Share of an interface's own speed from which packets queue: at 80% an M/M/1 queue waits four service times."""

ONE_CORE_MIN_RATIO = 0.85
ONE_CORE_MAX_RATIO = 1.15
IDLE_CORES_MIN = 1.0
"""Cores a watched service keeps busy from which it is at the end of one core, and idle cores beside it from which a
second process would have somewhere to run."""

PAYLOAD_MIN_BYTES = 100_000
"""Mean size of a route's answers from which it is worth a line: some 70 TCP segments, three or more round trips of a
fresh connection (initial window 10 segments: RFC 6928)."""

BURST_RATIO = 5.0
BURST_MIN_FAILURES = 10
BURST_MIN_SHARE_RATIO = 0.5
"""A burst: seconds that fail five times as often as all others together; ten failures at least, and half of all."""

BURST_GAP_S = 2
"""Bursting seconds no further apart than this are one burst."""

CACHE_MIN_SERVICE_NS = 2_000_000
"""Mean service time from which a route is worth a cache: a look-up over a network costs some 0.5 ms itself, and what
it saves should be a multiple of it."""

CACHE_MIN_SHARE_RATIO = 0.03
"""Share of all requests' service time that a cache of one route must be able to save before it is worth a line."""

CACHE_MIN_HIT_RATIO = 0.30
"""Hit rate below which a cache costs more look-ups than it saves answers."""

CACHE_MIN_READS = 200
"""Reads of a route from which its hit rate is known to some 7 points: two binomial standard errors of 0.5."""

CACHE_STALE_MAX_RATIO = 0.01
"""Share of reads that may be answered with what was true before a write. Above it a TTL alone is not advised."""

CACHE_KNEE_RATIO = 0.95
"""The knee of a hit-rate curve: the smallest TTL, the smallest size, with this share of what the largest reaches."""

HTTP_CACHE_MIN_SHARE_RATIO = 0.01
"""Share of all requests from which a route's missing cache headers are worth a line."""

COMPRESSION_MIN_BYTES = 1_400
"""Answers that fit into one TCP segment (1,460 bytes less the headers) are not faster when they are shorter."""

COMPRESSION_MIN_SAVED_RATIO = 0.02
"""Share of all bytes received that compressing a route must save before it is worth a line."""

COMPRESSION_LINK_BITS_PER_S = 20_000_000
"""What bytes cost where a run's own link is loopback: a mobile connection's 20 Mbit/s. Said beside every figure made
with it. Source: Ofcom, Mobile Matters 2024: average 4G download speeds of some 20 to 30 Mbit/s."""

SCALING_MIN_SLOPE = 0.1
"""Further calls of a statement for each further row of a page, at the interval's lower end, from which it grows with
the page: one for every tenth row, or more. Batches of some hundred rows stay below."""

STALE_TOLERABLE_RATIO = 0.01
"""Share of reads that may miss a write already committed, unless the remedy says otherwise: one in a hundred. What may
be stale at all, and for whom, only the service's own people know."""

INDEX_MIN_SHARE_RATIO = 0.01
INDEX_MIN_MEAN_NS = 200_000
"""A statement with less of the database's time, or that takes less on average, gains nothing one could measure."""

INDEX_MOST_MATCHING_RATIO = 0.10
"""Share of a table's rows from which reading them through an index costs as much as reading the table. Random pages
cost four times sequential ones by default. Source: PostgreSQL manual, 19.7.2, random_page_cost."""

INDEX_FEW_ROWS = 200
"""An index that leaves this many rows to look through is good enough: a further column would save some 0.1 ms."""

INDEX_WRITE_NS = 20_000
"""What one more index is taken to cost an INSERT until it is measured: a descent, a page dirtied, a WAL record."""

INDEX_WRITES_MAX_RATIO = 0.5
"""Share of what an index is thought to save from which its price in writes speaks against it."""

UNKNOWN_EQUALITY_RATIO = 0.005
"""Share of rows with one value where a table was never analysed. Source: PostgreSQL, selfuncs.h, DEFAULT_EQ_SEL."""

UNKNOWN_RANGE_RATIO = 1 / 3
"""Share of rows in an open range nobody has seen. Source: PostgreSQL, selfuncs.h, DEFAULT_INEQ_SEL."""

UNKNOWN_PATTERN_RATIO = 0.01
"""Share of rows that a pattern, or a member of an array, matches: between DEFAULT_MATCH_SEL and DEFAULT_CONTAIN_SEL."""

UNUSED_INDEX_MIN_BYTES = 1 << 20
UNUSED_INDEX_MIN_DAYS = 7
"""An index is called unused when its counters say so for a week at least: month's ends have statements of their own."""

OFFSET_MIN_BLOCKS_A_ROW = 20
"""Pages looked at for each row given from which an OFFSET is said to throw rows away. A row through an index and its
table takes some five."""

SPILL_MIN_BYTES = 1 << 20
"""Written to temporary files by one call, on average, from which a statement is said to spill."""

MISESTIMATE_MIN_RATIO = 100.0
MISESTIMATE_MIN_ROWS = 1_000
"""How far apart rows planned and rows given must be, and by how many. Below a factor of some ten to a hundred plans
seldom change. Source: Leis et al., "How Good Are Query Optimizers, Really?", VLDB 2015."""

WIDE_COLUMN_MIN_BYTES = 256
WIDE_MIN_BYTES_A_CALL = 32_768
"""A column of this average width is wide; columns like it are worth a line where a call gives so much of them."""

N_PLUS_ONE_COUNTS_MAX_RATIO = 0.02
"""Calls of one statement and rows of another over a phase are the same number within this: requests under way at the
phase's edges are counted on one side only, some hundred of ten thousand."""

CACHE_EVICTED_MIN_RATIO = 0.01
CACHE_EVICTED_OF_MISSES_MIN_RATIO = 0.30
CACHE_EVICTED_MAX_HIT_RATIO = 0.95
"""Keys evicted a look-up, and a miss, from which a cache is said to be too small, and the hit rate above which it is
not worth a line: some one miss in three came with a key thrown out to make room, and more than one look-up in twenty
missed. Source: Redis manual, "Key eviction": watch misses beside evictions to see whether the eviction costs any."""

CACHE_LOST_OF_MISSES_MIN_RATIO = 0.30
"""Keys that were thrown out, expired or were deleted a miss, and misses that nothing was stored for, from which they
are what the misses come of, as with `CACHE_EVICTED_OF_MISSES_MIN_RATIO`. A cache that misses for none of these is asked
for what was never there before: nothing is wrong with it."""

CACHE_ROOM_MIN_GAIN_RATIO = 0.05
"""What room for all must add to the predicted hit rate before a cache is said to be too small: less is not worth a
line, as a hit rate above `CACHE_EVICTED_MAX_HIT_RATIO` isn't."""

CACHE_AGREES_RATIO = 0.05
CACHE_READS_AGREE_RATIO = 0.2
"""How near a route's predicted hit rate at the cache's present size must be to the one counted, and its reads to the
look-ups, before its curve is taken to be the cache's."""

CACHE_SLOW_MIN_NS = 1_000_000
CACHE_SLOW_MIN_SHARE_RATIO = 0.01
"""Mean execution of a command, and its share of the time, from which it is said to hold the cache up: commands run one
after another, so that each waits for it. 1 ms is a thousand times what GET takes.
Source: Redis manual, "Diagnosing latency issues": single threaded, slow commands."""

CACHE_BIG_KEY_BYTES = 1 << 20
"""Size of one key from which it is worth a line: 1 MiB takes 8 ms of a link of 1 Gbit/s each time it is read whole."""

CACHE_HOT_KEY_RATIO = 0.20
CACHE_HOT_MIN_COMMANDS = 1_000
CACHE_BUSY_CPU_RATIO = 0.50
"""One key's share of all commands seen, of how many at least, and how busy the cache's thread must be for it to matter:
at half of its capacity waiting takes as long as the command itself (M/M/1)."""

LOOKS_MIN = 30
LOCK_MIN_SHARE_RATIO = 0.05
LOCK_MIN_SEEN = 10
LOCK_HOLDER_MIN_RATIO = 0.2
"""Looks without which nothing is concluded; share of active sessions' time spent waiting for locks, and waiters seen,
from which it is worth a line (every busy service waits for a row now and then); share of it to be named its cause."""

POOL_WAIT_MIN_NS = 1_000_000
POOL_WAITING_MIN_RATIO = 0.1
"""A transaction's mean wait for PgBouncer's connection, and looks with a client waiting, from which it is small."""

POOL_BUSY_PER_CORE = 2.0
POOL_IDLE_MIN = 20
POOL_IDLE_RATIO = 0.25
"""Sessions at work for each core from which more only queue in the database. Source: wiki.postgresql.org, Number Of
Database Connections. Connections of one client, and the share of them ever busy, from which idle ones are said."""

REPLICA_MIN_READS_RATIO = 0.7
REPLICA_MIN_BUSY_RATIO = 0.7
"""Share of database time that is reads, and sessions at work for each core, below which the primary has room."""

REPLICA_WRITING_MAX_RATIO = 0.9
"""Transaction ids given out, or else calls of the commonest statement that writes, for each transaction, from which
every transaction is taken to write: what they read has to stay."""
