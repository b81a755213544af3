-- name: lock_payments
-- Locks each order before its payments, orders in order of order_id. Both rows are returned as they
-- are once the lock is held; ref_owner as it was when the statement began.
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    r.payment_id AS ref_owner
FROM unnest($1::text[], $2::text[]) AS w (payment_id, reported_ref)
JOIN payments p ON p.payment_id = w.payment_id
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN payments r ON r.gateway = p.gateway AND r.gateway_ref = w.reported_ref
ORDER BY o.order_id, p.payment_id
FOR NO KEY UPDATE OF o, p;

-- name: apply
WITH decided AS (
    UPDATE payments p SET
        status = w.status,
        gateway_ref = w.gateway_ref,
        duplicate = w.duplicate,
        unresolved = w.unresolved,
        mismatched = w.mismatched,
        paid_at = COALESCE(w.paid_at, p.paid_at),
        settled_at = COALESCE(w.settled_at, p.settled_at),
        revive_at = w.revive_at,
        last_answer = w.last_answer
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::boolean[], $5::boolean[], $6::text[],
        $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[]
    ) AS w (
        payment_id, status, gateway_ref, duplicate, unresolved, mismatched,
        paid_at, settled_at, revive_at, last_answer
    )
    WHERE p.payment_id = w.payment_id
), ordered AS (
    UPDATE orders o SET
        status = w.status,
        settled_by = w.settled_by,
        settled_at = COALESCE(w.settled_at, o.settled_at),
        version = w.version
    FROM unnest($11::text[], $12::text[], $13::text[], $14::integer[], $15::timestamptz[])
        AS w (order_id, status, settled_by, version, settled_at)
    WHERE o.order_id = w.order_id
), told AS (
    INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
    SELECT *
    FROM unnest(
        $16::uuid[], $17::text[], $18::text[], $19::timestamptz[], $20::jsonb[], $21::text[]
    )
    ON CONFLICT DO NOTHING
), refunded AS (
    INSERT INTO refunds (
        refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule
    )
    SELECT *
    FROM unnest(
        $22::text[], $23::text[], $24::text[], $25::text[], $26::bigint[], $27::text[],
        $28::text[], $29::text[], $30::text[]
    )
)
INSERT INTO timeline (order_id, payment_id, at, kind, detail)
SELECT *
FROM unnest($31::text[], $32::text[], $33::timestamptz[], $34::text[], $35::jsonb[]);
