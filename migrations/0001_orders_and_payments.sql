-- Ids are compared byte by byte: the order in which rows are locked must be the same everywhere.
-- Statuses and their steps repeat payonce/domain; a test compares the two.

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0]
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END
$$;

CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    status text NOT NULL DEFAULT 'OPEN',
    -- Unknown where the order was cancelled before its first payment was registered.
    amount bigint,
    currency text,
    settled_by text COLLATE "C",
    settled_at timestamptz,
    acknowledged_at timestamptz,
    version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_id_length CHECK (length(order_id) BETWEEN 1 AND 64),
    CONSTRAINT orders_status_known CHECK (status IN ('OPEN', 'PAID', 'CANCELLED')),
    CONSTRAINT orders_amount_range CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT orders_currency_shape CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT orders_money_whole CHECK ((amount IS NULL) = (currency IS NULL)),
    CONSTRAINT orders_paid_has_winner CHECK ((status = 'PAID') = (settled_by IS NOT NULL)),
    CONSTRAINT orders_winner_has_time CHECK ((settled_by IS NULL) = (settled_at IS NULL)),
    CONSTRAINT orders_acknowledged_is_paid CHECK (acknowledged_at IS NULL OR status = 'PAID'),
    CONSTRAINT orders_version_counts CHECK (version >= 0)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

CREATE TABLE payments (
    payment_id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL REFERENCES orders,
    gateway text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    duplicate boolean NOT NULL DEFAULT false,
    unresolved boolean NOT NULL DEFAULT false,
    mismatched text,
    gateway_ref text,
    initiated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    expires_given boolean NOT NULL,
    -- How far the watch is known to be, and when it is taken for dead.
    epoch integer NOT NULL DEFAULT 0,
    step integer NOT NULL DEFAULT 0,
    revive_at timestamptz,
    paid_at timestamptz,
    settled_at timestamptz,
    last_answer text,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_id_length CHECK (length(payment_id) BETWEEN 1 AND 64),
    CONSTRAINT payments_status_known
        CHECK (status IN ('CREATED', 'PENDING', 'SUCCEEDED', 'FAILED', 'CLOSED')),
    CONSTRAINT payments_mismatched_known CHECK (
        mismatched IN ('amount', 'currency', 'already-refunded', 'gateway-ref-taken')
    ),
    CONSTRAINT payments_amount_range CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT payments_currency_shape CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_ref_length CHECK (length(gateway_ref) BETWEEN 1 AND 255),
    CONSTRAINT payments_duplicate_succeeded CHECK (NOT duplicate OR status = 'SUCCEEDED'),
    CONSTRAINT payments_unresolved_unfinished
        CHECK (NOT unresolved OR status IN ('CREATED', 'PENDING')),
    CONSTRAINT payments_settled_succeeded CHECK (settled_at IS NULL OR status = 'SUCCEEDED'),
    CONSTRAINT payments_watch_counts CHECK (epoch >= 0 AND step >= 0)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

-- The siblings of an order, and the target of the foreign keys that tie a payment to its order.
CREATE UNIQUE INDEX payments_of_order ON payments (order_id, payment_id);

-- The reference first: any condition on it alone is selective, whatever the planner believes.
CREATE UNIQUE INDEX payments_gateway_ref ON payments (gateway_ref, gateway)
    WHERE gateway_ref IS NOT NULL;

CREATE UNIQUE INDEX payments_one_winner ON payments (order_id)
    WHERE status = 'SUCCEEDED' AND NOT duplicate AND mismatched IS NULL;

CREATE INDEX payments_to_revive ON payments (revive_at) WHERE revive_at IS NOT NULL;

CREATE INDEX payments_unresolved ON payments (expires_at, payment_id) WHERE unresolved;

CREATE INDEX payments_mismatched ON payments (initiated_at, payment_id)
    WHERE mismatched IS NOT NULL;

CREATE INDEX orders_unacknowledged ON orders (settled_at, order_id)
    WHERE settled_at IS NOT NULL AND acknowledged_at IS NULL;

-- The winner is a payment of the same order.
ALTER TABLE orders ADD CONSTRAINT orders_settled_by_own_payment
    FOREIGN KEY (order_id, settled_by) REFERENCES payments (order_id, payment_id);

CREATE TRIGGER orders_step BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND (OLD.status, NEW.status) NOT IN (('OPEN', 'PAID'), ('OPEN', 'CANCELLED'))
    )
    EXECUTE FUNCTION refuse('an order may not take this step');

CREATE TRIGGER orders_settled_once BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (
        OLD.settled_by IS NOT NULL
        AND (OLD.settled_by, OLD.settled_at) IS DISTINCT FROM (NEW.settled_by, NEW.settled_at)
    )
    EXECUTE FUNCTION refuse('an order is settled once');

CREATE FUNCTION refuse_new_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM payments p
        WHERE p.order_id = OLD.order_id AND p.amount = OLD.amount AND p.currency = OLD.currency
    ) THEN
        RAISE EXCEPTION 'the first payment of an order fixes its amount and currency'
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER orders_price_fixed BEFORE UPDATE ON orders FOR EACH ROW
    WHEN (
        OLD.amount IS NOT NULL
        AND (OLD.amount, OLD.currency) IS DISTINCT FROM (NEW.amount, NEW.currency)
    )
    EXECUTE FUNCTION refuse_new_price();

-- FAILED and CLOSED may still turn SUCCEEDED: late money.
CREATE TRIGGER payments_step BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND (OLD.status, NEW.status) NOT IN (
            ('CREATED', 'PENDING'), ('CREATED', 'SUCCEEDED'),
            ('CREATED', 'FAILED'), ('CREATED', 'CLOSED'),
            ('PENDING', 'SUCCEEDED'), ('PENDING', 'FAILED'), ('PENDING', 'CLOSED'),
            ('FAILED', 'SUCCEEDED'), ('CLOSED', 'SUCCEEDED')
        )
    )
    EXECUTE FUNCTION refuse('a payment may not take this step');

CREATE TRIGGER payments_terms_fixed BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (
        (OLD.order_id, OLD.gateway, OLD.amount, OLD.currency)
        IS DISTINCT FROM (NEW.order_id, NEW.gateway, NEW.amount, NEW.currency)
    )
    EXECUTE FUNCTION refuse('order, gateway, amount and currency of a payment are fixed');
