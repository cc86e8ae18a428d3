"""Prometheus metrics, each a fold over the loop's events or over a finished request.

A registry of its own for each application, nothing global. Labels take values from closed sets
only: never a word of a user, a key, or an id.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from models.messages import Usage
from models.replicas import Replicas
from revision.calls import CallRecord
from revision.events import Critiqued, Decided, Event, RubricReady, StageBegan
from revision.review import Review
from server.admission import Admission
from server.errors import RateLimited, Refused
from server.keys.ring import Ring
from server.rates.counts import Counts
from server.stages import ended_by

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """The gateway's instruments."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.responses = Counter(
            "clinalign_http_responses",
            "HTTP responses by route and status",
            ("route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "clinalign_http_request_seconds",
            "Seconds from request to last byte",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "clinalign_http_requests_in_flight", "Requests being served", registry=self.registry
        )
        self.reviews = Counter(
            "clinalign_reviews",
            "Finished reviews by mode, status and stop reason",
            ("mode", "status", "stop_reason"),
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "clinalign_time_to_first_token_seconds",
            "Seconds from request to the first token of the final answer",
            ("mode",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "clinalign_stage_seconds",
            "Seconds that a hidden stage took",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.verdicts = Counter(
            "clinalign_verdicts", "Verdicts on drafts", ("verdict",), registry=self.registry
        )
        self.candidates = Counter(
            "clinalign_candidates",
            "Candidate answers, accepted or why not",
            ("outcome",),
            registry=self.registry,
        )
        self.rubrics = Counter(
            "clinalign_rubrics",
            "Rubrics by how they were made",
            ("made_by",),
            registry=self.registry,
        )
        self.tokens = Counter(
            "clinalign_tokens", "Tokens spent by step", ("step", "type"), registry=self.registry
        )
        self.call_failures = Counter(
            "clinalign_model_call_failures",
            "Failed model calls by step and error",
            ("step", "error"),
            registry=self.registry,
        )
        self.known_answers = Gauge(
            "clinalign_judge_known_answers",
            "Known answers by how the judge judged them: right, wrong, unread (no verdict)",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.refusals = Counter(
            "clinalign_refusals",
            "Requests that their key, or the want of one, has kept out, by reason",
            ("reason",),
            registry=self.registry,
        )
        self.client_gone = Counter(
            "clinalign_clients_gone",
            "Clients that left before their answer",
            registry=self.registry,
        )

        self.calls_in_flight = Gauge(
            "clinalign_upstream_calls_in_flight",
            "Calls to the model server that hold a slot",
            registry=self.registry,
        )
        self.waiting = Gauge(
            "clinalign_requests_waiting", "New requests in the queue", registry=self.registry
        )
        self.replicas_out = Gauge(
            "clinalign_replicas_out", "Replicas that get no calls", registry=self.registry
        )

        self.limits_alone = Gauge(
            "clinalign_limits_counted_alone",
            "Whether the shared counters of keys' use are out of reach",
            registry=self.registry,
        )
        self.keys_unreadable = Gauge(
            "clinalign_keys_unreadable",
            "Whether the store of keys is out of reach",
            registry=self.registry,
        )

    def watch_keys(self, ring: Ring, counts: Counts) -> None:
        """Read these from now on."""
        self.limits_alone.set_function(lambda: counts.is_local)
        self.keys_unreadable.set_function(lambda: ring.problem is not None)

    def refused(self, error: Refused | RateLimited) -> None:
        """Count a refusal."""
        reason = error.reason if isinstance(error, Refused) else error.of
        self.refusals.labels(reason).inc()

    def observe(self, admission: Admission, replicas: Replicas) -> None:
        """Read these from now on."""
        self.calls_in_flight.set_function(lambda: admission.running)
        self.waiting.set_function(lambda: admission.waiting)
        self.replicas_out.set_function(lambda: sum(one.is_out for one in replicas.all))

    def watch(self) -> "Watch":
        """Return a fold over one request's events."""
        return Watch(self)

    def finished(self, review: Review, records: list[CallRecord]) -> None:
        """Count a finished review and what it cost."""
        self.reviews.labels(review.mode, review.status, review.stop_reason).inc()
        self.spent(records)

    def spent(self, records: list[CallRecord]) -> None:
        """Count what calls have cost.

        A counter raises when it is to go down, and a wrong number must not cost the answer.
        """
        for record in records:
            self.spent_on(record.step, record.usage, record.error)

    def spent_on(self, step: str, usage: Usage, error: str | None) -> None:
        """Count what one call has cost; `step` and `error` are names from closed sets."""
        self.tokens.labels(step, "prompt").inc(max(0, usage.prompt_tokens))
        self.tokens.labels(step, "completion").inc(max(0, usage.completion_tokens))
        self.tokens.labels(step, "cached").inc(max(0, usage.cached_tokens))
        if error is not None:
            self.call_failures.labels(step, error).inc()


class Watch:
    """Measures one request's stages as its events come by. Draft, search and rubric overlap."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._since: dict[str, float] = {}

    def see(self, event: Event) -> None:
        """Take one event."""
        self._end(*ended_by(event))
        match event:
            case StageBegan():
                self._since[event.stage] = time.perf_counter()
            case RubricReady():
                self._metrics.rubrics.labels(event.rubric.made_by).inc()
            case Critiqued() if event.round == 0:
                for judgement in event.critique.judgements:
                    self._metrics.verdicts.labels(judgement.verdict.value).inc()
            case Decided():
                self._metrics.candidates.labels(event.objection or "accepted").inc()
            case _:
                pass

    def end(self) -> None:
        """Close the stages that a failure or a departure cut off."""
        self._end(*self._since)

    def _end(self, *stages: str) -> None:
        for stage in stages:
            if (since := self._since.pop(stage, None)) is not None:
                seconds = time.perf_counter() - since
                self._metrics.stage_seconds.labels(stage).observe(seconds)
