"""
Numbers that decide. Each has its unit in its name, its value, why, and a source.

Those by which rules speak or keep silent are in `rules`. A reader who disagrees with a verdict should find the number
that made it here.
"""

from __future__ import annotations

CONFIDENCE_RATIO = 0.95
"""Level of every interval that is printed or that decides. The field's habit; one run in twenty lies outside."""

INDEXED_MIN_CALLS = 100
"""A statement called more often than this in the run is the workload's own, not an administrator's visit."""

INDEXED_MIN_TABLE_ROWS = 10_000
"""Below this a sequential scan is as fast as an index: some 100 pages of 8 KiB.
Source: PostgreSQL manual, "Examining Index Usage": small tables are read sequentially on purpose."""

DATABASE_MIN_CALLS = 30
"""Fewer calls in a phase than this say nothing about a statement's mean."""

LATENESS_P99_MAX_NS = 5_000_000
"""A generator that sends its own requests more than 5 ms late at P99 is measuring itself. wrk2 ticks at 1 ms."""

LOOP_LAG_P99_MAX_NS = 20_000_000
"""Event-loop lag of a worker at P99. Above it, receipt times are wrong by as much."""

GENERATOR_CPU_MAX_RATIO = 0.95
"""Share of its core a worker may use over a phase; above it, it has no room left and its queue is its own."""

DELIVERED_MIN_RATIO = 0.99
"""Sent / planned. Below it the load promised was not the load made; whose fault it is decides broken or invalid."""

THROUGHPUT_OVERSHOOT_RATIO = 0.01
"""A promised rate is tested by offering this much more: ">= 10,000/s" is not missed by one request in flight."""

THROUGHPUT_MAX_ERROR_RATIO = 0.01
"""A rate is handled only when at most this share fails, unless the increment promises a stricter error rate."""

SETTLE_MOST_TIMES = 100
"""Times the load there was: what would take more than that to settle is not named, the estimate being too uncertain."""

MIN_BATCHES = 10
"""Seconds needed before autocorrelation is estimated by batch means; a shorter phase is inconclusive.
Source: Law, Simulation Modeling and Analysis, batch means (10 to 30 batches)."""

SINGLE_PLAN_ROWS_PER_SCAN = 10_000
"""A table read sequentially but fewer rows a scan than this was left early (a LIMIT), and was not read as a whole."""

GENERATOR_SHARE_MAX_RATIO = 0.8
"""Share of its calibrated rate (against a server that does nothing) a generator should be asked for. Above it queues
form in the generator itself: at 80% of capacity the mean wait is four service times (M/M/1). Exceeding it is said; it
invalidates only a run whose generator was late, out of CPU or short of what was planned."""

CALIBRATION_MIN_CPU_RATIO = 0.85
"""Share of its core a worker must have had while it was calibrated. Below it something else was running, or the null
server was the limit: the figure is what was seen, less than the machine can do."""

DISTURBED_MAX_AGE_S = 3_600
"""Such a figure is used for an hour and never replaces a good one: a machine that is always busy is not measured anew
for every run, and one that was busy once is."""

CALIBRATION_MAX_AGE_S = 30 * 86_400
"""A calibration older than 30 days is measured again: microcode and neighbours change without a new version."""

FLOOR_NEAR_RATIO = 2.0
"""A median within this many times the generator's own floor is half generator: it is said beside the figure."""

FILES_NEAR_RATIO = 0.9
PORTS_NEAR_RATIO = 0.8
"""Share of the allowed file descriptors, of the local ports, from which it is said that they run out. Running out
itself invalidates the run. Ports in TIME_WAIT stay so for 60 s. Source: Linux, tcp(7) and ip(7),
ip_local_port_range."""

STEAL_MAX_RATIO = 0.02
"""Share of CPU time that the hypervisor gave to others from which it is named as the likely cause of lateness: 2% is
20 ms of each second in which no clock of this machine's programs was read. Source: Linux, proc(5), steal."""

START_SKEW_MAX_NS = 100_000_000
"""Workers on several machines begin within this of one another, as well as their clocks could be compared: a tenth of
the second by which everything is counted. Beyond it the offered rate is not the one planned."""

COMPARE_MATTERS_RATIO = 0.05
COMPARE_MATTERS_NS = 1_000_000
"""The smallest difference of a latency that matters, unless told otherwise: 5%, and 1 ms at the least. Below it two
builds of the same source differ by their memory layout alone. Source: Mytkowicz et al. 2009, "Producing wrong data
without doing anything obviously wrong": up to 8% and more by link order and environment size."""

COMPARE_MATTERS_ERRORS_RATIO = 0.001
"""The smallest difference of error rates that matters: one request in a thousand."""

COMPARE_MIN_BEYOND = 20
"""Requests that must lie beyond a percentile on either side for it to be compared: p99 takes 2,000 requests. With
fewer the bootstrap redraws the same handful over and over. Source: Davison and Hinkley 1997, 2.6.1 (extremes)."""

COMPARE_RATES_ALIKE_RATIO = 0.05
"""Imported runs don't say what was asked for: rates seen within 5% of each other are taken as the same load."""

PROVE_LOCK_TIMEOUT_S = 2.0
"""Longest wait for a lock of anything that proving or applying sends: whoever waits behind it waits no longer."""

PROVE_MATTERS_RATIO = 0.10
"""Smallest saving of a statement's time, at the near end of its 95% interval, that makes a remedy worth its upkeep.
Less is what a busy neighbour or another plan of the week takes away again."""

PROVE_MIN_ROUNDS = 6
PROVE_MAX_ROUNDS = 15
"""Turns with and without a remedy. Six pairs are the fewest with which a sign test can tell at 95% (2/2^6 = 3%); past
fifteen intervals narrow slowly."""

FIXED_MIN_SEEN = 5
"""Logged executions that must all have had the same constant inside an expression (`settings ->> 'token'`) before it is
kept: a member's name that is one user's would differ from call to call."""

LIVE_ENOUGH_SEEN = 50
"""Executions of one statement whose text is read in pg_stat_activity: a busy statement has them within a second or two,
and from then on a look brings nothing of it."""

LIVE_MOST_TEXTS = 5
"""Texts of one statement, drawn by chance from those, that are planned with their constants after the load."""

PROVE_MOST_VALUES = 12
"""Sets of parameters each statement is measured with, drawn from the table's own rows."""

KNEE_RATIO = 0.95
"""The knee of a sweep is the smallest size that reaches 95% of the highest throughput: beyond it only waiting grows.
Source: Gunther, Guerrilla Capacity Planning, ch. 4."""

PROFILE_CPU_PER_S = 30
PROFILE_WALL_PER_S = 20
"""Stacks taken a second of each profiled process: of running threads, and of all. A share of 20% of one busy core is
known to within 2.6 percentage points after 30 s (binomial, 900 looks). A look takes some 0.8 ms of another core: both
samplers take 4% of one, and more looks more (benchmarks/diagnosis/profile_cost.py)."""

PROFILE_SLICE_S = 30
"""A sampler is ended and started anew after so long, so that what it holds in memory and on disk stays bounded, and one
that lost its parent ends by itself."""

PROFILE_MOST_S = 600
"""Seconds of one phase that are profiled at most; what lies beyond is said not to have been."""

PROFILE_MOST_PROCESSES = 8
"""Processes profiled at most: each takes two samplers. The others are said."""

PROVE_MATTERS_NS = 20_000
"""Where a saving's interval is too wide to tell, a statement that saves less than 20 µs at its far end is called not
worth it: that is below what sending a statement over the loopback costs."""

WAITS_EVERY_NS = 100_000_000
WAITS_LOCKS_EVERY_NS = 200_000_000
WAITS_MOST_BUSY_RATIO = 0.1
"""Between two looks at the database's sessions, and at its locks when somebody waits for one; the share of the time
that looking may take. 300 looks know a share of 10% to within 3.4 points (binomial). pg_blocking_pids stops the lock
manager for a moment: it is asked half as often, and only then. Source: PostgreSQL manual, 9.27, pg_blocking_pids."""

POOL_SPARE_AFTER_NS = 50_000_000
POOL_SPARE_MAX_RATIO = 0.05
POOL_QUEUE_MIN_RATIO = 2.0
"""A connection idle for longer was free for whoever wanted it: a pool with a queue lends it out within milliseconds.
Looks with a free one below which all are lent out, and requests for each connection from which most of them wait."""

TRACES_MIN_RATIO = 0.95
"""Share of a route's requests with traces below which it is said why some may be missing: a phase's edges alone, where
a request begins on one side and ends on the other, make a few in a hundred."""

TRACES_CLOCK_MAX_NS = 100_000_000
"""A service's clock ahead of the receiver's by more than a tenth of a second puts spans into another second."""
