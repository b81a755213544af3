-- name: read_states
SELECT p.payment_id, p.status, p.unresolved, p.epoch, p.step, now() AS read_at
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
    -- The order too: a settlement that holds it goes on to the order's other payments.
    JOIN orders o ON o.order_id = p.order_id
    ORDER BY o.order_id, p.payment_id
    FOR NO KEY UPDATE OF o, p
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
WITH locked AS MATERIALIZED (
    SELECT p.payment_id, p.order_id
    FROM payments p JOIN orders o ON o.order_id = p.order_id
    WHERE p.payment_id = $1 AND p.closing IS NOT NULL
    FOR NO KEY UPDATE OF o, p
), ended AS (
    UPDATE payments p SET closing = NULL FROM locked l WHERE p.payment_id = l.payment_id
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind)
    SELECT order_id, payment_id, $2, 'payment.close_refused' FROM locked
)
UPDATE orders o SET version = o.version + 1 FROM locked l WHERE o.order_id = l.order_id
RETURNING o.order_id, o.version;

-- name: restart
-- The steps count from 0 again, since those of the old life would be taken for done.
WITH restarted AS (
    UPDATE payments p SET
        epoch = p.epoch + 1,
        step = 0,
        revive_at = CASE
            WHEN p.status IN ('CREATED', 'PENDING') AND NOT p.unresolved
            THEN CASE WHEN p.closing IS NULL THEN $3 ELSE LEAST(p.revive_at, $3) END
            ELSE p.revive_at END
    WHERE p.payment_id = $1 AND p.status <> 'SUCCEEDED' AND p.mismatched IS NULL
    RETURNING
        p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
        p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
        p.closing, p.reversed_amount
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT order_id, payment_id, $2, 'payment.watch_restarted', jsonb_build_object('epoch', epoch)
    FROM restarted
)
SELECT * FROM restarted;

-- name: looked
UPDATE payments SET revive_at = $3
WHERE payment_id = $1 AND epoch = $2 AND status IN ('FAILED', 'CLOSED');
