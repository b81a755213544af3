-- name: lock_unacknowledged
SELECT order_id, settled_at FROM orders
WHERE retell_at <= $1
ORDER BY retell_at
LIMIT $2
FOR NO KEY UPDATE SKIP LOCKED;

-- name: retell
-- An event that still waits in the outbox is not put there twice.
WITH planned AS (
    UPDATE orders o SET retell_at = w.retell_at
    FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS w (order_id, event_id, retell_at)
    WHERE o.order_id = w.order_id
    RETURNING o.order_id, o.settled_by, o.settled_at, o.success_data, w.event_id
), events AS MATERIALIZED (
    SELECT l.event_id, l.order_id, l.settled_at AS occurred_at, l.success_data AS data, p.traceparent
    FROM planned l
    JOIN payments p ON p.payment_id = l.settled_by
), told AS (
    INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent, retold)
    SELECT event_id, 'payment.succeeded', order_id, occurred_at, data, traceparent, true
    FROM events
    ON CONFLICT DO NOTHING
)
SELECT order_id, occurred_at, data, traceparent FROM events ORDER BY occurred_at;

-- name: make_due
-- Returns the order as it was before.
WITH locked AS MATERIALIZED (
    SELECT order_id, settled_by, acknowledged_at, retell_at FROM orders
    WHERE order_id = $1 FOR NO KEY UPDATE
), due AS (
    UPDATE orders o SET retell_at = $3 FROM locked l
    WHERE o.order_id = l.order_id AND l.retell_at IS NOT NULL
    RETURNING o.order_id, o.settled_by
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT order_id, settled_by, $3, 'order.notify_asked', jsonb_build_object('by', $2::text) FROM due
)
SELECT settled_by, acknowledged_at, retell_at FROM locked;

-- name: make_all_due
WITH later AS MATERIALIZED (
    SELECT order_id, settled_by FROM orders
    WHERE retell_at > $2
    ORDER BY retell_at
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    UPDATE orders o SET retell_at = $2 FROM later l WHERE o.order_id = l.order_id
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT order_id, settled_by, $2, 'order.notify_asked', jsonb_build_object('by', $1::text)
    FROM later WHERE $1::text IS NOT NULL
)
SELECT count(*) AS orders FROM later;
