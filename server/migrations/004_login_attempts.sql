-- Logins that were tried are counted for all processes. Some databases of version 3 have the table already.

CREATE TABLE IF NOT EXISTS login_attempts (
    attempt_id TEXT PRIMARY KEY,
    network TEXT NOT NULL,
    mark TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS login_attempts_by_network ON login_attempts (network, at);
