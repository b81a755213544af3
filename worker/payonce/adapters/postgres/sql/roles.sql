-- name: missing
SELECT EXISTS (SELECT FROM unnest($1::text[]) AS w (name) WHERE to_regrole(w.name) IS NULL);

-- name: standing
-- Of a role that is missing no privilege is known, so it counts as not granted.
SELECT
    current_user AS login,
    current_setting('is_superuser') = 'on' AS is_superuser,
    pg_has_role(current_user, c.relowner, 'USAGE') AS is_owner,
    has_schema_privilege(c.relnamespace, 'CREATE') AS may_create,
    NOT EXISTS (
        SELECT FROM unnest($1::text[]) AS w (name)
        WHERE has_table_privilege(to_regrole(w.name), c.oid, 'SELECT') IS NOT TRUE
    ) AS granted
FROM pg_class c
WHERE c.oid = 'timeline'::regclass;
