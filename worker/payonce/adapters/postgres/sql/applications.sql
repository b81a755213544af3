-- name: open_order
INSERT INTO orders (order_id, amount, currency) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: lock_order
SELECT status, amount, currency, settled_by, version
FROM orders WHERE order_id = $1 FOR NO KEY UPDATE;

-- name: lock_unfinished
-- A statement of its own: it sees what was committed while the order's lock was waited for.
SELECT
    payment_id, order_id, gateway, amount, currency, status, gateway_ref,
    expires_at, epoch, step, duplicate, unresolved, mismatched, traceparent,
    closing, reversed_amount,
    initiated_at, answered_at, shared_until, qr, pay_url
FROM payments
WHERE order_id = $1 AND (status IN ('CREATED', 'PENDING') OR payment_id = $2)
ORDER BY payment_id
FOR NO KEY UPDATE;

-- name: count_payments
SELECT count(*) FROM payments WHERE order_id = $1;

-- name: share
UPDATE payments SET shared_until = $2 WHERE payment_id = $1;

-- name: insert
WITH ordered AS (
    UPDATE orders SET amount = $3, currency = $4, version = $5 WHERE order_id = $2
), superseded AS (
    UPDATE payments SET closing = 'superseded', revive_at = LEAST(revive_at, $11::timestamptz)
    WHERE payment_id = ANY ($10::text[])
    RETURNING payment_id, closing
), told AS (
    INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
    VALUES ($12, $13, $2, $7, $14::jsonb, $15)
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT $2, $1, $7, $16, $17::jsonb
    UNION ALL
    SELECT $2, payment_id, $7, 'payment.closing', jsonb_build_object('reason', closing)
    FROM superseded
)
INSERT INTO payments (
    payment_id, order_id, gateway, amount, currency, status,
    initiated_at, expires_at, expires_given, revive_at, traceparent
) VALUES ($1, $2, $6, $3, $4, 'CREATED', $7, $8, true, $9, $15);

-- name: payment
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    p.initiated_at, p.answered_at, p.shared_until, p.qr, p.pay_url
FROM payments p JOIN orders o ON o.order_id = p.order_id
WHERE p.payment_id = $1;

-- name: confirm
WITH ordered AS (
    UPDATE orders SET version = $3 WHERE order_id = $2
), told AS (
    INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
    SELECT *
    FROM json_to_recordset($4::json) AS w (
        event_id uuid, type text, order_id text, occurred_at timestamptz, data jsonb,
        traceparent text
    )
    ON CONFLICT DO NOTHING
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT *
    FROM json_to_recordset($5::json) AS w (
        order_id text, payment_id text, at timestamptz, kind text, detail jsonb
    )
)
UPDATE payments SET
    status = $6,
    gateway_ref = $7,
    closing = $8,
    mismatched = $9,
    revive_at = CASE WHEN $9::text IS NULL THEN COALESCE($14, revive_at) END,
    last_answer = COALESCE($15, last_answer),
    answered_at = $10,
    shared_until = $11,
    qr = $12,
    pay_url = $13
WHERE payment_id = $1;
