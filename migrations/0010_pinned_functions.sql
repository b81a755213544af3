-- Triggers run with the rights and the search path of whoever writes. What they look up is pinned to
-- this schema: else a temporary table called "orders" would hide the true one from the rule that the
-- winner is not refunded. And nobody but the triggers has a use for these functions.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOREACH one IN ARRAY
        ARRAY['refuse()', 'refuse_new_price()', 'refuse_wrong_refund()']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END
$$;
