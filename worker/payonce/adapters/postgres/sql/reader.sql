-- name: unresolved
SELECT *, expires_at AS listed_at FROM payments
WHERE unresolved AND resolved_at IS NULL AND (expires_at, payment_id) > ($1, $2)
ORDER BY expires_at, payment_id LIMIT $3;

-- name: mismatched
SELECT *, initiated_at AS listed_at FROM payments
WHERE mismatched IS NOT NULL AND resolved_at IS NULL
    AND (initiated_at, payment_id) > ($1, $2)
ORDER BY initiated_at, payment_id LIMIT $3;

-- name: unacknowledged
SELECT
    order_id, status, amount, currency, settled_by, settled_at, acknowledged_at, version,
    settled_at AS listed_at
FROM orders
WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL AND (settled_at, order_id) > ($1, $2)
ORDER BY settled_at, order_id LIMIT $3;

-- name: watched_gateways
SELECT gateway FROM payments WHERE revive_at IS NOT NULL
UNION
SELECT gateway FROM refunds WHERE revive_at IS NOT NULL
ORDER BY gateway;

-- name: refund
SELECT * FROM refunds WHERE refund_id = $1;

-- name: refunds
-- What waits for a person: a FAILED refund until another was asked for, or somebody took care of it;
-- whatever its gateway contradicted, until somebody took care of that.
SELECT r.*, r.created_at AS listed_at FROM refunds r
WHERE (r.created_at, r.refund_id) > ($1, $2)
    AND (r.status IN ('HELD', 'MANUAL', 'FAILED') OR r.contradicted_at IS NOT NULL)
    AND (r.status <> 'FAILED' OR r.contradicted_at IS NOT NULL OR (
        r.resolved_by IS NULL
        AND NOT EXISTS (
            SELECT FROM refunds n
            WHERE n.order_id = r.order_id AND n.payment_id = r.payment_id
                AND (n.created_at, n.refund_id) > (r.created_at, r.refund_id)
        )
    ))
ORDER BY r.created_at, r.refund_id LIMIT $3;

-- name: refunds_in
SELECT *, created_at AS listed_at FROM refunds
WHERE (created_at, refund_id) > ($1, $2) AND status = $4
ORDER BY created_at, refund_id LIMIT $3;
