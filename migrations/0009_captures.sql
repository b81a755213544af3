-- Which payments may be captured, at gateways whose money moves only when we say so.

CREATE TABLE captures (
    payment_id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    -- Grows after a definite refusal alone: the gateway's key of idempotency follows from it.
    attempt integer NOT NULL,
    claimed_at timestamptz NOT NULL,
    -- Until then others leave the claim to the process that made it.
    held_until timestamptz NOT NULL,
    -- Why it is never captured.
    why text NOT NULL DEFAULT '',
    CONSTRAINT captures_state_known CHECK (state IN ('CLAIMED', 'FREE', 'FORBIDDEN')),
    CONSTRAINT captures_attempt_counts CHECK (attempt >= 0),
    CONSTRAINT captures_forbidden_why CHECK ((state = 'FORBIDDEN') = (why <> '')),
    CONSTRAINT captures_of_own_order
        FOREIGN KEY (order_id, payment_id) REFERENCES payments (order_id, payment_id)
);

CREATE INDEX captures_of_order ON captures (order_id);

CREATE TRIGGER captures_step BEFORE UPDATE ON captures FOR EACH ROW
    WHEN (OLD.state = 'FORBIDDEN' AND NEW.state <> 'FORBIDDEN')
    EXECUTE FUNCTION refuse('a payment whose capture was forbidden is never captured');
