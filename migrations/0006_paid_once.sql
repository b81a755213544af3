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
    -- The rule that the last approval set aside.
    ADD COLUMN overruled text,
    ADD COLUMN resolved_by text,
    ADD COLUMN resolved_why text;

CREATE INDEX refunds_submitted ON refunds (submitted_at) WHERE submitted_at IS NOT NULL;

-- What a person still has to do something about.
CREATE INDEX refunds_open ON refunds (created_at, refund_id)
    WHERE status IN ('HELD', 'MANUAL', 'FAILED');

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

CREATE TRIGGER gateway_journal_only_grows BEFORE UPDATE OR DELETE ON gateway_journal
    FOR EACH ROW EXECUTE FUNCTION refuse('the journal only grows');

-- Which processes ask gateways right now: each takes its share of a gateway's rate.
CREATE TABLE workers (
    worker_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
