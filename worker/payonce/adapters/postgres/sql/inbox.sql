-- name: keep
-- Returns what was new; who keeps it tries it first. In order of the unique index, so that two calls cannot wait for each other.
WITH kept AS (
    INSERT INTO webhook_inbox (
        gateway, event_id, received_at, headers, body, payment_id, problem, processed_at, revive_at,
        attempts
    )
    SELECT
        w.gateway, w.event_id, w.received_at, w.headers, w.body, w.payment_id, w.problem,
        CASE WHEN w.problem IS NOT NULL THEN w.received_at END,
        CASE WHEN w.problem IS NULL THEN w.revive_at END,
        CASE WHEN w.problem IS NULL THEN 1 ELSE 0 END
    FROM unnest(
        $1::text[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::bytea[], $6::text[],
        $7::text[], $8::timestamptz[]
    ) AS w (gateway, event_id, received_at, headers, body, payment_id, problem, revive_at)
    ORDER BY w.gateway, w.event_id
    ON CONFLICT (gateway, event_id) DO NOTHING
    RETURNING inbox_id, gateway, event_id, payment_id, received_at
), noted AS (
    INSERT INTO timeline (order_id, payment_id, at, kind, detail)
    SELECT
        p.order_id, p.payment_id, k.received_at, 'callback.received',
        jsonb_build_object('gateway', k.gateway, 'event_id', k.event_id)
    FROM kept k JOIN payments p ON p.payment_id = k.payment_id
)
SELECT inbox_id, gateway, event_id FROM kept;

-- name: claim
WITH due AS MATERIALIZED (
    SELECT inbox_id FROM webhook_inbox
    WHERE processed_at IS NULL AND revive_at <= $1
    ORDER BY revive_at
    LIMIT $3
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhook_inbox i SET revive_at = $2, problem = NULL, attempts = i.attempts + 1
FROM due
WHERE i.inbox_id = due.inbox_id
RETURNING
    i.inbox_id, i.gateway, i.event_id, i.received_at, i.headers, i.body, i.attempts - 1 AS attempts;

-- name: claim_of
-- What waits has its reason; what has none is in somebody's hand until its time is over.
WITH waiting AS MATERIALIZED (
    SELECT inbox_id FROM webhook_inbox
    WHERE payment_id = $1 AND processed_at IS NULL AND (problem IS NOT NULL OR revive_at <= $2)
    ORDER BY inbox_id
    LIMIT $4
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhook_inbox i SET revive_at = $3, problem = NULL, attempts = i.attempts + 1
FROM waiting w
WHERE i.inbox_id = w.inbox_id
RETURNING
    i.inbox_id, i.gateway, i.event_id, i.received_at, i.headers, i.body, i.attempts - 1 AS attempts;

-- name: finish
-- The timeline tells of each callback once: of those that came before their payment, now.
WITH wanted AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
        AS w (inbox_id, at, result, payment_id, problem)
), finished AS (
    UPDATE webhook_inbox i SET processed_at = w.at, problem = w.problem, revive_at = NULL
    FROM wanted w
    WHERE i.inbox_id = w.inbox_id AND i.processed_at IS NULL
    RETURNING i.inbox_id, i.gateway, i.event_id, i.received_at
)
INSERT INTO timeline (order_id, payment_id, at, kind, detail)
SELECT
    p.order_id, p.payment_id, e.at, e.kind,
    jsonb_build_object('gateway', f.gateway, 'event_id', f.event_id)
    || CASE e.kind WHEN 'callback.processed'
        THEN jsonb_strip_nulls(jsonb_build_object('result', w.result, 'problem', w.problem))
        ELSE '{}' END
FROM finished f
JOIN wanted w ON w.inbox_id = f.inbox_id
JOIN payments p ON p.payment_id = w.payment_id
CROSS JOIN LATERAL (
    VALUES ('callback.received', f.received_at), ('callback.processed', w.at)
) AS e (kind, at)
WHERE e.kind = 'callback.processed' OR NOT EXISTS (
    SELECT FROM timeline t
    WHERE t.order_id = p.order_id AND t.kind = 'callback.received'
        AND t.detail ->> 'event_id' = f.event_id AND t.detail ->> 'gateway' = f.gateway
)
ORDER BY f.inbox_id, e.at;

-- name: put_off
UPDATE webhook_inbox SET problem = $2, revive_at = $3
WHERE inbox_id = $1 AND processed_at IS NULL;

-- name: find_payment
SELECT
    payment_id, order_id, gateway, amount, currency, status, gateway_ref,
    expires_at, epoch, step, duplicate, unresolved, mismatched, traceparent,
    closing, reversed_amount
FROM payments WHERE payment_id = $1;

-- name: forget
WITH processed AS MATERIALIZED (
    SELECT i.inbox_id FROM webhook_inbox i
    WHERE i.processed_at < $1
    ORDER BY i.processed_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), given_up AS MATERIALIZED (
    SELECT i.inbox_id FROM webhook_inbox i
    WHERE i.processed_at IS NULL AND i.revive_at IS NULL AND i.received_at < $2
    ORDER BY i.received_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_inbox WHERE inbox_id IN (
    SELECT inbox_id FROM processed UNION ALL SELECT inbox_id FROM given_up
)
RETURNING inbox_id;

-- name: replay
-- What is replayed by its id may have been processed before: applying twice changes nothing.
UPDATE webhook_inbox SET processed_at = NULL, problem = NULL, revive_at = $2, attempts = 0
WHERE inbox_id = ANY ($1::bigint[])
RETURNING inbox_id;

-- name: replay_waiting
-- What has a problem, whether it waits or was given up; what has none is in somebody's hand.
UPDATE webhook_inbox SET processed_at = NULL, problem = NULL, revive_at = $1, attempts = 0
WHERE inbox_id IN (
    SELECT i.inbox_id FROM webhook_inbox i
    WHERE i.problem IS NOT NULL
    ORDER BY i.inbox_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING inbox_id;

-- name: list
SELECT
    inbox_id, gateway, event_id, payment_id, received_at, processed_at, problem, attempts,
    revive_at, body
FROM webhook_inbox WHERE inbox_id < $1 ORDER BY inbox_id DESC LIMIT $2;

-- name: list_unprocessed
SELECT
    inbox_id, gateway, event_id, payment_id, received_at, processed_at, problem, attempts,
    revive_at, body
FROM webhook_inbox WHERE processed_at IS NULL AND inbox_id < $1 ORDER BY inbox_id DESC LIMIT $2;

-- name: list_problems
SELECT
    inbox_id, gateway, event_id, payment_id, received_at, processed_at, problem, attempts,
    revive_at, body
FROM webhook_inbox WHERE problem IS NOT NULL AND inbox_id < $1 ORDER BY inbox_id DESC LIMIT $2;
