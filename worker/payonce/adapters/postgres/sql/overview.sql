-- name: backlog
-- Counted up to $1: beyond that the exact number no longer matters, but its price would. The outbox
-- is read whole: in good times it is nearly empty, and it is spared one more index. Each list says
-- once what belongs to it, in the words of its partial index, which count and oldest both use.
WITH unresolved AS NOT MATERIALIZED (
    SELECT expires_at AS since FROM payments
    WHERE unresolved AND resolved_at IS NULL
), mismatched AS NOT MATERIALIZED (
    SELECT initiated_at AS since FROM payments
    WHERE mismatched IS NOT NULL AND resolved_at IS NULL
), unacknowledged AS NOT MATERIALIZED (
    SELECT settled_at AS since FROM orders
    WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL
), held AS NOT MATERIALIZED (
    SELECT created_at AS since FROM refunds
    WHERE status = 'HELD'
), requested AS NOT MATERIALIZED (
    SELECT created_at AS since FROM refunds
    WHERE status = 'REQUESTED' AND revive_at IS NOT NULL
), submitted AS NOT MATERIALIZED (
    SELECT submitted_at AS since FROM refunds
    WHERE status = 'SUBMITTED'
), manual AS NOT MATERIALIZED (
    SELECT created_at AS since FROM refunds
    WHERE status = 'MANUAL'
), callbacks AS NOT MATERIALIZED (
    SELECT inbox_id, received_at AS since FROM webhook_inbox
    WHERE processed_at IS NULL AND revive_at IS NOT NULL
)
SELECT
    e.events AS outbox_events,
    e.oldest_at AS outbox_oldest_at,
    (SELECT count(*) FROM (SELECT FROM unresolved LIMIT $1) AS c) AS unresolved,
    (SELECT min(since) FROM unresolved) AS unresolved_oldest_at,
    (SELECT count(*) FROM (SELECT FROM mismatched LIMIT $1) AS c) AS mismatched,
    (SELECT min(since) FROM mismatched) AS mismatched_oldest_at,
    (SELECT count(*) FROM (SELECT FROM unacknowledged LIMIT $1) AS c) AS unacknowledged,
    (SELECT min(since) FROM unacknowledged) AS unacknowledged_oldest_at,
    (SELECT count(*) FROM (SELECT FROM callbacks LIMIT $1) AS c) AS callbacks,
    (SELECT since FROM callbacks ORDER BY inbox_id LIMIT 1) AS callbacks_oldest_at,
    (SELECT count(*) FROM (SELECT FROM held LIMIT $1) AS c) AS refunds_held,
    (SELECT min(since) FROM held) AS refunds_held_oldest_at,
    (SELECT count(*) FROM (SELECT FROM requested LIMIT $1) AS c) AS refunds_requested,
    (SELECT min(since) FROM requested) AS refunds_requested_oldest_at,
    (SELECT count(*) FROM (SELECT FROM submitted LIMIT $1) AS c) AS refunds_submitted,
    (SELECT min(since) FROM submitted) AS refunds_submitted_oldest_at,
    (SELECT count(*) FROM (SELECT FROM manual LIMIT $1) AS c) AS refunds_manual,
    (SELECT min(since) FROM manual) AS refunds_manual_oldest_at
FROM (SELECT count(*) AS events, min(occurred_at) AS oldest_at FROM outbox) AS e;

-- name: refunds_of_hour
SELECT gateway, currency, count(*) AS sent, sum(amount)::bigint AS amount
FROM refunds WHERE submitted_at > $1
GROUP BY gateway, currency;
