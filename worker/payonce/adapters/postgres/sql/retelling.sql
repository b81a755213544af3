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
)
INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
SELECT
    l.event_id, 'payment.succeeded', l.order_id, l.settled_at, l.success_data, p.traceparent
FROM planned l
JOIN payments p ON p.payment_id = l.settled_by
ON CONFLICT DO NOTHING;
