-- What keeps an order from being paid twice, and what puts it right where it was.

ALTER TABLE payments
    -- Why it shall be closed at its gateway; null once that is done, or cannot be done.
    ADD COLUMN closing text,
    -- What the shopper is shown, and when the shop was given it; null for payments made elsewhere.
    ADD COLUMN qr text,
    ADD COLUMN pay_url text,
    ADD COLUMN answered_at timestamptz,
    -- Until when others who apply get the same payment, because many came at once.
    ADD COLUMN shared_until timestamptz,
    -- What the gateway says it took, where it is not what was asked; what it gave back on its own.
    ADD COLUMN captured_amount bigint,
    ADD COLUMN captured_currency text,
    ADD COLUMN reversed_amount bigint NOT NULL DEFAULT 0,
    -- A person's word that ends an entry of a list.
    ADD COLUMN resolved_as text,
    ADD COLUMN resolved_by text,
    ADD COLUMN resolved_why text,
    ADD COLUMN resolved_at timestamptz,
    ADD CONSTRAINT payments_closing_unfinished
        CHECK (closing IS NULL OR status IN ('CREATED', 'PENDING')),
    ADD CONSTRAINT payments_captured_range
        CHECK (captured_amount BETWEEN 1 AND 9007199254740991),
    ADD CONSTRAINT payments_captured_whole
        CHECK ((captured_amount IS NULL) = (captured_currency IS NULL)),
    ADD CONSTRAINT payments_reversed_range CHECK (reversed_amount >= 0),
    ADD CONSTRAINT payments_resolved_known
        CHECK (resolved_as IN ('refunded-elsewhere', 'refund', 'kept')),
    ADD CONSTRAINT payments_resolved_by_someone CHECK (
        (resolved_as IS NULL) = (resolved_by IS NULL)
        AND (resolved_as IS NULL) = (resolved_why IS NULL)
        AND (resolved_as IS NULL) = (resolved_at IS NULL)
    );

DROP INDEX payments_unresolved;
CREATE INDEX payments_unresolved ON payments (expires_at, payment_id)
    WHERE unresolved AND resolved_at IS NULL;

DROP INDEX payments_mismatched;
CREATE INDEX payments_mismatched ON payments (initiated_at, payment_id)
    WHERE mismatched IS NOT NULL AND resolved_at IS NULL;

ALTER TABLE refunds
    -- The rules that people set aside, by name, with spaces between.
    ADD COLUMN overruled text,
    ADD COLUMN resolved_by text,
    ADD COLUMN resolved_why text,
    -- How many looks have scheduled the next one: an older look is history.
    ADD COLUMN looks integer NOT NULL DEFAULT 0,
    -- When its gateway told of a success that was no longer to be believed; null once a person has
    -- taken care of that.
    ADD COLUMN contradicted_at timestamptz,
    ADD CONSTRAINT refunds_looks_count CHECK (looks >= 0);

-- What was sent within the last hour.
CREATE INDEX refunds_submitted ON refunds (submitted_at) WHERE submitted_at IS NOT NULL;

-- What waits for a gateway, the oldest first.
CREATE INDEX refunds_under_way ON refunds (submitted_at) WHERE status = 'SUBMITTED';

-- What a person still has to do something about.
CREATE INDEX refunds_open ON refunds (created_at, refund_id)
    WHERE status IN ('HELD', 'MANUAL', 'FAILED') OR contradicted_at IS NOT NULL;

DROP TRIGGER refunds_step ON refunds;
CREATE TRIGGER refunds_step BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND (OLD.status, NEW.status) NOT IN (
            ('REQUESTED', 'HELD'), ('REQUESTED', 'SUBMITTED'), ('REQUESTED', 'MANUAL'),
            ('HELD', 'REQUESTED'), ('HELD', 'REJECTED'), ('HELD', 'MANUAL'),
            ('SUBMITTED', 'SUCCEEDED'), ('SUBMITTED', 'FAILED'),
            ('SUBMITTED', 'HELD'), ('SUBMITTED', 'MANUAL'),
            ('SUCCEEDED', 'FAILED'),
            ('MANUAL', 'SUCCEEDED'), ('MANUAL', 'REJECTED')
        )
    )
    EXECUTE FUNCTION refuse('a refund may not take this step');

-- A payment whose money did not fit is refunded as it was taken.
CREATE OR REPLACE FUNCTION refuse_wrong_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM orders o WHERE o.order_id = NEW.order_id AND o.settled_by = NEW.payment_id
    ) THEN
        RAISE EXCEPTION 'the payment that settled an order is not refunded'
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    IF NOT EXISTS (
        SELECT FROM payments p
        WHERE p.payment_id = NEW.payment_id AND p.gateway = NEW.gateway
            AND COALESCE(p.captured_currency, p.currency) = NEW.currency
            AND COALESCE(p.captured_amount, p.amount) >= NEW.amount
    ) THEN
        RAISE EXCEPTION 'a refund goes through its payment''s gateway and is not above its amount'
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- Lists of callbacks, latest first; and which of them can be forgotten.
CREATE INDEX webhook_inbox_open ON webhook_inbox (inbox_id) WHERE processed_at IS NULL;
CREATE INDEX webhook_inbox_problems ON webhook_inbox (inbox_id) WHERE problem IS NOT NULL;
CREATE INDEX webhook_inbox_processed ON webhook_inbox (processed_at)
    WHERE processed_at IS NOT NULL;

-- Answers to POST with an Idempotency-Key: a repeat gets the same one.
CREATE TABLE idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    request_hash bytea NOT NULL,
    -- Null while the first request is in hand, whose process may have died after the lease.
    status integer,
    answer jsonb,
    leased_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_length CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_answer_whole CHECK ((status IS NULL) = (answer IS NULL))
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- One row: the key from which the orders' access tokens follow, made where it is kept.
CREATE TABLE installation (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    token_key bytea NOT NULL
);

INSERT INTO installation (token_key) VALUES (
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);

-- How a gateway is treated by all processes alike: paused by a person, or spared by the breaker.
CREATE TABLE gateways (
    gateway text COLLATE "C" PRIMARY KEY,
    paused_at timestamptz,
    paused_by text,
    paused_why text,
    open_until timestamptz,
    openings integer NOT NULL DEFAULT 0,
    CONSTRAINT gateways_paused_by_someone CHECK (
        (paused_at IS NULL) = (paused_by IS NULL) AND (paused_at IS NULL) = (paused_why IS NULL)
    ),
    CONSTRAINT gateways_openings_count CHECK (openings >= 0)
);

CREATE TABLE gateway_journal (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    by text,
    why text
);

-- The latest lines of one gateway.
CREATE INDEX gateway_journal_of ON gateway_journal (gateway, entry_id);

CREATE TRIGGER gateway_journal_only_grows BEFORE UPDATE OR DELETE ON gateway_journal
    FOR EACH ROW EXECUTE FUNCTION refuse('the journal only grows');

-- Which processes ask gateways right now: each takes its share of a gateway's rate.
CREATE TABLE workers (
    worker_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

-- A paid order that is not acknowledged is told again, in the same words.
ALTER TABLE orders
    ADD COLUMN retell_at timestamptz,
    -- The data of its payment.succeeded.
    ADD COLUMN success_data jsonb,
    ADD CONSTRAINT orders_retell_whole CHECK ((retell_at IS NULL) = (success_data IS NULL)),
    ADD CONSTRAINT orders_retell_until_acknowledged
        CHECK (retell_at IS NULL OR (status = 'PAID' AND acknowledged_at IS NULL));

CREATE INDEX orders_to_retell ON orders (retell_at) WHERE retell_at IS NOT NULL;

-- Those that were paid before this was kept: the event as the rows remember it.
UPDATE orders o SET
    retell_at = now(),
    success_data = COALESCE(
        (SELECT e.data FROM outbox e WHERE e.order_id = o.order_id AND e.type = 'payment.succeeded'),
        jsonb_build_object(
            'payment_id', p.payment_id, 'order_id', o.order_id, 'gateway', p.gateway,
            'order_version', o.version, 'gateway_ref', p.gateway_ref,
            'amount', p.amount, 'currency', p.currency,
            'paid_at', to_char(p.paid_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'settled_at', to_char(o.settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'source', COALESCE((
                SELECT t.detail ->> 'source' FROM timeline t
                WHERE t.order_id = o.order_id AND t.kind = 'payment.settled' LIMIT 1
            ), 'poll')
        )
    )
FROM payments p
WHERE p.payment_id = o.settled_by AND o.acknowledged_at IS NULL;
