-- name: in_flight
-- Whatever is watched has a time to be revived at, so that the sweeper's index leads to it: one index
-- less to pay for at each registration and settlement. Ages are by the clock that wrote created_at.
SELECT
    p.gateway, width_bucket(p.age_s, $1::float8[]) AS bound, count(*) AS payments,
    count(*) FILTER (WHERE p.status = 'CREATED') AS created,
    count(*) FILTER (WHERE p.closing IS NOT NULL) AS closing
FROM (
    SELECT gateway, status, closing, date_part('epoch', now() - created_at) AS age_s
    FROM payments
    WHERE revive_at IS NOT NULL AND status IN ('CREATED', 'PENDING')
        AND NOT unresolved AND mismatched IS NULL
    LIMIT $2
) AS p
GROUP BY p.gateway, bound
ORDER BY p.gateway, bound;

-- name: refunds_waiting
-- What the list of refunds holds, in its words; see reader.sql.
SELECT status, count(*) AS refunds FROM (
    SELECT CASE WHEN r.contradicted_at IS NULL THEN r.status ELSE 'contradicted' END AS status
    FROM refunds r
    WHERE (r.status IN ('HELD', 'MANUAL', 'FAILED') OR r.contradicted_at IS NOT NULL)
        AND (r.status <> 'FAILED' OR r.contradicted_at IS NOT NULL OR (
            r.resolved_by IS NULL
            AND NOT EXISTS (
                SELECT FROM refunds n
                WHERE n.order_id = r.order_id AND n.payment_id = r.payment_id
                    AND (n.created_at, n.refund_id) > (r.created_at, r.refund_id)
            )
        ))
    LIMIT $1
) AS waiting
GROUP BY status;

-- name: find
SELECT DISTINCT what, order_id FROM (
    SELECT 'order' AS what, order_id FROM orders WHERE order_id = $1
    UNION ALL
    SELECT 'payment', order_id FROM payments WHERE payment_id = $1
    UNION ALL
    SELECT 'refund', order_id FROM refunds WHERE refund_id = $1
    UNION ALL
    SELECT 'gateway', order_id FROM payments WHERE gateway_ref = $1
) AS found
ORDER BY what, order_id LIMIT $2;
