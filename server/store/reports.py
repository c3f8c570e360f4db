"""What was sold, made, given back and lost on each day, by device; of the database and of archives alike.

An order counts for the day (UTC) on which it was made, with all that became of it later.
"""

from collections.abc import Iterator

from server.days import DAY_MS
from server.db import Statement, Transaction

FIGURES = (
    "orders",
    "drinks",
    "paid",
    "paid_minor",
    "refunds",
    "refunded_minor",
    "released",
    "released_minor",
    "losses",
    "lost_minor",
    "open_cases",
)
"""What a day's line says. Sums are kopecks; held money that was released was never paid."""

Days = dict[int, dict[str, int]]
"""By the number of the day since 1970: its figures."""

_DAY = f"orders.created_at / {DAY_MS} AS day_no"
_OURS = "orders.device_uuid = $1 AND orders.created_at >= $2 AND orders.created_at < $3"
_SUM = "CAST(coalesce(sum({column}), 0) AS BIGINT)"

_QUESTIONS = (
    (("orders",), "count(*) AS n0", "", ""),
    (("drinks",), "count(*) AS n0", "JOIN makes ON makes.order_id = orders.order_id", "makes.state = 'done'"),
    (
        ("paid", "paid_minor"),
        f"count(*) AS n0, {_SUM.format(column='payments.amount_minor')} AS n1",
        "JOIN payments ON payments.order_id = orders.order_id",
        "payments.status IN ('held', 'succeeded')",
    ),
    *(
        (
            names,
            f"count(*) AS n0, {_SUM.format(column='refunds.amount_minor')} AS n1",
            "JOIN refunds ON refunds.order_id = orders.order_id",
            f"refunds.status = 'succeeded' AND refunds.kind = '{kind}'",
        )
        for kind, names in (
            ("refund", ("refunds", "refunded_minor")),
            ("release", ("released", "released_minor")),
        )
    ),
    (
        ("losses", "lost_minor"),
        f"count(*) AS n0, {_SUM.format(column='orders.price_minor')} AS n1",
        "JOIN cases ON cases.order_id = orders.order_id",
        "cases.kind = 'delivered_and_refunded'",
    ),
    (
        ("open_cases",),
        "count(*) AS n0",
        "JOIN cases ON cases.order_id = orders.order_id",
        "cases.closed_at IS NULL",
    ),
)
"""Names of figures, what is counted, joined with what, under which condition."""


def of_device(device_uuid: str, since: int, until: int) -> Transaction[Days]:
    """The days of a device on which orders were made, from `since` to before `until`."""
    days: Days = {}
    for names, counted, joined, condition in _QUESTIONS:
        rows = yield Statement(
            f"SELECT {_DAY}, {counted} FROM orders {joined} WHERE {_OURS}"
            f"{' AND ' if condition else ''}{condition} GROUP BY day_no",
            (device_uuid, since, until),
        )
        for row in rows:
            day = days.setdefault(row["day_no"], dict.fromkeys(FIGURES, 0))
            day |= {name: row[f"n{place}"] for place, name in enumerate(names)}
    return days


def cases_without_order(since: int, until: int) -> Transaction[int]:
    """How many open cases of that time are about no order: money that fits none, mostly."""
    rows = yield Statement(
        "SELECT count(*) AS number FROM cases WHERE closed_at IS NULL AND order_id IS NULL "
        "AND opened_at >= $1 AND opened_at < $2",
        (since, until),
    )
    number: int = rows[0]["number"]
    return number


def added(several: Iterator[Days]) -> Days:
    """Return the days of several sources as one."""
    total: Days = {}
    for days in several:
        for number, figures in days.items():
            day = total.setdefault(number, dict.fromkeys(FIGURES, 0))
            for name in FIGURES:
                day[name] += figures[name]
    return total
