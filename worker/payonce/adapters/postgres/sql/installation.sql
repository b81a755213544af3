-- name: token_key
SELECT token_key FROM installation;
