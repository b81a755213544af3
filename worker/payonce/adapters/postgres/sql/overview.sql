-- name: backlog
-- Counted up to $1: beyond that the exact number no longer matters, but its price would. The outbox
-- is read whole: in good times it is nearly empty, and it is spared one more index.
SELECT
    e.events AS outbox_events,
    e.oldest_at AS outbox_oldest_at,
    (SELECT count(*) FROM (SELECT FROM payments WHERE unresolved LIMIT $1) AS c) AS unresolved,
    (SELECT min(expires_at) FROM payments WHERE unresolved) AS unresolved_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM payments WHERE mismatched IS NOT NULL LIMIT $1
    ) AS c) AS mismatched,
    (SELECT count(*) FROM (
        SELECT FROM orders WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL LIMIT $1
    ) AS c) AS unacknowledged,
    (SELECT min(settled_at) FROM orders
        WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL) AS unacknowledged_oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM refunds WHERE status = 'HELD' LIMIT $1
    ) AS c) AS refunds_held,
    (SELECT count(*) FROM (
        SELECT FROM webhook_inbox WHERE processed_at IS NULL AND revive_at IS NOT NULL LIMIT $1
    ) AS c) AS callbacks,
    (SELECT received_at FROM webhook_inbox WHERE processed_at IS NULL AND revive_at IS NOT NULL
        ORDER BY inbox_id LIMIT 1) AS callbacks_oldest_at
FROM (SELECT count(*) AS events, min(occurred_at) AS oldest_at FROM outbox) AS e;
