-- name: order
SELECT
    order_id, status, amount, currency, settled_by, settled_at, acknowledged_at, version
FROM orders WHERE order_id = $1;

-- name: payment
SELECT * FROM payments WHERE payment_id = $1;

-- name: payments_of_order
SELECT * FROM payments WHERE order_id = $1 ORDER BY initiated_at, payment_id LIMIT $2;

-- name: refunds_of_order
SELECT * FROM refunds WHERE order_id = $1 ORDER BY created_at, refund_id LIMIT $2;

-- name: timeline_of_order
SELECT * FROM (
    SELECT entry_id, payment_id, at, kind, detail
    FROM timeline WHERE order_id = $1 ORDER BY entry_id DESC LIMIT $2
) AS latest ORDER BY entry_id;

-- name: unresolved
SELECT *, expires_at AS listed_at FROM payments
WHERE unresolved AND (expires_at, payment_id) > ($1, $2)
ORDER BY expires_at, payment_id LIMIT $3;

-- name: mismatched
SELECT *, initiated_at AS listed_at FROM payments
WHERE mismatched IS NOT NULL AND (initiated_at, payment_id) > ($1, $2)
ORDER BY initiated_at, payment_id LIMIT $3;

-- name: unacknowledged
SELECT
    order_id, status, amount, currency, settled_by, settled_at, acknowledged_at, version,
    settled_at AS listed_at
FROM orders
WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL AND (settled_at, order_id) > ($1, $2)
ORDER BY settled_at, order_id LIMIT $3;

-- name: watched_gateways
SELECT DISTINCT gateway FROM payments WHERE revive_at IS NOT NULL ORDER BY gateway;
