CREATE TABLE refunds (
    refund_id text COLLATE "C" PRIMARY KEY,
    payment_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    gateway text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    -- What holds a HELD refund.
    rule text,
    -- Who asked, who agreed, who refused; null where payonce itself asked.
    requested_by text,
    requested_why text,
    approved_by text,
    approved_at timestamptz,
    approved_again_by text,
    approved_again_at timestamptz,
    rejected_by text,
    rejected_why text,
    -- What the gateway was asked and said.
    attempts integer NOT NULL DEFAULT 0,
    submitted_at timestamptz,
    finished_at timestamptz,
    last_answer text,
    revive_at timestamptz,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refunds_of_payment FOREIGN KEY (order_id, payment_id)
        REFERENCES payments (order_id, payment_id),
    CONSTRAINT refunds_status_known CHECK (status IN (
        'REQUESTED', 'HELD', 'SUBMITTED', 'SUCCEEDED', 'FAILED', 'REJECTED', 'MANUAL'
    )),
    CONSTRAINT refunds_amount_range CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT refunds_currency_shape CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT refunds_held_has_rule CHECK (status <> 'HELD' OR rule IS NOT NULL),
    CONSTRAINT refunds_approver_is_another CHECK (approved_by <> requested_by),
    CONSTRAINT refunds_second_approver_is_another CHECK (
        approved_again_by IS NULL
        OR (approved_by IS NOT NULL AND approved_again_by <> approved_by
            AND approved_again_by IS DISTINCT FROM requested_by)
    ),
    CONSTRAINT refunds_rejected_by_someone CHECK (status <> 'REJECTED' OR rejected_by IS NOT NULL),
    CONSTRAINT refunds_attempts_count CHECK (attempts >= 0)
);

CREATE UNIQUE INDEX refunds_one_a_payment ON refunds (payment_id)
    WHERE status NOT IN ('FAILED', 'REJECTED');

CREATE INDEX refunds_of_order ON refunds (order_id);

CREATE INDEX refunds_held ON refunds (created_at, refund_id) WHERE status = 'HELD';

CREATE INDEX refunds_to_revive ON refunds (revive_at) WHERE revive_at IS NOT NULL;

CREATE TRIGGER refunds_step BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND (OLD.status, NEW.status) NOT IN (
            ('REQUESTED', 'HELD'), ('REQUESTED', 'SUBMITTED'), ('REQUESTED', 'MANUAL'),
            ('HELD', 'REQUESTED'), ('HELD', 'REJECTED'), ('HELD', 'MANUAL'),
            ('SUBMITTED', 'SUCCEEDED'), ('SUBMITTED', 'FAILED'),
            ('SUBMITTED', 'HELD'), ('SUBMITTED', 'MANUAL'),
            ('SUCCEEDED', 'FAILED')
        )
    )
    EXECUTE FUNCTION refuse('a refund may not take this step');

CREATE TRIGGER refunds_terms_fixed BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (
        (OLD.payment_id, OLD.order_id, OLD.gateway, OLD.amount, OLD.currency)
        IS DISTINCT FROM
        (NEW.payment_id, NEW.order_id, NEW.gateway, NEW.amount, NEW.currency)
    )
    EXECUTE FUNCTION refuse('payment, order, gateway, amount and currency of a refund are fixed');

CREATE FUNCTION refuse_wrong_refund() RETURNS trigger LANGUAGE plpgsql AS $$
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
            AND p.currency = NEW.currency AND p.amount >= NEW.amount
    ) THEN
        RAISE EXCEPTION 'a refund goes through its payment''s gateway and is not above its amount'
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- After the statement, so that a refund written together with the settlement is seen too.
CREATE CONSTRAINT TRIGGER refunds_not_of_winner AFTER INSERT OR UPDATE ON refunds
    FOR EACH ROW EXECUTE FUNCTION refuse_wrong_refund();
