-- name: delete_events
DELETE FROM outbox WHERE event_id IN (
    SELECT e.event_id FROM outbox e
    WHERE e.event_id = ANY ($1::uuid[])
    ORDER BY e.event_id FOR UPDATE
);

-- name: claim_events
-- Whose turn it is: by the end of the last lease, by the time of writing where there was none. An
-- event without a listener so holds up no other.
WITH turn AS MATERIALIZED (
    SELECT e.event_id, COALESCE(e.leased_until, e.occurred_at) AS due_at
    FROM outbox e
    WHERE COALESCE(e.leased_until, e.occurred_at) <= $1
        AND e.occurred_at < $2
    ORDER BY COALESCE(e.leased_until, e.occurred_at), e.event_id
    LIMIT $4
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE outbox o SET leased_until = $3, attempts = o.attempts + 1
    FROM turn t
    WHERE o.event_id = t.event_id
    RETURNING
        t.due_at, o.event_id, o.type, o.order_id, o.occurred_at, o.data, o.traceparent,
        o.attempts - 1 AS attempts
)
SELECT
    c.event_id, c.type, c.order_id, c.occurred_at, c.data, c.traceparent, c.attempts,
    COALESCE(s.acknowledged_at IS NOT NULL, false) AS acknowledged
FROM claimed c
LEFT JOIN orders s ON s.order_id = c.order_id
ORDER BY c.due_at, c.event_id;
