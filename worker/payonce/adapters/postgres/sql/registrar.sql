-- name: lock_orders
-- Creates unknown orders, locks all, and returns those whose price is fixed by this; the ids come in
-- order. A row that the WHERE leaves alone is locked all the same. A new order has version 0.
INSERT INTO orders AS o (order_id, amount, currency)
SELECT w.order_id, w.amount, w.currency
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS w (order_id, amount, currency)
ON CONFLICT (order_id) DO UPDATE SET
    amount = EXCLUDED.amount, currency = EXCLUDED.currency, version = o.version + 1
    WHERE o.amount IS NULL
RETURNING o.order_id, o.version;

-- name: insert_payments
-- Takes the payments in order and skips every one that a unique index refuses. What the statement
-- reads was committed before it began, hence while the orders were locked: only a payment_id or
-- gateway_ref that is being registered for another order can hide, and then nothing is found.
-- The version of an order that was there before ($4) grows; it is returned as it was.
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
        initiated_at, expires_at, expires_given, traceparent, revive_at, status, closing
    )
    SELECT
        w.payment_id, w.order_id, w.gateway, w.amount, w.currency, w.gateway_ref,
        w.initiated_at, w.expires_at, w.expires_given, w.traceparent,
        CASE o.status WHEN 'OPEN' THEN w.revive_at ELSE LEAST(w.revive_at, now() + $3::interval) END,
        'PENDING',
        CASE o.status WHEN 'OPEN' THEN NULL ELSE 'order-' || lower(o.status) END
    FROM wanted w JOIN orders o ON o.order_id = w.order_id
    ORDER BY w.n
    ON CONFLICT DO NOTHING
    RETURNING payment_id, order_id, gateway, amount, currency
), ordered AS (
    UPDATE orders SET version = version + 1
    WHERE order_id IN (SELECT order_id FROM inserted WHERE order_id = ANY ($4::text[]))
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
    p.closing, p.reversed_amount,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    w.payment_id IN (SELECT payment_id FROM inserted) AS inserted,
    p.expires_given,
    r.payment_id AS ref_owner,
    EXISTS (
        SELECT FROM payments s
        WHERE s.order_id = w.order_id AND s.payment_id <> w.payment_id
            AND s.status IN ('CREATED', 'PENDING')
    ) AS has_sibling,
    EXISTS (
        SELECT FROM webhook_inbox i WHERE i.payment_id = w.payment_id AND i.processed_at IS NULL
    ) AS called_back
FROM wanted w
JOIN orders o ON o.order_id = w.order_id
LEFT JOIN payments p ON p.payment_id = w.payment_id
LEFT JOIN payments r ON r.gateway = w.gateway AND r.gateway_ref = w.gateway_ref
ORDER BY w.n;

-- name: supersede
-- Of two pending payments of an order the older one shall be closed, whatever the order of arrival.
WITH superseded AS (
    UPDATE payments p SET closing = 'superseded', revive_at = LEAST(p.revive_at, now() + $2::interval)
    FROM orders o
    WHERE p.order_id = ANY ($1::text[])
        AND o.order_id = p.order_id AND o.status = 'OPEN'
        AND p.status IN ('CREATED', 'PENDING')
        AND p.closing IS NULL AND p.mismatched IS NULL
        AND EXISTS (
            SELECT FROM payments n
            WHERE n.order_id = p.order_id
                AND n.status IN ('CREATED', 'PENDING')
                AND n.closing IS NULL AND n.mismatched IS NULL
                AND (n.initiated_at, n.payment_id) > (p.initiated_at, p.payment_id)
        )
    RETURNING
        p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
        p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
        p.closing, p.reversed_amount
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT
        order_id, payment_id, now(), 'payment.closing', jsonb_build_object('reason', closing)
    FROM superseded
)
SELECT * FROM superseded;

-- name: refix_orders
-- The payment that was to fix the price was refused: the next one does, or none yet.
UPDATE orders o SET amount = w.amount, currency = w.currency
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS w (order_id, amount, currency)
WHERE o.order_id = w.order_id;

-- name: fill_payments
-- A watch that runs already carries the old terms: a new life of it carries these.
WITH ordered AS (
    UPDATE orders SET version = version + 1
    WHERE order_id IN (SELECT p.order_id FROM payments p WHERE p.payment_id = ANY ($1::text[]))
    RETURNING order_id, version
)
UPDATE payments p SET
    epoch = p.epoch + CASE WHEN
        (p.gateway_ref IS NULL AND w.gateway_ref IS NOT NULL)
        OR (w.expires_given AND NOT p.expires_given)
        THEN 1 ELSE 0 END,
    step = CASE WHEN
        (p.gateway_ref IS NULL AND w.gateway_ref IS NOT NULL)
        OR (w.expires_given AND NOT p.expires_given)
        THEN 0 ELSE p.step END,
    gateway_ref = COALESCE(p.gateway_ref, w.gateway_ref),
    expires_at = CASE WHEN p.expires_given THEN p.expires_at ELSE w.expires_at END,
    expires_given = p.expires_given OR w.expires_given
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[])
    AS w (payment_id, gateway_ref, expires_at, expires_given), ordered o
WHERE p.payment_id = w.payment_id AND o.order_id = p.order_id
RETURNING
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount, o.version;
