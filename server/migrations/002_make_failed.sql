-- Orders may end in make_failed, and a device has a text for it. A token can be changed without a gap.
-- A CHECK cannot be changed in place: the table is built anew with every row.

ALTER TABLE devices ADD COLUMN client_info_make_failed TEXT;
ALTER TABLE agents ADD COLUMN previous_token_hash TEXT;
CREATE INDEX agents_by_previous_token ON agents (previous_token_hash) WHERE previous_token_hash IS NOT NULL;
CREATE INDEX makes_failed_by_device ON makes (device_uuid, created_at, command_id) WHERE code IS NOT NULL;

CREATE TABLE orders_2 (
    order_id TEXT PRIMARY KEY,
    device_uuid TEXT NOT NULL REFERENCES devices (device_uuid),
    drink_no TEXT NOT NULL,
    drink_name TEXT NOT NULL,
    size TEXT NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    price_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    payment_scenario TEXT NOT NULL,
    refund_status TEXT CHECK (refund_status IN ('pending', 'succeeded', 'failed')),
    failure_code TEXT,
    failure_said TEXT,
    attempt_no BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    payment_started_at BIGINT,
    paid_at BIGINT,
    deadline_at BIGINT,
    version BIGINT NOT NULL DEFAULT 0,
    status TEXT NOT NULL CHECK (status IN (
        'created', 'pending', 'not_paid', 'paid', 'make_pending', 'successful', 'make_failed', 'manual_make',
        'failed'))
);
INSERT INTO orders_2 (
    order_id, device_uuid, drink_no, drink_name, size, price_minor, currency, payment_scenario, refund_status,
    failure_code, failure_said, attempt_no, created_at, updated_at, expires_at, payment_started_at, paid_at,
    deadline_at, version, status)
SELECT
    order_id, device_uuid, drink_no, drink_name, size, price_minor, currency, payment_scenario, refund_status,
    failure_code, failure_said, attempt_no, created_at, updated_at, expires_at, payment_started_at, paid_at,
    deadline_at, version, status
FROM orders;
DROP TABLE orders;
ALTER TABLE orders_2 RENAME TO orders;
CREATE INDEX orders_by_device ON orders (device_uuid, created_at);
CREATE INDEX orders_by_deadline ON orders (deadline_at) WHERE deadline_at IS NOT NULL;
