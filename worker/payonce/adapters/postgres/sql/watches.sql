-- name: read_states
SELECT p.payment_id, p.status, p.unresolved, p.epoch, p.step
FROM unnest($1::text[]) AS w (payment_id)
JOIN payments p ON p.payment_id = w.payment_id;

-- name: record_steps
-- Returns every payment as it was before; takes the locks in the order in which settling takes them.
WITH locked AS MATERIALIZED (
    SELECT
        p.payment_id, p.epoch, p.step, p.status, p.mismatched,
        w.epoch AS done_epoch, w.step AS done_step, w.revive_at
    FROM unnest($1::text[], $2::integer[], $3::integer[], $4::timestamptz[])
        AS w (payment_id, epoch, step, revive_at)
    JOIN payments p ON p.payment_id = w.payment_id
    ORDER BY p.order_id, p.payment_id
    FOR NO KEY UPDATE OF p
), recorded AS (
    UPDATE payments p SET
        step = l.done_step,
        -- A close that is under way keeps its own time.
        revive_at = CASE WHEN p.closing IS NULL THEN l.revive_at
            ELSE LEAST(p.revive_at, l.revive_at) END
    FROM locked l
    WHERE p.payment_id = l.payment_id
        AND l.epoch = l.done_epoch AND l.step < l.done_step
        AND l.status IN ('CREATED', 'PENDING') AND l.mismatched IS NULL
)
SELECT payment_id, epoch, step, status, mismatched FROM locked;

-- name: lock_dead
SELECT
    payment_id, order_id, gateway, amount, currency, status, gateway_ref,
    expires_at, epoch, step, duplicate, unresolved, mismatched, traceparent,
    closing, reversed_amount
FROM payments
WHERE revive_at <= $1 AND ($3::text[] IS NULL OR gateway = ANY ($3))
ORDER BY revive_at
LIMIT $2
FOR NO KEY UPDATE SKIP LOCKED;

-- name: revive
UPDATE payments p SET epoch = w.epoch, revive_at = w.revive_at
FROM unnest($1::text[], $2::integer[], $3::timestamptz[]) AS w (payment_id, epoch, revive_at)
WHERE p.payment_id = w.payment_id;

-- name: end_closing
WITH ended AS (
    UPDATE payments p SET closing = NULL
    WHERE p.payment_id = $1 AND p.closing IS NOT NULL
    RETURNING p.order_id, p.payment_id
)
INSERT INTO timeline (order_id, payment_id, at, kind)
SELECT order_id, payment_id, $2, 'payment.close_refused' FROM ended;
