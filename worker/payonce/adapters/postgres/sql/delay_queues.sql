-- name: sync
WITH wanted AS (
    SELECT w.dest, w.wait_ms
    FROM unnest($1::text[], $2::bigint[]) AS w (dest, wait_ms)
    ORDER BY w.dest, w.wait_ms
), declared AS (
    INSERT INTO delay_queues AS d (dest, wait_ms, declared_at)
    SELECT dest, wait_ms, $3 FROM wanted
    ON CONFLICT (dest, wait_ms) DO UPDATE SET declared_at = EXCLUDED.declared_at, retired_at = NULL
        WHERE d.retired_at IS NOT NULL
)
UPDATE delay_queues d SET retired_at = $3
WHERE d.retired_at IS NULL AND (d.dest, d.wait_ms) NOT IN (SELECT dest, wait_ms FROM wanted);

-- name: retired
SELECT dest, wait_ms, retired_at FROM delay_queues
WHERE retired_at IS NOT NULL ORDER BY dest, wait_ms;

-- name: forget
DELETE FROM delay_queues d
USING unnest($1::text[], $2::bigint[]) AS w (dest, wait_ms)
WHERE d.dest = w.dest AND d.wait_ms = w.wait_ms AND d.retired_at IS NOT NULL;
