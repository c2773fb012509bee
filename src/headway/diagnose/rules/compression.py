"""
Answers that are sent uncompressed to clients that accept compression.

For: text shrinks to a fraction, and bytes are time on real links. Against: small answers fit into one packet, images
are compressed already, and compressing costs the processor, which a cache of compressed answers saves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.diagnose.words import fingerprint, one_line
from headway.load import histogram
from headway.model import Confidence, Estimate, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import COMPRESSION_LINK_BITS_PER_S, COMPRESSION_MIN_BYTES, COMPRESSION_MIN_SAVED_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Answer, Evidence, PhaseHits

RULE = "compression"
TEXT = re.compile(
    r"(?:text/|application/(?:json|javascript|xml|wasm|manifest|graphql)|image/svg\+xml|[\w/.-]+\+(?:json|xml))", re.I
)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and route whose compression would save a share of all bytes received."""
    answers = {each.route: each for each in evidence.answers if wanting(each) is None}
    for hits in evidence.phases if answers else ():
        for number, name in enumerate(evidence.routes):
            answer = answers.get(name)
            count = int(histogram.fold(hits.service, number).sum())
            if answer is not None and count and hits.received_bytes:
                saved = count * (answer.body_bytes - answer.gzip_bytes) / hits.received_bytes
                if saved >= COMPRESSION_MIN_SAVED_RATIO:
                    yield _finding(hits, answer, count, min(1.0, saved))


def wanting(answer: Answer) -> str | None:
    """Why an answer needs no compression; None: it does."""
    kind = answer.headers.get("content-type", "no type")
    reasons = (
        (bool(answer.encoded_headers.get("content-encoding") or "content-encoding" in answer.headers), "compressed"),
        (answer.status != 200, f"an answer of status {answer.status}"),
        (not answer.whole, "larger than what was read of it"),
        (answer.body_bytes < COMPRESSION_MIN_BYTES, f"{answer.body_bytes:,} bytes, which fit into one packet"),
        (TEXT.match(kind) is None, f"{one_line(kind, 40)}, no text"),
        (answer.gzip_bytes > 0.9 * answer.body_bytes, "hardly smaller with gzip"),
    )
    return next((f"it is {why}" for true, why in reasons if true), None)


def link_ns(saved_bytes: float) -> float:
    """What so many bytes cost on the reference link (COMPRESSION_LINK_BITS_PER_S)."""
    return saved_bytes * 8e9 / COMPRESSION_LINK_BITS_PER_S


def _finding(hits: PhaseHits, answer: Answer, count: int, saved: float) -> Finding:
    less = answer.body_bytes - answer.gzip_bytes
    ratio = answer.gzip_bytes / answer.body_bytes
    link = f"{COMPRESSION_LINK_BITS_PER_S / 1e6:.0f} Mbit/s"
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{one_line(answer.route)} is sent uncompressed to those who accept gzip: {answer.body_bytes:,} bytes,"
            f" {answer.gzip_bytes:,} with it; {saved:.0%} of all bytes received are saved by it"
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=saved,
        share_of="bytes received",
        weight_ratio=0.0,  # of what the load measured, over its own link, it may be nothing
        fingerprint=fingerprint(RULE, answer.route),
        details=(
            f"{count:,} answers of {one_line(answer.headers.get('content-type', ''), 40)} were received",
            f"gzip -6 takes {duration_text(answer.gzip_ns)} of one core for one here",
        ),
        location=Location(route=answer.route),
        confidence=Confidence.CERTAIN,
        reasons_for=(
            f"{1 - ratio:.0%} fewer bytes: {duration_text(link_ns(less))} less on a link of {link}",
            "the answer was received uncompressed though br and gzip were accepted",
        ),
        reasons_against=(
            f"it costs {duration_text(answer.gzip_ns)} of a core an answer, unless a cache keeps it compressed",
            "over loopback or in one data centre bytes cost next to nothing: the load's own latency may not show it",
            "answers that have a secret and something of the client's in one body can leak by their length (BREACH)",
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.COMPRESSION,
                title=f"compress {one_line(answer.route)}",
                act="in nginx in front: gzip on; gzip_proxied any; gzip_vary on; gzip_types "
                + one_line(answer.headers.get("content-type", "application/json").partition(";")[0], 60),
                parameters={
                    "route": answer.route, "phase": hits.phase.name,
                    "content_type": answer.headers.get("content-type", "").partition(";")[0].strip().lower(),
                    "body_bytes": answer.body_bytes,
                },
                estimate=Estimate(
                    metric="bytes of an answer", before=float(answer.body_bytes), after=float(answer.gzip_bytes),
                    unit="bytes", by="gzip -6 of one answer",
                ),
            ),
        ),
    )  # fmt: skip
