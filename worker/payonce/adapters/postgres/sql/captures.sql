-- name: lock_order
-- Everything of an order waits for its row, so that of two payments one is captured.
SELECT o.order_id
FROM orders o
WHERE o.order_id = (SELECT p.order_id FROM payments p WHERE p.payment_id = $1)
FOR NO KEY UPDATE OF o;

-- name: lock_payment
-- A statement of its own: it sees what was committed while the order's lock was waited for.
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
    o.status AS order_status, o.amount AS order_amount, o.currency AS order_currency,
    o.settled_by, o.version,
    r.payment_id AS ref_owner
FROM payments p
JOIN orders o ON o.order_id = p.order_id
LEFT JOIN payments r ON r.gateway = p.gateway AND r.gateway_ref = $2::text
WHERE p.payment_id = $1
FOR NO KEY UPDATE OF p;

-- name: of_order
SELECT
    p.payment_id, p.order_id, p.gateway, p.amount, p.currency, p.status, p.gateway_ref,
    p.expires_at, p.epoch, p.step, p.duplicate, p.unresolved, p.mismatched, p.traceparent,
    p.closing, p.reversed_amount,
    c.state, c.attempt, c.claimed_at, c.held_until, c.why
FROM captures c JOIN payments p ON p.payment_id = c.payment_id
WHERE c.order_id = $1;

-- name: write
WITH written AS (
    INSERT INTO captures AS c (
        payment_id, order_id, state, attempt, claimed_at, held_until, why
    ) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (payment_id) DO UPDATE SET
        state = excluded.state,
        attempt = excluded.attempt,
        claimed_at = excluded.claimed_at,
        held_until = excluded.held_until,
        why = excluded.why
)
INSERT INTO timeline (order_id, payment_id, at, kind, detail)
VALUES ($2, $1, $8, $9, $10::jsonb);

-- name: free
-- An attempt that was not sent is made again under the same number, unless another process went on
-- with it meanwhile.
UPDATE captures SET
    state = 'FREE',
    attempt = CASE WHEN $3::boolean THEN attempt ELSE attempt - 1 END
WHERE payment_id = $1 AND attempt = $2 AND state = 'CLAIMED'
    AND ($3::boolean OR claimed_at = $4);

-- name: let_go
UPDATE captures SET held_until = LEAST(held_until, $3)
WHERE payment_id = $1 AND attempt = $2 AND state = 'CLAIMED';

-- name: ref_of
SELECT gateway_ref FROM payments WHERE payment_id = $1;
