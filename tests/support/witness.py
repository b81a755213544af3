"""Watches that what is shown of an order never changes without its version, whoever writes."""

from collections.abc import Iterable

import asyncpg

from payonce.ports import views

_ORDER = {*views.OrderSummary.__required_keys__, "acknowledged_at"} - {"acknowledged", "version"}
_PAYMENT = {
    *views.ShoppersPayment.__required_keys__,
    *views.ShoppersPayment.__optional_keys__,
}
_REFUND = views.ShoppersRefund.__required_keys__


def _fields(alias: str, names: Iterable[str]) -> str:
    pairs = ", ".join(f"'{name}', {alias}.{name}" for name in sorted(names))
    return f"jsonb_build_object({pairs})"


# At the commit everything that the transaction wrote is seen together. Workers have no rights here.
WITNESS = f"""
CREATE TABLE witness (
    order_id text COLLATE "C" PRIMARY KEY, version integer NOT NULL, shown jsonb NOT NULL
);

CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    now_at integer;
    now_shown jsonb;
    before witness%ROWTYPE;
BEGIN
    SELECT o.version, jsonb_build_object(
        'order', {_fields("o", _ORDER)},
        'payments', (
            SELECT jsonb_object_agg(p.payment_id, {_fields("p", _PAYMENT)})
            FROM payments p WHERE p.order_id = o.order_id
        ),
        'refunds', (
            SELECT jsonb_object_agg(r.refund_id, {_fields("r", _REFUND)})
            FROM refunds r WHERE r.order_id = o.order_id
        )
    ) INTO now_at, now_shown FROM orders o WHERE o.order_id = NEW.order_id;
    SELECT * INTO before FROM witness w WHERE w.order_id = NEW.order_id;
    IF before.version = now_at AND before.shown <> now_shown THEN
        RAISE EXCEPTION 'order % changed and is at version % still: % -> %',
            NEW.order_id, now_at, before.shown, now_shown;
    END IF;
    INSERT INTO witness VALUES (NEW.order_id, now_at, now_shown)
        ON CONFLICT (order_id) DO UPDATE SET version = EXCLUDED.version, shown = EXCLUDED.shown;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER witness_orders AFTER INSERT OR UPDATE ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bear_witness();
CREATE CONSTRAINT TRIGGER witness_payments AFTER INSERT OR UPDATE ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bear_witness();
CREATE CONSTRAINT TRIGGER witness_refunds AFTER INSERT OR UPDATE ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bear_witness();
"""


async def install_witness(dsn: str) -> None:
    """Have every commit to this migrated database watched."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(WITNESS)
    finally:
        await connection.close()
