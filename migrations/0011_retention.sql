-- Callbacks that were given up wait for a person, and not for ever.

CREATE INDEX webhook_inbox_given_up ON webhook_inbox (received_at)
    WHERE processed_at IS NULL AND revive_at IS NULL;
