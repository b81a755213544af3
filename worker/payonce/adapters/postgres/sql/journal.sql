-- name: note
INSERT INTO operator_journal (at, by, action, subject, why) VALUES ($1, $2, $3, $4, $5);

-- name: latest
SELECT at, by, action, subject, why FROM operator_journal ORDER BY entry_id DESC LIMIT $1;
