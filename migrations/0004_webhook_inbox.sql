-- Callbacks as they came. It remembers what was processed, not what was seen: a crash after the
-- insert must not turn the gateway's repeat into a duplicate.
CREATE TABLE webhook_inbox (
    inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL,
    event_id text NOT NULL,
    received_at timestamptz NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    payment_id text COLLATE "C",
    processed_at timestamptz,
    problem text,
    attempts integer NOT NULL DEFAULT 0,
    revive_at timestamptz,
    CONSTRAINT webhook_inbox_event_length CHECK (length(event_id) BETWEEN 1 AND 255),
    CONSTRAINT webhook_inbox_body_size CHECK (octet_length(body) <= 65536),
    CONSTRAINT webhook_inbox_attempts_count CHECK (attempts >= 0),
    CONSTRAINT webhook_inbox_once UNIQUE (gateway, event_id)
);

CREATE INDEX webhook_inbox_unprocessed ON webhook_inbox (revive_at) WHERE processed_at IS NULL;

CREATE INDEX webhook_inbox_of_payment ON webhook_inbox (payment_id) WHERE payment_id IS NOT NULL;
