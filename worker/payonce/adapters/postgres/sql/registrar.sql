-- name: lock_orders
-- Creates unknown orders, locks all, and returns those whose price is fixed by this; the ids come in
-- order. A row that the WHERE leaves alone is locked all the same.
INSERT INTO orders AS o (order_id, amount, currency)
SELECT w.order_id, w.amount, w.currency
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS w (order_id, amount, currency)
ON CONFLICT (order_id) DO UPDATE SET amount = EXCLUDED.amount, currency = EXCLUDED.currency
    WHERE o.amount IS NULL
RETURNING o.order_id;

-- name: insert_payments
-- Takes the payments in order and skips every one that a unique index refuses. What the statement
-- reads was committed before it began, hence while the orders were locked: only a payment_id or
-- gateway_ref that is being registered for another order can hide, and then nothing is found.
WITH wanted AS MATERIALIZED (
    SELECT *
    FROM ROWS FROM (
        json_to_recordset($1::json) AS (
            payment_id text, order_id text, gateway text, amount bigint, currency text,
            gateway_ref text, initiated_at timestamptz, expires_at timestamptz,
            expires_given boolean, traceparent text
        ),
        unnest($2::timestamptz[])
    ) WITH ORDINALITY AS w (
        payment_id, order_id, gateway, amount, currency, gateway_ref,
        initiated_at, expires_at, expires_given, traceparent, revive_at, n
    )
), inserted AS (
    INSERT INTO payments (
        payment_id, order_id, gateway, amount, currency, gateway_ref,
        initiated_at, expires_at, expires_given, traceparent, revive_at, status
    )
    SELECT
        payment_id, order_id, gateway, amount, currency, gateway_ref,
        initiated_at, expires_at, expires_given, traceparent, revive_at, 'PENDING'
    FROM wanted ORDER BY n
    ON CONFLICT DO NOTHING
    RETURNING payment_id, order_id, gateway, amount, currency
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT
        order_id, payment_id, now(), 'payment.registered',
        jsonb_build_object('gateway', gateway, 'amount', amount, 'currency', currency)
    FROM inserted
)
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    w.payment_id IN (SELECT payment_id FROM inserted) AS inserted,
    p.expires_given,
    r.payment_id AS ref_owner
FROM wanted w
JOIN orders o ON o.order_id = w.order_id
LEFT JOIN payments p ON p.payment_id = w.payment_id
LEFT JOIN payments r ON r.gateway = w.gateway AND r.gateway_ref = w.gateway_ref
ORDER BY w.n;

-- name: refix_orders
-- The payment that was to fix the price was refused: the next one does, or none yet.
UPDATE orders o SET amount = w.amount, currency = w.currency
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS w (order_id, amount, currency)
WHERE o.order_id = w.order_id;

-- name: fill_payments
UPDATE payments p SET
    gateway_ref = COALESCE(p.gateway_ref, w.gateway_ref),
    expires_at = CASE WHEN p.expires_given THEN p.expires_at ELSE w.expires_at END,
    expires_given = p.expires_given OR w.expires_given
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[])
    AS w (payment_id, gateway_ref, expires_at, expires_given)
WHERE p.payment_id = w.payment_id
RETURNING
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent;
