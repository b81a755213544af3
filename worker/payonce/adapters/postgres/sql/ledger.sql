-- name: lock_payments
-- Locks each order before its payments, orders in order of order_id. Both rows are returned as they
-- are once the lock is held; ref_owner as it was when the statement began.
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
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
-- Returns the other pending payments of the orders that were settled: they shall be closed.
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
        last_answer = w.last_answer,
        closing = w.closing,
        reversed_amount = w.reversed_amount,
        captured_amount = COALESCE(w.captured_amount, p.captured_amount),
        captured_currency = COALESCE(w.captured_currency, p.captured_currency),
        -- What a person resolved was another entry: money that does not fit begins a new one.
        resolved_as = CASE WHEN w.mismatched IS NULL THEN p.resolved_as END,
        resolved_by = CASE WHEN w.mismatched IS NULL THEN p.resolved_by END,
        resolved_why = CASE WHEN w.mismatched IS NULL THEN p.resolved_why END,
        resolved_at = CASE WHEN w.mismatched IS NULL THEN p.resolved_at END
    FROM json_to_recordset($1::json) AS w (
        payment_id text, status text, gateway_ref text, duplicate boolean, unresolved boolean,
        mismatched text, paid_at timestamptz, settled_at timestamptz, revive_at timestamptz,
        last_answer text, closing text, reversed_amount bigint, captured_amount bigint,
        captured_currency text
    )
    WHERE p.payment_id = w.payment_id
), ordered AS (
    UPDATE orders o SET
        status = w.status,
        settled_by = w.settled_by,
        settled_at = COALESCE(w.settled_at, o.settled_at),
        retell_at = COALESCE(w.settled_at + $7::interval, o.retell_at),
        success_data = COALESCE(w.success_data, o.success_data),
        version = w.version
    FROM json_to_recordset($2::json) AS w (
        order_id text, status text, settled_by text, settled_at timestamptz, success_data jsonb,
        version integer
    )
    WHERE o.order_id = w.order_id
), told AS (
    INSERT INTO outbox (event_id, type, order_id, occurred_at, data, traceparent)
    SELECT *
    FROM json_to_recordset($3::json) AS w (
        event_id uuid, type text, order_id text, occurred_at timestamptz, data jsonb,
        traceparent text
    )
    ON CONFLICT DO NOTHING
), refunded AS (
    INSERT INTO refunds (
        refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule, revive_at,
        traceparent
    )
    SELECT *
    FROM json_to_recordset($4::json) AS w (
        refund_id text, payment_id text, order_id text, gateway text, amount bigint,
        currency text, status text, reason text, rule text, revive_at timestamptz, traceparent text
    )
), siblings AS (
    UPDATE payments p SET
        closing = 'order-paid',
        revive_at = LEAST(p.revive_at, w.settled_at + $6::interval)
    FROM json_to_recordset($2::json) AS w (order_id text, settled_by text, settled_at timestamptz)
    WHERE w.settled_at IS NOT NULL
        AND p.order_id = w.order_id
        AND p.payment_id <> w.settled_by
        AND p.status IN ('CREATED', 'PENDING')
        AND p.mismatched IS NULL
        AND p.payment_id NOT IN (
            SELECT d.payment_id FROM json_to_recordset($1::json) AS d (payment_id text)
        )
    RETURNING
        p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
        p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
        p.closing, p.reversed_amount, w.settled_at
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT *
    FROM json_to_recordset($5::json) AS w (
        order_id text, payment_id text, at timestamptz, kind text, detail jsonb
    )
    UNION ALL
    SELECT
        order_id, payment_id, settled_at, 'payment.closing', jsonb_build_object('reason', closing)
    FROM siblings
)
SELECT * FROM siblings;
