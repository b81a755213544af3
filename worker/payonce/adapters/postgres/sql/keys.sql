-- name: take
-- A key that is older than $5 is free again; one whose lease has passed goes on as it began.
INSERT INTO idempotency_keys AS k (key, request_hash, leased_until, created_at)
VALUES ($1, $2, $4, $3)
ON CONFLICT (key) DO UPDATE SET
    request_hash = EXCLUDED.request_hash,
    leased_until = EXCLUDED.leased_until,
    created_at = CASE WHEN k.created_at <= $5 THEN EXCLUDED.created_at ELSE k.created_at END,
    status = NULL,
    answer = NULL
WHERE k.created_at <= $5
    OR (k.status IS NULL AND k.leased_until <= $3 AND k.request_hash = EXCLUDED.request_hash)
RETURNING created_at;

-- name: look
SELECT request_hash, status, answer FROM idempotency_keys WHERE key = $1;

-- name: answer
UPDATE idempotency_keys SET status = $3, answer = $4::jsonb
WHERE key = $1 AND created_at = $2 AND status IS NULL;

-- name: release
UPDATE idempotency_keys SET leased_until = created_at
WHERE key = $1 AND leased_until = $2 AND status IS NULL;

-- name: forget
DELETE FROM idempotency_keys WHERE key = $1 AND created_at = $2 AND status IS NULL;

-- name: expire
DELETE FROM idempotency_keys WHERE key IN (
    SELECT key FROM idempotency_keys WHERE created_at <= $1
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING 1;
