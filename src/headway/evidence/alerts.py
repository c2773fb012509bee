"""Whether alerts exist: what a Prometheus has loaded, or what rule files say."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from headway.conventions import MONITORING_FILE
from headway.errors import BadInput, HeadwayError, SourceRefused
from headway.evidence import bundle, fetch, promql, redact, rulefiles
from headway.evidence.collector import Collector, absent, failed, in_words, present
from headway.evidence.rulefiles import Rules
from headway.model import Monitoring, SourceState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.evidence.metrics import Metrics


class Alerts(Collector):
    """Alerting rules by Prometheus' HTTP API and from rule files. Writes monitoring.json, the metrics' part too."""

    name = "alerts"

    def __init__(self, prometheus_url: str | None, files: Sequence[Path], metrics: Metrics) -> None:
        super().__init__()
        self._url = prometheus_url
        self._files = files
        self._metrics = metrics
        self._errors: list[str] = []
        self._rules = Rules()
        self._loaded = False

    def check(self) -> SourceState:
        if self._url is None and not self._files:
            return absent(self.name, "--prometheus-url or --rules")
        for file in self._files:
            try:
                file.open("rb").close()
            except OSError as exc:
                what = f"the rule file cannot be read: {exc.strerror}"
                raise SourceRefused(what, next_act="name a Prometheus rule file", file=file) from exc
        if self._url is not None:
            fetch.check_url(self._url, "the Prometheus URL")
        written = self._read_files()
        loaded = self._ask() if self._url is not None else Rules()
        self._rules = loaded if self._loaded else written
        if self._loaded and (missing := {name for name, _ in written.alerts} - {name for name, _ in loaded.alerts}):
            self._errors.append(f"in the rule files and not loaded by Prometheus: {', '.join(sorted(missing))}")
        if self._errors and not self._rules.alerts:
            return failed(self.name, "; ".join(self._errors), "mend it and run again")
        whence = "loaded by Prometheus" if self._loaded else "in rule files, not known to be loaded"
        detail = "; ".join([f"{len(self._rules.alerts)} alerting rules, {whence}", *self._errors])
        return present(self.name, detail)

    def write(self, folder: Path) -> None:
        if self._metrics.url is None and self._url is None and not self._files:
            return
        found = self._metrics.request_metric()
        monitoring = Monitoring(
            metrics_url=None if self._metrics.url is None else redact.url(self._metrics.url),
            metrics_error=self._metrics.error,
            metric_families=len(self._metrics.families),
            request_metric=found[0] if found else None,
            request_metric_moved_by=found[1] if found else None,
            requests_sent=None,  # the load's own log knows; joined when the folder is read
            alerts=tuple(name for name, _ in self._rules.alerts),
            alerts_loaded=self._loaded,
            alerts_error="; ".join(self._errors) or None,
            unknown_metrics=self._unknown(),
        )
        bundle.put_json(folder / MONITORING_FILE, asdict(monitoring))

    def _read_files(self) -> Rules:
        read: list[Rules] = []
        for file in self._files:
            try:
                read.append(rulefiles.read(file))
            except BadInput as exc:
                self._errors.append(str(exc))
        return Rules(
            alerts=tuple(alert for rules in read for alert in rules.alerts),
            records=frozenset().union(*(rules.records for rules in read)),
        )

    def _ask(self) -> Rules:
        try:
            rules = self._api("rules")
            alerts, records = [], set()
            for rule in (rule for group in rules["groups"] for rule in group["rules"]):
                if rule["type"] == "recording":
                    records.add(str(rule["name"]))
                    continue
                alerts.append((str(rule["name"]), str(rule["query"])))
                if rule.get("health") == "err":
                    self._errors.append(f"alert {rule['name']} fails: {rule.get('lastError') or 'no reason given'}")
            self._check_targets(self._api("targets?state=active"))
        except HeadwayError as exc:
            self._errors.append(exc.what)
            return Rules()
        except (KeyError, TypeError, AttributeError) as exc:
            self._errors.append(f"{self._place} doesn't answer as Prometheus does: {in_words(exc)}")
            return Rules()
        self._loaded = True
        return Rules(alerts=tuple(alerts), records=frozenset(records))

    def _check_targets(self, targets: Any) -> None:
        """An alert on a target that isn't scraped never fires."""
        url = self._metrics.url
        active = targets["activeTargets"]
        if url is None:
            return
        own = [target for target in active if target["scrapeUrl"] == url]
        if not own:
            self._errors.append(f"Prometheus doesn't scrape {redact.url(url)} ({len(active)} other targets)")
        elif own[0]["health"] != "up":
            self._errors.append(f"Prometheus can't scrape {redact.url(url)}: {own[0].get('lastError')}")

    def _api(self, path: str) -> Any:
        text = fetch.get(f"{(self._url or '').rstrip('/')}/api/v1/{path}", accept="application/json")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise HeadwayError(f"{self._place} doesn't answer as Prometheus does", next_act="check the URL") from exc
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise HeadwayError(f"{self._place} doesn't answer as Prometheus does", next_act="check the URL")
        return answer["data"]

    @property
    def _place(self) -> str:
        return redact.url(self._url or "")

    def _unknown(self) -> tuple[str, ...]:
        if not self._metrics.readable:
            return ()
        used: set[str] = set()
        for _, expression in self._rules.alerts:
            try:
                used |= promql.metric_names(expression)
            except promql.NotPromQL:
                continue  # Prometheus takes it, so this tokenizer is what is wrong
        used -= self._rules.records
        return tuple(
            sorted(
                name
                for name in used
                if not self._metrics.exposes(name) and not promql.MADE_BY_PROMETHEUS.fullmatch(name)
            )
        )
