"""
Answers that no browser and no edge may keep, or that they keep wrongly, by the headers they really had.

For: what is the same for everyone and changes seldom is answered by a cache in front without asking the service. CDN
for static and global; not for dynamic answers of one region. Against: what is one person's own is never advised as
public.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose import cache_choice, route_keys
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.errors import HeadwayError
from headway.load import histogram
from headway.model import Confidence, Estimate, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import (
    CACHE_MIN_HIT_RATIO,
    CACHE_STALE_MAX_RATIO,
    COMPRESSION_MIN_BYTES,
    HTTP_CACHE_MIN_SHARE_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headway.diagnose.cache_choice import Choice
    from headway.diagnose.route_keys import RouteKeys
    from headway.model import Answer, Evidence, PhaseHits

RULE = "http-cache-headers"
STATIC = re.compile(r"(?:text/(?:css|javascript)|application/(?:javascript|wasm)|image/|font/|video/|audio/)", re.I)
STATIC_TTL_S = 86_400.0
PERSONAL = re.compile(
    r"(?:^|[/?&={_-])(me|account|address|basket|cart|checkout|e-?mail|inbox|invoices?|login|messages?|notifications?"
    r"|orders?|passwords?|payments?|phone|profile|sessions?|settings|tokens?|wishlist)(?:$|[/?&=}_-])", re.I
)  # fmt: skip
"""Words in a path that speak of one person's own: never advised as public, whatever the load saw."""
_DIRECTIVE = re.compile(r"([\w-]+)(?:\s*=\s*\"?(\d+))?")


@dataclass(frozen=True, kw_only=True)
class _Policy:
    """What Cache-Control should say, for how long, and why."""

    header: str
    ttl_s: float
    public: bool
    why: str


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and route for a mistake in its headers, and one where there are none to act on."""
    answers = {each.route: each for each in evidence.answers if each.status == 200}
    for hits in evidence.phases if answers else ():
        keys = _keys(evidence, hits)
        requests = max(1, answered(hits))
        for number, name in enumerate(evidence.routes):
            share = int(histogram.fold(hits.service, number).sum()) / requests
            answer = answers.get(name)
            if answer is None or share < HTTP_CACHE_MIN_SHARE_RATIO:
                continue
            wrong = mistakes(answer)
            if wrong:
                yield _mistaken(hits, answer, share, wrong)
            elif _silent(answer):
                path = evidence.scenario.routes[number].path
                yield from _missing(hits, answer, path, share, keys.get(name), _mean_share(evidence, hits, number))


def directives(header: str) -> dict[str, int | None]:
    """Cache-Control as its directives, each with its seconds where it has some."""
    return {name.lower(): int(value) if value else None for name, value in _DIRECTIVE.findall(header)}


def mistakes(answer: Answer) -> tuple[str, ...]:
    """
    What is wrong with an answer's caching headers, whatever they are for.

    Source: RFC 9111, 3 (storing), 3.5 (Authorization), 4.1 (Vary); RFC 9110, 12.5.5 and 13.1.2.
    """
    said = directives(answer.headers.get("cache-control", ""))
    shared = bool({"public", "s-maxage"} & said.keys()) and not {"private", "no-store"} & said.keys()
    vary = {each.strip().lower() for each in answer.headers.get("vary", "").split(",") if each.strip()}
    encoded_vary = {each.strip().lower() for each in answer.encoded_headers.get("vary", "").split(",")}
    stored = bool({"public", "s-maxage", "max-age"} & said.keys()) and "no-store" not in said
    found = []
    if shared and "set-cookie" in answer.headers:
        cookies = answer.headers["set-cookie"]
        found.append(f"any cache may keep it, and it sets a cookie ({cookies}): one visitor's cookie goes to others")
    if shared and answer.credentials:
        found.append("it was asked with credentials, and any cache may keep it: one user's answer goes to others")
    if stored and "*" in vary:
        found.append("Vary: * forbids what its Cache-Control allows: nothing is ever served from a cache")
    if stored and vary & {"user-agent", "cookie"}:
        by = " and ".join(sorted(vary & {"user-agent", "cookie"}))
        found.append(f"Vary: {by} makes a copy for nearly every visitor: it hardly ever hits")
    differs = answer.encoded_headers.get("content-encoding", "") != answer.headers.get("content-encoding", "")
    if differs and "accept-encoding" not in encoded_vary and "*" not in encoded_vary:
        found.append("it is compressed for those who accept it and does not say Vary: Accept-Encoding: a cache gives"
            " the compressed one to those who do not")  # fmt: skip
    if answer.revalidated is False:
        found.append("it has an ETag or Last-Modified, and asked with it answers 200 with the whole body, not 304")
    return tuple(found)


def _silent(answer: Answer) -> bool:
    """Nothing says how long it may be kept; a server's heuristics are no policy."""
    return not directives(answer.headers.get("cache-control", "")) and "expires" not in answer.headers


def policy(answer: Answer, path: str, choice: Choice | None) -> _Policy:
    """What an answer without a policy should say; `path` is its template, `choice` where its keys are known."""
    static = STATIC.match(answer.headers.get("content-type", "")) is not None
    own = _own(answer, path)
    if own is not None:
        return _Policy(
            header="private, no-cache", ttl_s=0.0, public=False,
            why=f"{own}: kept by the browser alone, which asks each time if it is still good",
        )  # fmt: skip
    if static:
        return _Policy(
            header="public, max-age=86400", ttl_s=STATIC_TTL_S, public=True,
            why="a static file: kept by browsers and a CDN; with a version in its name it could be immutable",
        )  # fmt: skip
    if choice is None or choice.forget_on_write or choice.stale_possible > CACHE_STALE_MAX_RATIO:
        return _Policy(
            header="no-cache", ttl_s=0.0, public=False,
            why="it changes, and nothing tells a cache in front when: it may be kept and must be asked for each time;"
            " an ETag then saves its body",
        )  # fmt: skip
    ttl_s = min(choice.ttl_s, 3600.0)
    return _Policy(
        header=f"public, max-age=0, s-maxage={ttl_s:.0f}", ttl_s=ttl_s, public=True,
        why=f"the same for everyone, and at most {choice.stale_possible:.1%} of the reads stale: an edge keeps it"
        f" {duration_text(ttl_s * 1e9)}, a browser asks again",
    )  # fmt: skip


def _own(answer: Answer, path: str) -> str | None:
    """Why an answer is, or may be, one person's own; None: nothing says so."""
    if answer.credentials:
        return "asked with credentials"
    if "set-cookie" in answer.headers:
        return "answered with a cookie"
    found = PERSONAL.search(path)
    return f"its path speaks of {found[1]!r}, which is one person's own" if found else None


def _keys(evidence: Evidence, hits: PhaseHits) -> Mapping[str, RouteKeys]:
    try:
        return {} if evidence.imported is not None else route_keys.of_phase(evidence, hits)
    except HeadwayError:
        return {}


def _mean_share(evidence: Evidence, hits: PhaseHits, number: int) -> float:
    """A route's share of all requests' service time."""
    times = []
    for each in range(len(evidence.routes)):
        counts = histogram.fold(hits.service, each)
        times.append(histogram.mean_ns(counts) * float(counts.sum()) if counts.sum() else 0.0)
    return times[number] / (sum(times) or 1.0)


def _mistaken(hits: PhaseHits, answer: Answer, share: float, wrong: tuple[str, ...]) -> Finding:
    header = answer.headers.get("cache-control", "")
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{one_line(answer.route)} has caching headers that do harm: {one_line(wrong[0], 160)}",
        explains=(Subject.HIT_RATE,),
        share_ratio=share,
        share_of="requests",
        weight_ratio=0.0,
        fingerprint=fingerprint(RULE, answer.route, "wrong"),
        details=(*(one_line(each, 300) for each in wrong[1:]), f"cache-control: {one_line(header) or 'none'}"),
        location=Location(route=answer.route),
        confidence=Confidence.CERTAIN,
        reasons_for=("these headers were received, not inferred",),
        reasons_against=("one answer was looked at, after the load; others of the route may differ",),
    )


def _missing(
    hits: PhaseHits, answer: Answer, path: str, share: float, keys: RouteKeys | None, time_ratio: float
) -> Iterator[Finding]:
    choice = None if keys is None else cache_choice.chosen(keys)
    should = policy(answer, path, choice)
    hit = _edge_hit(choice, should)
    if should.public and hit is not None and hit < CACHE_MIN_HIT_RATIO:
        return  # kept, it would hardly be asked for again
    if not should.public and answer.body_bytes < COMPRESSION_MIN_BYTES:
        return  # a 304 would be no smaller than its one packet
    yield Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{one_line(answer.route)} does not say how long it may be kept: each of its requests, {share:.0%} of all,"
            " is answered by the service" + (f"; an edge cache would answer {hit:.0%} of them" if hit else "")
        ),
        explains=(Subject.LATENCY, Subject.THROUGHPUT, Subject.HIT_RATE),
        share_ratio=share,
        share_of="requests",
        weight_ratio=time_ratio * (hit or 0.0),
        fingerprint=fingerprint(RULE, answer.route, "missing"),
        details=_details(answer, choice),
        location=Location(route=answer.route),
        confidence=Confidence.CERTAIN,
        reasons_for=(one_line(should.why, 300),),
        reasons_against=_against(answer, keys, should),
        remedies=(_remedy(hits, answer, should, hit, choice),),
    )


def _edge_hit(choice: Choice | None, should: _Policy) -> float | None:
    if choice is None or not should.public:
        return None
    fitting = [point.hit for point in choice.by_ttl if point.ttl_s <= should.ttl_s]
    return fitting[-1] if fitting else choice.by_ttl[0].hit


def _details(answer: Answer, choice: Choice | None) -> tuple[str, ...]:
    seen = ", ".join(f"{name}: {one_line(value, 60)}" for name, value in sorted(answer.headers.items())) or "none"
    same = "the same body twice" if answer.same_again else "two requests for it had different bodies"
    curve = () if choice is None else cache_choice.told(choice)[:1]
    return (f"headers of caching received: {seen}", same, *curve)


def _against(answer: Answer, keys: RouteKeys | None, should: _Policy) -> tuple[str, ...]:
    found = ["a cache in front cannot be told of a write as the service's own cache can"] if should.public else []
    if not answer.same_again:
        found.append("two requests one after the other had different bodies: it may change all the time")
    if keys is None:
        found.append("which keys were read is not known, so no hit rate can be told")
    elif keys.writers or keys.possible_writers or keys.collection_writers:
        who = (*keys.writers, *keys.possible_writers, *keys.collection_writers)
        found.append(f"{', '.join(map(one_line, who))} may change it")
    if should.public and not should.header.endswith("86400"):
        found.append("what depends on who asks must not be public: the load saw no sign that it does")
    return tuple(found)


def _remedy(hits: PhaseHits, answer: Answer, should: _Policy, hit: float | None, choice: Choice | None) -> Remedy:
    return Remedy(
        kind=RemedyKind.HTTP_CACHE,
        title=f"say Cache-Control of {one_line(answer.route)}",
        act=f"answer {one_line(answer.route)} with: Cache-Control: {should.header}"
        + ("" if "etag" in answer.headers else ", and an ETag"),
        parameters={
            "route": answer.route, "phase": hits.phase.name, "cache_control": should.header, "ttl_s": should.ttl_s,
            "public": should.public,
            "stale_possible_ratio": 0.0 if choice is None or not should.public else choice.stale_possible,
        },
        estimate=None if hit is None else Estimate(
            metric="hit rate", before=0.0, after=hit, unit="ratio", by="TTL of the load's own requests",
        ),
    )  # fmt: skip
