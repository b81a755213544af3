-- name: read
-- A row for each gateway that was ever paused or opened, at least one: beside it, how many others
-- ask. Who has not been seen for long is forgotten.
WITH here AS (
    INSERT INTO workers (worker_id, seen_at)
    SELECT $1::uuid, $2::timestamptz WHERE $1::uuid IS NOT NULL
    ON CONFLICT (worker_id) DO UPDATE SET seen_at = EXCLUDED.seen_at
), gone AS (
    DELETE FROM workers WHERE worker_id IN (
        SELECT worker_id FROM workers
        WHERE seen_at < $3::timestamptz - interval '1 hour' AND worker_id IS DISTINCT FROM $1::uuid
        LIMIT 100 FOR UPDATE SKIP LOCKED
    )
)
SELECT
    g.gateway, g.paused_at, g.paused_by, g.paused_why, g.open_until, g.openings, w.others
FROM (
    SELECT count(*) AS others FROM workers
    WHERE seen_at >= $3 AND worker_id IS DISTINCT FROM $1::uuid
) AS w
LEFT JOIN gateways g ON true;

-- name: leave
DELETE FROM workers WHERE worker_id = $1::uuid;

-- name: open
-- By the database's clock alone: a process whose clock is wrong opens for no longer than it says.
WITH opened AS (
    INSERT INTO gateways AS g (gateway, open_until, openings) VALUES ($1, now() + $2::interval, 1)
    ON CONFLICT (gateway) DO UPDATE SET open_until = EXCLUDED.open_until, openings = g.openings + 1
        WHERE g.open_until IS NULL OR g.open_until <= now()
    RETURNING g.gateway
)
INSERT INTO gateway_journal (gateway, at, kind, why)
SELECT gateway, now(), 'opened', $3 FROM opened
RETURNING gateway;

-- name: close
WITH closed AS (
    UPDATE gateways SET open_until = NULL, openings = 0
    WHERE gateway = $1 AND open_until IS NOT NULL
    RETURNING gateway
)
INSERT INTO gateway_journal (gateway, at, kind, why)
SELECT gateway, $2, 'closed', 'a call was answered' FROM closed
RETURNING gateway;

-- name: pause
WITH paused AS (
    INSERT INTO gateways AS g (gateway, paused_at, paused_by, paused_why) VALUES ($1, $4, $2, $3)
    ON CONFLICT (gateway) DO UPDATE SET
        paused_at = COALESCE(g.paused_at, EXCLUDED.paused_at),
        paused_by = EXCLUDED.paused_by,
        paused_why = EXCLUDED.paused_why
        WHERE (g.paused_by, g.paused_why)
            IS DISTINCT FROM (EXCLUDED.paused_by, EXCLUDED.paused_why)
    RETURNING g.gateway
)
INSERT INTO gateway_journal (gateway, at, kind, by, why)
SELECT gateway, $4, 'paused', $2, $3 FROM paused
RETURNING gateway;

-- name: resume
WITH resumed AS (
    UPDATE gateways SET paused_at = NULL, paused_by = NULL, paused_why = NULL
    WHERE gateway = $1 AND paused_at IS NOT NULL
    RETURNING gateway
)
INSERT INTO gateway_journal (gateway, at, kind, by, why)
SELECT gateway, $4, 'resumed', $2, $3 FROM resumed
RETURNING gateway;

-- name: states
SELECT gateway, paused_at, paused_by, paused_why, open_until, openings
FROM gateways ORDER BY gateway;

-- name: journal
SELECT l.gateway, l.at, l.kind, l.by, l.why
FROM unnest($1::text[]) AS n (gateway)
CROSS JOIN LATERAL (
    SELECT j.entry_id, j.gateway, j.at, j.kind, j.by, j.why FROM gateway_journal j
    WHERE j.gateway = n.gateway ORDER BY j.entry_id DESC LIMIT $2
) AS l
ORDER BY l.entry_id;
