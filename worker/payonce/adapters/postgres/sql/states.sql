-- name: read
-- Many orders, all of one moment, each with everything that is shown of it; an order that is still
-- at the version that is known is not read again. What there may be much of is cut at $3: the
-- payment that settled the order and the newest ones are read, and the timeline's latest lines, the
-- last one first.
SELECT
    o.order_id, o.status, o.amount, o.currency, o.settled_by, o.settled_at, o.acknowledged_at,
    o.version,
    o.version <> w.known AS is_news,
    CASE WHEN o.version <> w.known THEN ARRAY(
        SELECT s.p FROM (
            SELECT p FROM payments p WHERE p.order_id = o.order_id
            ORDER BY p.payment_id IS NOT DISTINCT FROM o.settled_by DESC,
                p.initiated_at DESC, p.payment_id DESC
            LIMIT $3
        ) s
        ORDER BY (s.p).initiated_at, (s.p).payment_id
    ) END AS payments,
    CASE WHEN o.version <> w.known THEN ARRAY(
        SELECT r FROM refunds r
        WHERE r.order_id = o.order_id ORDER BY r.created_at, r.refund_id LIMIT $3
    ) END AS refunds,
    CASE WHEN $4 THEN ARRAY(
        SELECT t FROM timeline t WHERE t.order_id = o.order_id ORDER BY t.entry_id DESC LIMIT $3
    ) END AS timeline
FROM unnest($1::text[], $2::integer[]) AS w (order_id, known)
JOIN orders o ON o.order_id = w.order_id;

-- name: versions
SELECT o.order_id, o.version
FROM unnest($1::text[]) AS w (order_id) JOIN orders o ON o.order_id = w.order_id;

-- name: payments
SELECT p.* FROM unnest($1::text[]) AS w (payment_id) JOIN payments p ON p.payment_id = w.payment_id;
