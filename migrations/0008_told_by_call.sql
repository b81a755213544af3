-- An event that the reteller put back had reached every queue that was bound at its first telling:
-- once its order is acknowledged, nobody waits for it any more. One that was never told is owed to
-- the bound queues all the same, whoever acknowledged the order.
ALTER TABLE outbox ADD COLUMN retold boolean NOT NULL DEFAULT false;
