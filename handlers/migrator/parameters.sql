-- The server's parameters, as a new session of this database gets them.

-- name: parameters
-- Without those that the role of this session has of its own. What the login may not see has no row: the libraries need
-- pg_read_all_settings.
SELECT name, reset_val AS value, vartype
FROM pg_settings
WHERE name = ANY (%(names)s)
  AND source NOT IN ('user', 'database user')
  AND reset_val IS NOT NULL;
