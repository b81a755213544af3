-- name: lock
SELECT pg_advisory_lock($1);

-- name: create_table
CREATE TABLE IF NOT EXISTS payonce_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: table_exists
SELECT to_regclass('payonce_migrations') IS NOT NULL;

-- name: applied
SELECT name, checksum FROM payonce_migrations;

-- name: note
INSERT INTO payonce_migrations (name, checksum) VALUES ($1, $2);
