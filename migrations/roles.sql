-- Who may do what. `payonce migrate` runs this after the numbered files, each time; it is edited in
-- place, and running it again changes nothing. By hand: psql "$PAYONCE_POSTGRES_DSN" -f roles.sql
--
-- Three groups that nobody logs in as; a login is made a member of one (docs/database.md, "Roles"):
-- payonce_app       the workers
-- payonce_reader    people who look, and secrets they do not see
-- payonce_migrator  owns the schema

-- name: create
-- Roles belong to the whole server, so another database's migration may be making them as well. Who
-- makes the migrator without being a superuser has to be one to hand the tables over.
DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['payonce_app', 'payonce_reader', 'payonce_migrator'] LOOP
        CONTINUE WHEN to_regrole(one) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', one);
            IF one = 'payonce_migrator' AND current_setting('is_superuser') = 'off' THEN
                GRANT payonce_migrator TO CURRENT_USER;
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % is missing, and % may not create it', one, current_user;
        END;
    END LOOP;
END
$$;

-- name: hand_over
-- Tables and functions go to the migrator, so that each of its members can migrate. One at a time,
-- committed at once: of a worker that holds one table and waits for another no deadlock is made.
DO $$
DECLARE
    one text;
    step text;
BEGIN
    FOREACH one IN ARRAY ARRAY['payonce_app', 'payonce_reader', 'payonce_migrator'] LOOP
        IF NOT has_schema_privilege(one, current_schema(), 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), one);
        END IF;
    END LOOP;
    IF NOT has_schema_privilege('payonce_migrator', current_schema(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON SCHEMA %I TO payonce_migrator', current_schema());
    END IF;
    COMMIT;
    FOREACH step IN ARRAY ARRAY(
        SELECT format('ALTER TABLE %s OWNER TO payonce_migrator', c.oid::regclass)
        FROM pg_class c
        WHERE c.oid = ANY (ARRAY[
            'orders', 'payments', 'refunds', 'outbox', 'timeline', 'webhook_inbox', 'delay_queues',
            'idempotency_keys', 'installation', 'gateways', 'gateway_journal', 'workers',
            'activity', 'operator_journal', 'captures', 'payonce_migrations'
        ]::regclass[]) AND c.relowner <> 'payonce_migrator'::regrole
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO payonce_migrator', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.oid = ANY (ARRAY[
            'refuse()', 'refuse_new_price()', 'refuse_wrong_refund()'
        ]::regprocedure[]) AND p.proowner <> 'payonce_migrator'::regrole
    ) LOOP
        EXECUTE step;
        COMMIT;
    END LOOP;
END
$$;

-- name: grant
-- What is not named here nobody but the owner may do. Columns are named where a worker has to write
-- some alone: an order's id, a payment's terms, a refund's requester stay as they were inserted.
REVOKE ALL ON
    orders, payments, refunds, outbox, timeline, webhook_inbox, delay_queues, idempotency_keys,
    installation, gateways, gateway_journal, workers, activity, operator_journal, captures,
    payonce_migrations
FROM payonce_app, payonce_reader, PUBLIC;

-- The app reads all; columns that it may not know are none.
GRANT SELECT ON
    orders, payments, refunds, outbox, timeline, webhook_inbox, delay_queues, idempotency_keys,
    installation, gateways, gateway_journal, workers, activity, operator_journal, captures,
    payonce_migrations
TO payonce_app;

-- What only grows.
GRANT INSERT ON timeline, gateway_journal, operator_journal TO payonce_app;

-- What is money, or tells of it, is never deleted.
GRANT INSERT (order_id, status, amount, currency), UPDATE (
    status, amount, currency, settled_by, settled_at, acknowledged_at, version, retell_at,
    success_data
) ON orders TO payonce_app;
GRANT INSERT (
    payment_id, order_id, gateway, amount, currency, status, gateway_ref, initiated_at, expires_at,
    expires_given, revive_at, traceparent, closing
), UPDATE (
    status, gateway_ref, duplicate, unresolved, mismatched, expires_at, expires_given, epoch, step,
    revive_at, paid_at, settled_at, last_answer, closing, qr, pay_url, answered_at, shared_until,
    captured_amount, captured_currency, reversed_amount, resolved_as, resolved_by, resolved_why,
    resolved_at
) ON payments TO payonce_app;
GRANT INSERT (
    refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule, requested_by,
    requested_why, revive_at, traceparent
), UPDATE (
    status, rule, approved_by, approved_at, approved_again_by, approved_again_at, overruled,
    rejected_by, rejected_why, resolved_by, resolved_why, attempts, submitted_at, finished_at,
    last_answer, looks, contradicted_at, revive_at
) ON refunds TO payonce_app;
GRANT INSERT, UPDATE (state, attempt, claimed_at, held_until, why) ON captures TO payonce_app;
GRANT INSERT, UPDATE (paused_at, paused_by, paused_why, open_until, openings)
    ON gateways TO payonce_app;

-- What is forgotten once it is old, or done.
GRANT INSERT, DELETE, UPDATE (leased_until, attempts) ON outbox TO payonce_app;
GRANT INSERT, DELETE, UPDATE (processed_at, problem, attempts, revive_at)
    ON webhook_inbox TO payonce_app;
GRANT INSERT, DELETE, UPDATE (declared_at, retired_at) ON delay_queues TO payonce_app;
GRANT INSERT, DELETE, UPDATE (request_hash, status, answer, leased_until, created_at)
    ON idempotency_keys TO payonce_app;
GRANT INSERT, DELETE, UPDATE (seen_at) ON workers TO payonce_app;
GRANT INSERT, DELETE, UPDATE (count) ON activity TO payonce_app;

-- Not the raw callbacks, which hold what gateways tell of people; not the answers to applications,
-- which hold order tokens; not the key that those follow from.
GRANT SELECT ON
    orders, payments, refunds, outbox, timeline, delay_queues, gateways, gateway_journal, workers,
    activity, operator_journal, captures, payonce_migrations
TO payonce_reader;
GRANT SELECT (
    inbox_id, gateway, event_id, received_at, payment_id, processed_at, problem, attempts, revive_at
) ON webhook_inbox TO payonce_reader;
