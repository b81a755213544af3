-- name: add
-- Rows in order of the key, so that processes that add at the same time wait for each other in turn.
WITH gone AS (
    DELETE FROM activity WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM activity WHERE minute < $7::timestamptz
        ORDER BY minute LIMIT $8 FOR UPDATE SKIP LOCKED
    ))
)
INSERT INTO activity AS a (minute, kind, gateway, name, source, count)
SELECT date_trunc('minute', $1::timestamptz), w.kind, w.gateway, w.name, w.source, w.count
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS w (kind, gateway, name, source, count)
ORDER BY w.kind COLLATE "C", w.gateway COLLATE "C", w.name COLLATE "C", w.source COLLATE "C"
ON CONFLICT (minute, kind, gateway, name, source) DO UPDATE SET count = a.count + EXCLUDED.count;

-- name: since
-- By the minute over all gateways, and by the gateway over all minutes.
SELECT minute, kind, gateway, name, source, sum(count)::bigint AS count
FROM activity WHERE minute >= date_trunc('minute', $1::timestamptz)
GROUP BY GROUPING SETS ((minute, kind, name, source), (kind, gateway, name, source))
ORDER BY minute, gateway, kind, name, source;
