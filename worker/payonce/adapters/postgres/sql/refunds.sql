-- name: lock_order_of_refund
SELECT order_id FROM orders
WHERE order_id = (SELECT r.order_id FROM refunds r WHERE r.refund_id = $1)
FOR NO KEY UPDATE;

-- name: lock_order_of_payment
SELECT order_id FROM orders
WHERE order_id = (SELECT p.order_id FROM payments p WHERE p.payment_id = $1)
FOR NO KEY UPDATE;

-- name: lock_refund
-- After the order: its payments stay as they are, and what is read now was committed before.
SELECT refund_id FROM refunds WHERE refund_id = $1 FOR NO KEY UPDATE;

-- name: lock_sending
-- One sender at a time, whatever the process, so that what is counted stays true until the commit.
SELECT pg_advisory_xact_lock($1);

-- name: find
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    p.captured_amount, p.captured_currency,
    n.payment_id AS ref_owner
FROM refunds r
JOIN payments p ON p.payment_id = r.payment_id
JOIN orders o ON o.order_id = r.order_id
LEFT JOIN payments n ON n.gateway_ref = $2 AND n.gateway = r.gateway
WHERE r.refund_id = $1;

-- name: winner
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount
FROM orders o JOIN payments p ON p.payment_id = o.settled_by
WHERE o.order_id = $1;

-- name: refund
SELECT
    refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule,
    requested_by, requested_why, approved_by, approved_at, approved_again_by, approved_again_at,
    overruled, rejected_by, rejected_why, resolved_by, resolved_why, attempts, submitted_at,
    finished_at, last_answer, looks, contradicted_at, traceparent
FROM refunds WHERE refund_id = $1;

-- name: refunds_of_payment
SELECT
    refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule,
    requested_by, requested_why, approved_by, approved_at, approved_again_by, approved_again_at,
    overruled, rejected_by, rejected_why, resolved_by, resolved_why, attempts, submitted_at,
    finished_at, last_answer, looks, contradicted_at, traceparent
FROM refunds WHERE order_id = $1 AND payment_id = $2 ORDER BY created_at, refund_id;

-- name: payment
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    p.captured_amount, p.captured_currency, p.resolved_as
FROM payments p JOIN orders o ON o.order_id = p.order_id
WHERE p.payment_id = $1;

-- name: counts
-- Refunds that were sent, without this one: of its order, and since $2 of all and of its gateway.
SELECT
    (SELECT count(*) FROM refunds s
        WHERE s.order_id = r.order_id AND s.submitted_at IS NOT NULL
            AND s.refund_id <> r.refund_id) AS of_order,
    h.in_hour,
    h.of_gateway_in_hour
FROM refunds r
CROSS JOIN LATERAL (
    SELECT count(*) AS in_hour, count(*) FILTER (WHERE s.gateway = r.gateway) AS of_gateway_in_hour
    FROM refunds s WHERE s.submitted_at > $2 AND s.refund_id <> r.refund_id
) AS h
WHERE r.refund_id = $1;

-- name: insert_refund
INSERT INTO refunds (
    refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule,
    requested_by, requested_why, revive_at, traceparent
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: step_refund
UPDATE refunds SET status = $2 WHERE refund_id = $1;

-- name: write_refund
UPDATE refunds SET
    status = $2, rule = $3, approved_by = $4, approved_at = $5, approved_again_by = $6,
    approved_again_at = $7, overruled = $8, rejected_by = $9, rejected_why = $10,
    resolved_by = $11, resolved_why = $12, attempts = $13, submitted_at = $14, finished_at = $15,
    last_answer = $16, looks = $17, contradicted_at = $18, revive_at = $19
WHERE refund_id = $1;

-- name: write_version
UPDATE orders SET version = $2 WHERE order_id = $1 AND version <> $2;

-- name: resolve_payment
UPDATE payments SET resolved_as = $2, resolved_by = $3, resolved_why = $4, resolved_at = $5
WHERE payment_id = $1;

-- name: tell
INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
SELECT *
FROM json_to_recordset($1::json) AS w (
    event_id uuid, type text, order_id text, occurred_at timestamptz, data jsonb, traceparent text
)
ON CONFLICT DO NOTHING;

-- name: note
INSERT INTO timeline (order_id, payment_id, at, kind, detail)
SELECT *
FROM json_to_recordset($1::json) AS w (
    order_id text, payment_id text, at timestamptz, kind text, detail jsonb
);

-- name: overdue
UPDATE refunds SET revive_at = $2
WHERE refund_id IN (
    SELECT r.refund_id FROM refunds r
    WHERE r.revive_at <= $1 AND r.gateway = ANY ($4::text[])
    ORDER BY r.revive_at
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING
    refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule,
    requested_by, requested_why, approved_by, approved_at, approved_again_by, approved_again_at,
    overruled, rejected_by, rejected_why, resolved_by, resolved_why, attempts, submitted_at,
    finished_at, last_answer, looks, contradicted_at, traceparent;
