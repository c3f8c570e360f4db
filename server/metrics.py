"""Counters for Prometheus: every change of an order, every input that was refused, every session."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

REGISTRY = CollectorRegistry()

TRANSITIONS = Counter(
    "demitasse_order_transitions",
    "Orders that went from one status to another",
    ["from_status", "to_status"],
    registry=REGISTRY,
)
MAKE_FAILURES = Counter(
    "demitasse_make_failures", "Drinks that were not made, or not known to be", ["code"], registry=REGISTRY
)
REFUSED = Counter("demitasse_refused", "Requests that were refused, by reason", ["reason"], registry=REGISTRY)
NOTIFICATIONS = Counter(
    "demitasse_notifications",
    "Providers' notifications, by what became of them",
    ["outcome"],
    registry=REGISTRY,
)
PROVIDER_CALLS = Counter(
    "demitasse_provider_calls",
    "Calls to payment providers, by outcome",
    ["call", "outcome"],
    registry=REGISTRY,
)
REFUNDS = Counter("demitasse_refunds", "Refunds, by what became of them", ["outcome"], registry=REGISTRY)
CAPTURES = Counter(
    "demitasse_captures", "Captures of held money, by what the provider said", ["outcome"], registry=REGISTRY
)
RECEIPTS = Counter(
    "demitasse_receipts", "Fiscal receipts, by what the cash register said", ["outcome"], registry=REGISTRY
)
FAULTY_FRAMES = Counter(
    "demitasse_faulty_frames", "WebSocket frames that are not the protocol", registry=REGISTRY
)
SESSIONS = Gauge(
    "demitasse_agent_sessions", "Agents connected", registry=REGISTRY, multiprocess_mode="livesum"
)
CASES = Gauge(
    "demitasse_open_cases",
    "Cases in front of a person",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
REQUEST_SECONDS = Histogram(
    "demitasse_request_seconds", "Time to answer a request", ["route", "status"], registry=REGISTRY
)


def exposition() -> bytes:
    """Return everything as Prometheus reads it; in a pool of workers it is the sum of all of them."""
    registry = REGISTRY
    if values.ValueClass is not values.MutexValue:  # the supervisor has set PROMETHEUS_MULTIPROC_DIR
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
