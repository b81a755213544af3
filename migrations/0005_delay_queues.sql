-- Which delay queues were declared at the broker: a wait that left the ladder is retired, drains
-- and is forgotten once its queue is deleted.
CREATE TABLE delay_queues (
    dest text COLLATE "C" NOT NULL,
    wait_ms bigint NOT NULL,
    declared_at timestamptz NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (dest, wait_ms),
    CONSTRAINT delay_queues_wait_range CHECK (wait_ms > 0)
);
