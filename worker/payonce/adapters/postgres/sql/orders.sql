-- name: acknowledge
-- Returns the orders as they were before. The outbox is left alone: queues that are bound for an
-- event are owed it, whoever acknowledged the order, also where it was put back.
WITH locked AS MATERIALIZED (
    SELECT
        o.order_id, o.settled_by, o.acknowledged_at, o.version, w.payment_id, w.way
    FROM unnest($1::text[], $2::text[], $3::text[]) AS w (order_id, payment_id, way)
    JOIN orders o ON o.order_id = w.order_id
    ORDER BY o.order_id
    FOR NO KEY UPDATE OF o
), booked AS MATERIALIZED (
    SELECT order_id, payment_id, way, acknowledged_at
    FROM locked WHERE settled_by = payment_id
), acknowledged AS (
    UPDATE orders o SET
        acknowledged_at = $4,
        retell_at = NULL,
        success_data = NULL,
        version = o.version + 1
    FROM booked b
    WHERE o.order_id = b.order_id AND b.acknowledged_at IS NULL
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT order_id, payment_id, $4, 'order.acknowledged', jsonb_build_object('by', way)
    FROM booked WHERE acknowledged_at IS NULL
)
SELECT order_id, settled_by, acknowledged_at, version FROM locked;

-- name: cancel
WITH cancelled AS (
    INSERT INTO orders AS o (order_id, status) VALUES ($1, 'CANCELLED')
    ON CONFLICT (order_id) DO UPDATE SET status = 'CANCELLED', version = o.version + 1
        WHERE o.status = 'OPEN'
    RETURNING o.order_id
)
INSERT INTO timeline (order_id, at, kind)
SELECT order_id, $2, 'order.cancelled' FROM cancelled;

-- name: close_those_of_cancelled
-- Asked again it names the same payments; the order's version grows with what was not so before.
WITH closed AS (
    UPDATE payments p SET
        closing = 'order-cancelled',
        revive_at = LEAST(p.revive_at, $2::timestamptz)
    FROM orders o, payments b
    WHERE o.order_id = $1 AND p.order_id = o.order_id AND b.payment_id = p.payment_id
        AND o.status = 'CANCELLED' AND p.status IN ('CREATED', 'PENDING')
        AND p.mismatched IS NULL
    RETURNING
        p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
        p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
        p.closing, p.reversed_amount, b.closing AS was_closing
), ordered AS (
    UPDATE orders SET version = version + 1
    WHERE order_id = $1
        AND EXISTS (SELECT FROM closed WHERE was_closing IS DISTINCT FROM 'order-cancelled')
)
SELECT * FROM closed;

-- name: version
SELECT version FROM orders WHERE order_id = $1;

-- name: unacknowledged
SELECT o.order_id, o.settled_at AS occurred_at, o.success_data AS data, p.traceparent
FROM orders o
JOIN payments p ON p.payment_id = o.settled_by
WHERE o.order_id = ANY ($1::text[]) AND o.retell_at IS NOT NULL;
