-- Money may be held and taken later, paid by SBP, and come with receipts. The sandbox has a T-Bank.
-- Several processes may serve one database.
-- A CHECK cannot be changed in place: those tables are built anew with every row.

ALTER TABLE merchants ADD COLUMN holds_cards_since BIGINT;
ALTER TABLE merchants ADD COLUMN receipt TEXT;
ALTER TABLE drinks ADD COLUMN receipt TEXT;
ALTER TABLE credentials ADD COLUMN heard_at BIGINT;
ALTER TABLE orders ADD COLUMN email TEXT;
ALTER TABLE agents ADD COLUMN server_id TEXT;

CREATE TABLE servers (
    server_id TEXT PRIMARY KEY,
    started_at BIGINT NOT NULL,
    beats BIGINT NOT NULL DEFAULT 0,
    seen_at BIGINT NOT NULL,
    host TEXT NOT NULL DEFAULT '',
    pid BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE payments_3 (
    payment_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    attempt_no BIGINT NOT NULL,
    scenario TEXT NOT NULL,
    merchant_id TEXT NOT NULL REFERENCES merchants (merchant_id),
    method TEXT NOT NULL CHECK (method IN ('card', 'sbp')),
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    provider_payment_id TEXT,
    confirmation_url TEXT,
    confirmation_kind TEXT CHECK (confirmation_kind IN ('redirect', 'qr')),
    status TEXT NOT NULL CHECK (status IN ('creating', 'pending', 'held', 'succeeded', 'canceled', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    checks BIGINT NOT NULL DEFAULT 0,
    next_check_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    leased_until BIGINT,
    unasked_since BIGINT,
    UNIQUE (order_id, attempt_no)
);
INSERT INTO payments_3 (
    payment_id, order_id, attempt_no, scenario, merchant_id, method, amount_minor, currency,
    idempotence_key, body, provider_payment_id, confirmation_url, confirmation_kind, status, detail,
    checks, next_check_at, created_at, updated_at)
SELECT
    payment_id, order_id, attempt_no, scenario, merchant_id, 'card', amount_minor, currency,
    idempotence_key, body, provider_payment_id, confirmation_url, CASE WHEN confirmation_url IS NULL
    THEN NULL ELSE 'redirect' END, status, detail, checks, next_check_at, created_at, updated_at
FROM payments;
DROP TABLE payments;
ALTER TABLE payments_3 RENAME TO payments;
CREATE UNIQUE INDEX payments_by_provider_id ON payments (provider_payment_id, merchant_id, scenario)
    WHERE provider_payment_id IS NOT NULL;
CREATE INDEX payments_by_check ON payments (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX payments_by_time ON payments (created_at);

CREATE TABLE captures (
    payment_id TEXT PRIMARY KEY REFERENCES payments (payment_id),
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX captures_by_try ON captures (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE refunds_3 (
    refund_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (payment_id),
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    kind TEXT NOT NULL CHECK (kind IN ('refund', 'release')),
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    provider_refund_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    leased_until BIGINT
);
INSERT INTO refunds_3 (
    refund_id, payment_id, order_id, kind, amount_minor, currency, reason, idempotence_key, body,
    provider_refund_id, status, detail, tries, next_try_at, created_at, updated_at)
SELECT
    refund_id, payment_id, order_id, 'refund', amount_minor, currency, reason, idempotence_key,
    body, provider_refund_id, status, detail, tries, next_try_at, created_at, updated_at
FROM refunds;
DROP TABLE refunds;
ALTER TABLE refunds_3 RENAME TO refunds;
CREATE UNIQUE INDEX refunds_one_per_payment ON refunds (payment_id) WHERE status IN ('pending', 'succeeded');
CREATE INDEX refunds_by_order ON refunds (order_id);
CREATE INDEX refunds_by_try ON refunds (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX refunds_by_payment ON refunds (payment_id);
CREATE INDEX refunds_by_time ON refunds (created_at);

CREATE TABLE receipts (
    receipt_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (payment_id),
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'refund')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'canceled')),
    amount_minor BIGINT NOT NULL,
    storage_number TEXT,
    document_number TEXT,
    attribute TEXT,
    registered_at TEXT,
    tries BIGINT NOT NULL DEFAULT 0,
    next_check_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX receipts_by_payment ON receipts (payment_id);
CREATE INDEX receipts_by_check ON receipts (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE cases_3 (
    case_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN (
        'outcome_unknown', 'refund_failed', 'payment_mismatch', 'stray_money', 'delivered_and_refunded',
        'capture_failed', 'receipt_failed', 'books_differ', 'payment_unasked')),
    subject TEXT NOT NULL,
    order_id TEXT REFERENCES orders (order_id),
    device_uuid TEXT REFERENCES devices (device_uuid),
    detail TEXT NOT NULL DEFAULT '',
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    closed_by TEXT,
    resolution TEXT,
    reason TEXT
);
INSERT INTO cases_3 (
    case_id, kind, subject, order_id, device_uuid, detail, opened_at, closed_at, closed_by,
    resolution, reason)
SELECT
    case_id, kind, subject, order_id, device_uuid, detail, opened_at, closed_at, closed_by,
    resolution, reason
FROM cases;
DROP TABLE cases;
ALTER TABLE cases_3 RENAME TO cases;
CREATE UNIQUE INDEX cases_open ON cases (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX cases_by_subject ON cases (kind, subject);
CREATE INDEX cases_by_order ON cases (order_id) WHERE order_id IS NOT NULL;

CREATE INDEX notifications_by_time ON notifications (received_at);
CREATE INDEX notifications_unmatched ON notifications (received_at) WHERE outcome LIKE 'unmatched%';
CREATE INDEX changes_by_device ON changes (device_uuid, at);

CREATE TABLE archives (
    archive_id TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    before_at BIGINT NOT NULL,
    orders BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    moving BIGINT UNIQUE CHECK (moving = 1)
);

CREATE TABLE sandbox_receipts (
    receipt_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES sandbox_payments (payment_id),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'canceled')),
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    settles_at BIGINT
);
CREATE INDEX sandbox_receipts_by_payment ON sandbox_receipts (payment_id);
CREATE INDEX sandbox_receipts_open ON sandbox_receipts (settles_at) WHERE settles_at IS NOT NULL;

CREATE TABLE sandbox_tbank_payments (
    payment_id TEXT PRIMARY KEY,
    terminal_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT,
    UNIQUE (terminal_key, order_id)
);
CREATE INDEX sandbox_tbank_payments_open ON sandbox_tbank_payments (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE sandbox_tbank_requests (
    request_id TEXT PRIMARY KEY,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sandbox_tbank_notifications (
    notification_id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_try_at BIGINT,
    tries BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sandbox_tbank_notifications_open ON sandbox_tbank_notifications (next_try_at)
    WHERE next_try_at IS NOT NULL;
