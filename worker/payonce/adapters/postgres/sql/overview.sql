-- name: backlog
-- Counted up to $1: beyond that the exact number no longer matters, but its price would. The outbox
-- is read whole: in good times it is nearly empty, and it is spared one more index.
SELECT
    e.events AS outbox_events,
    e.oldest_at AS outbox_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM payments WHERE unresolved AND resolved_at IS NULL LIMIT $1
    ) AS c) AS unresolved,
    (SELECT min(expires_at) FROM payments
        WHERE unresolved AND resolved_at IS NULL) AS unresolved_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM payments WHERE mismatched IS NOT NULL AND resolved_at IS NULL LIMIT $1
    ) AS c) AS mismatched,
    (SELECT count(*) FROM (
        SELECT FROM orders WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL LIMIT $1
    ) AS c) AS unacknowledged,
    (SELECT min(settled_at) FROM orders
        WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL) AS unacknowledged_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM refunds WHERE status = 'HELD' LIMIT $1
    ) AS c) AS refunds_held,
    (SELECT min(created_at) FROM refunds WHERE status = 'HELD') AS refunds_held_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM refunds WHERE status = 'REQUESTED' AND revive_at IS NOT NULL LIMIT $1
    ) AS c) AS refunds_requested,
    (SELECT min(created_at) FROM refunds
        WHERE status = 'REQUESTED' AND revive_at IS NOT NULL) AS refunds_requested_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM refunds WHERE status = 'SUBMITTED' LIMIT $1
    ) AS c) AS refunds_submitted,
    (SELECT min(submitted_at) FROM refunds WHERE status = 'SUBMITTED') AS refunds_submitted_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM refunds WHERE status = 'MANUAL' LIMIT $1
    ) AS c) AS refunds_manual,
    (SELECT min(created_at) FROM refunds WHERE status = 'MANUAL') AS refunds_manual_oldest_at
FROM (SELECT count(*) AS events, min(occurred_at) AS oldest_at FROM outbox) AS e;

-- name: refunds_of_hour
SELECT gateway, currency, count(*) AS sent, sum(amount)::bigint AS amount
FROM refunds WHERE submitted_at > $1
GROUP BY gateway, currency;
