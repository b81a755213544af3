-- Small and busy: every row is deleted soon after it was written, so it is vacuumed by number.
CREATE TABLE outbox (
    event_id uuid PRIMARY KEY,
    type text NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    traceparent text,
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);

-- Whose turn it is: an event that found no listener goes to the end, so that it holds up no other.
CREATE INDEX outbox_turn ON outbox ((COALESCE(leased_until, occurred_at)), event_id);

CREATE TABLE timeline (
    order_id text COLLATE "C" NOT NULL,
    entry_id bigint GENERATED ALWAYS AS IDENTITY,
    payment_id text COLLATE "C",
    at timestamptz NOT NULL,
    kind text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (order_id, entry_id)
);

CREATE TRIGGER timeline_only_grows BEFORE UPDATE OR DELETE ON timeline
    FOR EACH ROW EXECUTE FUNCTION refuse('the timeline only grows');

CREATE TRIGGER timeline_is_not_emptied BEFORE TRUNCATE ON timeline
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('the timeline only grows');
