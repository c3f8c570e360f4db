-- Every table of the server. Read as it stands by SQLite (and written so that PostgreSQL reads it too).
-- Ids are TEXT made by us. Times are BIGINT, UTC milliseconds. Money is BIGINT kopecks ("minor units").
-- A flag is a nullable time. A state is TEXT with a CHECK that lists its values.
-- A change of this file comes with server/migrations/NNN_what.sql and a new version below.

CREATE TABLE schema_version (
    version BIGINT NOT NULL
);
INSERT INTO schema_version (version) VALUES (4);

-- Who sells. ---------------------------------------------------------------------------------------

CREATE TABLE merchants (
    merchant_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    valid_until BIGINT,                     -- past it nothing is sold; NULL: no limit
    updated_at BIGINT NOT NULL,
    holds_cards_since BIGINT,               -- a card's money is held until the drink is made; NULL: taken at once
    receipt TEXT                            -- JSON: what receipts say of every drink; NULL: no receipts
);

CREATE TABLE credentials (
    merchant_id TEXT NOT NULL REFERENCES merchants (merchant_id),
    scenario TEXT NOT NULL,                 -- which provider they are for
    body TEXT NOT NULL,                     -- JSON: account_id, secret_key, ...
    updated_at BIGINT NOT NULL,
    heard_at BIGINT,                        -- when a notification of this shop came last, to a minute
    PRIMARY KEY (merchant_id, scenario)
);

CREATE TABLE devices (
    device_uuid TEXT PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants (merchant_id),
    location TEXT NOT NULL,
    payment_scenario TEXT NOT NULL
        CHECK (payment_scenario IN ('Yookassa', 'YookassaReceipt', 'TBank', 'Custom', 'Sandbox')),
    redirect_url TEXT,                      -- of the scenario Custom
    logo_url TEXT,                          -- https only
    client_info TEXT,                       -- texts of the operator, HTML; sanitised when shown
    client_info_pending TEXT,
    client_info_paid TEXT,
    client_info_not_paid TEXT,
    client_info_make_pending TEXT,
    client_info_manual_make TEXT,
    client_info_successful TEXT,
    client_error_info TEXT,                 -- shown on error pages
    updated_at BIGINT NOT NULL,
    client_info_make_failed TEXT            -- shown with make_failed; NULL: the standard text only
);

CREATE TABLE drinks (
    device_uuid TEXT NOT NULL REFERENCES devices (device_uuid),
    drink_no TEXT NOT NULL,                 -- the machine's number of it, as in printed codes
    name TEXT NOT NULL,
    prices TEXT NOT NULL,                   -- JSON: size (small, medium, large) -> kopecks
    position BIGINT NOT NULL,               -- place in the menu
    removed_at BIGINT,                      -- no longer sold
    updated_at BIGINT NOT NULL,
    receipt TEXT,                           -- JSON: what its receipts say otherwise than the merchant's
    PRIMARY KEY (device_uuid, drink_no)
);

-- The agent beside each machine, and what it last said. ---------------------------------------------

CREATE TABLE agents (
    device_uuid TEXT PRIMARY KEY REFERENCES devices (device_uuid),
    token_hash TEXT UNIQUE,                 -- SHA-256 of the token; the token itself is never kept
    epoch BIGINT NOT NULL DEFAULT 0,        -- grows with each accepted session; an older one is fenced
    boot_id TEXT,
    journal_id TEXT,                        -- which journal it speaks from
    acked_seq BIGINT NOT NULL DEFAULT 0,    -- highest report of that journal that is stored here
    connected_at BIGINT,                    -- since when it is connected; NULL: it is not
    last_seen_at BIGINT,
    machine_state TEXT CHECK (machine_state IN ('ready', 'busy', 'error', 'offline')),
    machine_model TEXT,
    machine_code TEXT,
    machine_said TEXT,
    machine_at BIGINT,                      -- when the machine's state was reported
    previous_token_hash TEXT,               -- still valid until the new token is first used
    server_id TEXT                          -- the process that holds its socket; NULL: none
);
CREATE INDEX agents_by_previous_token ON agents (previous_token_hash) WHERE previous_token_hash IS NOT NULL;

CREATE TABLE servers (
    server_id TEXT PRIMARY KEY,             -- a process of the server, from its start to its end
    started_at BIGINT NOT NULL,
    beats BIGINT NOT NULL DEFAULT 0,        -- grows while it lives; the others see by their own clocks that it stops
    seen_at BIGINT NOT NULL,                -- its clock at the last beat
    host TEXT NOT NULL DEFAULT '',          -- where it runs, and as which process: who starts there sees at once
    pid BIGINT NOT NULL DEFAULT 0           -- that it was killed
);

-- Orders and their money. --------------------------------------------------------------------------

CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,              -- from the link; at most 255 characters
    device_uuid TEXT NOT NULL REFERENCES devices (device_uuid),
    drink_no TEXT NOT NULL,
    drink_name TEXT NOT NULL,               -- from the menu, when the order was made
    size TEXT NOT NULL CHECK (size IN ('small', 'medium', 'large')),
    price_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    payment_scenario TEXT NOT NULL,
    refund_status TEXT CHECK (refund_status IN ('pending', 'succeeded', 'failed')),
    failure_code TEXT,                      -- why it failed; in paid and make_pending: why the outcome is unknown
    failure_said TEXT,                      -- what the machine said
    attempt_no BIGINT NOT NULL DEFAULT 0,   -- the make attempt that counts
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,             -- until when it may be paid
    payment_started_at BIGINT,
    paid_at BIGINT,
    deadline_at BIGINT,                     -- when a status that waits for the customer ends by itself
    version BIGINT NOT NULL DEFAULT 0,      -- grows with each change: the compare-and-set
    status TEXT NOT NULL CHECK (status IN (
        'created', 'pending', 'not_paid', 'paid', 'make_pending', 'successful', 'make_failed', 'manual_make',
        'failed')),
    email TEXT                              -- where the customer's receipts go
);
CREATE INDEX orders_by_device ON orders (device_uuid, created_at);
CREATE INDEX orders_by_deadline ON orders (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE order_events (
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,                    -- what happened
    from_status TEXT NOT NULL,
    to_status TEXT NOT NULL,                -- equal to from_status when it changed nothing
    cause TEXT NOT NULL,                    -- who brought it: customer, provider, agent, timer, a person's name
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, seq)
);

CREATE TABLE payments (
    payment_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    attempt_no BIGINT NOT NULL,
    scenario TEXT NOT NULL,
    merchant_id TEXT NOT NULL REFERENCES merchants (merchant_id),
    method TEXT NOT NULL CHECK (method IN ('card', 'sbp')),
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,                     -- the exact request, saved before the first attempt
    provider_payment_id TEXT,
    confirmation_url TEXT,                  -- where the customer pays
    confirmation_kind TEXT CHECK (confirmation_kind IN ('redirect', 'qr')),
    status TEXT NOT NULL CHECK (status IN ('creating', 'pending', 'held', 'succeeded', 'canceled', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    checks BIGINT NOT NULL DEFAULT 0,
    next_check_at BIGINT,                   -- when the provider is asked next; NULL: it is over
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    leased_until BIGINT,                    -- until when one process has it to itself; NULL: none has
    unasked_since BIGINT,                   -- since when the provider could not be asked; NULL: it answered last
    UNIQUE (order_id, attempt_no)
);
CREATE UNIQUE INDEX payments_by_provider_id ON payments (provider_payment_id, merchant_id, scenario)
    WHERE provider_payment_id IS NOT NULL;
CREATE INDEX payments_by_check ON payments (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX payments_by_time ON payments (created_at);

CREATE TABLE captures (
    payment_id TEXT PRIMARY KEY REFERENCES payments (payment_id),   -- whose held money is taken
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,                     -- the exact request, saved before the first attempt
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT,                     -- when it is sent or asked for next; NULL: it is over
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX captures_by_try ON captures (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE refunds (
    refund_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (payment_id),
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    kind TEXT NOT NULL CHECK (kind IN ('refund', 'release')),   -- of money that was taken, or only held
    amount_minor BIGINT NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    idempotence_key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,                     -- the exact request, saved before the first attempt
    provider_refund_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT,                     -- when it is sent or asked for next; NULL: it is over
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    leased_until BIGINT                     -- until when one process has it to itself; NULL: none has
);
CREATE UNIQUE INDEX refunds_one_per_payment ON refunds (payment_id) WHERE status IN ('pending', 'succeeded');
CREATE INDEX refunds_by_order ON refunds (order_id);
CREATE INDEX refunds_by_try ON refunds (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX refunds_by_payment ON refunds (payment_id);
CREATE INDEX refunds_by_time ON refunds (created_at);

CREATE TABLE receipts (
    receipt_id TEXT PRIMARY KEY,            -- our payment_id or refund_id
    payment_id TEXT NOT NULL REFERENCES payments (payment_id),
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'refund')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'canceled')),
    amount_minor BIGINT NOT NULL,
    storage_number TEXT,                    -- of the fiscal storage (fn)
    document_number TEXT,                   -- fiscal document (i)
    attribute TEXT,                         -- fiscal attribute (fp)
    registered_at TEXT,                     -- the register's own time, as the provider gives it
    tries BIGINT NOT NULL DEFAULT 0,
    next_check_at BIGINT,                   -- when the provider is asked next; NULL: it is over
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX receipts_by_payment ON receipts (payment_id);
CREATE INDEX receipts_by_check ON receipts (next_check_at) WHERE next_check_at IS NOT NULL;

CREATE TABLE notifications (
    notification_id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    event TEXT NOT NULL,
    object_id TEXT NOT NULL,
    body TEXT NOT NULL,                     -- as it came, at most 64 KiB
    received_at BIGINT NOT NULL,
    handled_at BIGINT,                      -- NULL: the provider has not confirmed it yet
    outcome TEXT NOT NULL DEFAULT '',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at BIGINT
);
CREATE INDEX notifications_open ON notifications (next_try_at) WHERE handled_at IS NULL;
CREATE INDEX notifications_by_time ON notifications (received_at);
CREATE INDEX notifications_unmatched ON notifications (received_at) WHERE outcome LIKE 'unmatched%';

-- Make commands. -----------------------------------------------------------------------------------

CREATE TABLE makes (
    command_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    attempt_no BIGINT NOT NULL,
    device_uuid TEXT NOT NULL REFERENCES devices (device_uuid),
    drink_no TEXT NOT NULL,
    size TEXT NOT NULL,
    price_minor BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'queued', 'sent', 'received', 'started', 'done', 'failed', 'unknown', 'rejected', 'expired', 'overdue')),
    code TEXT,
    actuated TEXT NOT NULL DEFAULT 'no' CHECK (actuated IN ('no', 'partial', 'yes', 'unknown')),
    evidence TEXT NOT NULL DEFAULT 'none',
    said TEXT NOT NULL DEFAULT '',
    epoch BIGINT,                           -- the session it was sent in
    journal_id TEXT,                        -- the journal it was sent to
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,             -- end of its life: not started by then, it never will be
    sent_at BIGINT,
    received_at BIGINT,
    started_at BIGINT,
    ended_at BIGINT,
    wake_at BIGINT,                         -- when the server looks at it next; NULL: it is over, or a case
    UNIQUE (order_id, attempt_no)
);
CREATE UNIQUE INDEX makes_one_in_flight ON makes (device_uuid) WHERE state IN ('sent', 'received', 'started');
CREATE INDEX makes_failed_by_device ON makes (device_uuid, created_at, command_id) WHERE code IS NOT NULL;
CREATE INDEX makes_by_wake ON makes (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX makes_open_by_device ON makes (device_uuid, created_at)
    WHERE state IN ('queued', 'sent', 'received', 'started', 'overdue', 'unknown');

-- What a person has to decide or to know. -----------------------------------------------------------

CREATE TABLE cases (
    case_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN (
        'outcome_unknown', 'refund_failed', 'payment_mismatch', 'stray_money', 'delivered_and_refunded',
        'capture_failed', 'receipt_failed', 'books_differ', 'payment_unasked')),
    subject TEXT NOT NULL,                  -- what it is about: one open case per kind and subject
    order_id TEXT REFERENCES orders (order_id),
    device_uuid TEXT REFERENCES devices (device_uuid),
    detail TEXT NOT NULL DEFAULT '',
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    closed_by TEXT,
    resolution TEXT,
    reason TEXT
);
CREATE UNIQUE INDEX cases_open ON cases (kind, subject) WHERE closed_at IS NULL;
CREATE INDEX cases_by_subject ON cases (kind, subject);
CREATE INDEX cases_by_order ON cases (order_id) WHERE order_id IS NOT NULL;

-- Technicians and operators. -------------------------------------------------------------------------

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('technician', 'operator')),
    password_hash TEXT NOT NULL,            -- argon2id
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,            -- SHA-256 of the cookie or bearer token
    user_name TEXT NOT NULL REFERENCES users (name),
    kind TEXT NOT NULL CHECK (kind IN ('browser', 'program')),
    csrf TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    expires_at BIGINT                       -- NULL: a program's token, until it is revoked
);

CREATE TABLE login_attempts (
    attempt_id TEXT PRIMARY KEY,            -- forgotten after a minute, or when it was the right password
    network TEXT NOT NULL,                  -- from where: an address, or the /64 of one of IPv6
    mark TEXT NOT NULL,                     -- a few letters of the hash of the name that was typed
    at BIGINT NOT NULL
);
CREATE INDEX login_attempts_by_network ON login_attempts (network, at);

CREATE TABLE changes (
    change_id TEXT PRIMARY KEY,             -- who changed what by hand
    at BIGINT NOT NULL,
    user_name TEXT NOT NULL,
    device_uuid TEXT REFERENCES devices (device_uuid),
    what TEXT NOT NULL,
    before_text TEXT,
    after_text TEXT
);
CREATE INDEX changes_by_device ON changes (device_uuid, at);

-- Files to which finished orders were moved. ----------------------------------------------------------

CREATE TABLE archives (
    archive_id TEXT PRIMARY KEY,            -- of the file; stands in the file too
    file TEXT NOT NULL,                     -- where it was when it was last written to
    before_at BIGINT NOT NULL,              -- it holds only orders made before then
    orders BIGINT NOT NULL,                 -- how many were moved there
    updated_at BIGINT NOT NULL,
    moving BIGINT UNIQUE CHECK (moving = 1) -- 1: a move there has not ended, and no other may begin; NULL: none
);

-- The sandbox bank: as its own books would be, apart from ours. ---------------------------------------

CREATE TABLE sandbox_payments (
    payment_id TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('pending', 'waiting_for_capture', 'succeeded', 'canceled')),
    body TEXT NOT NULL,                     -- JSON: the payment object as the API shows it
    created_at BIGINT NOT NULL,
    expires_at BIGINT                       -- when it is canceled by itself; NULL: final
);
CREATE INDEX sandbox_payments_by_time ON sandbox_payments (created_at, payment_id);
CREATE INDEX sandbox_payments_open ON sandbox_payments (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE sandbox_refunds (
    refund_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES sandbox_payments (payment_id),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'canceled')),
    body TEXT NOT NULL,                     -- JSON: the refund object as the API shows it
    created_at BIGINT NOT NULL,
    settles_at BIGINT                       -- when it leaves pending; NULL: final
);
CREATE INDEX sandbox_refunds_by_payment ON sandbox_refunds (payment_id);
CREATE INDEX sandbox_refunds_by_time ON sandbox_refunds (created_at, refund_id);
CREATE INDEX sandbox_refunds_open ON sandbox_refunds (settles_at) WHERE settles_at IS NOT NULL;

CREATE TABLE sandbox_keys (
    idempotence_key TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,             -- method, path and body
    http_status BIGINT NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL              -- forgotten after 24 hours
);

CREATE TABLE sandbox_notifications (
    notification_id TEXT PRIMARY KEY,
    body TEXT NOT NULL,                     -- the object as it was when the event happened
    created_at BIGINT NOT NULL,
    next_try_at BIGINT,                     -- NULL: delivered, or given up after 24 hours
    tries BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sandbox_notifications_open ON sandbox_notifications (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE sandbox_receipts (
    receipt_id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES sandbox_payments (payment_id),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'canceled')),
    body TEXT NOT NULL,                     -- JSON: the receipt object as the API shows it
    created_at BIGINT NOT NULL,
    settles_at BIGINT                       -- when it leaves pending; NULL: final
);
CREATE INDEX sandbox_receipts_by_payment ON sandbox_receipts (payment_id);
CREATE INDEX sandbox_receipts_open ON sandbox_receipts (settles_at) WHERE settles_at IS NOT NULL;

-- The sandbox's T-Bank. --------------------------------------------------------------------------------

CREATE TABLE sandbox_tbank_payments (
    payment_id TEXT PRIMARY KEY,
    terminal_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    status TEXT NOT NULL,
    body TEXT NOT NULL,                     -- JSON: what the bank keeps of it
    created_at BIGINT NOT NULL,
    due_at BIGINT,                          -- when its status changes by itself; NULL: it does not
    UNIQUE (terminal_key, order_id)
);
CREATE INDEX sandbox_tbank_payments_open ON sandbox_tbank_payments (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE sandbox_tbank_requests (
    request_id TEXT PRIMARY KEY,            -- payment and ExternalRequestId
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sandbox_tbank_notifications (
    notification_id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    body TEXT NOT NULL,                     -- as the payment was when the event happened, signed
    created_at BIGINT NOT NULL,
    next_try_at BIGINT,                     -- NULL: answered OK, or given up
    tries BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sandbox_tbank_notifications_open ON sandbox_tbank_notifications (next_try_at)
    WHERE next_try_at IS NOT NULL;
