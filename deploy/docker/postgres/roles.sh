#!/bin/sh
# Makes the roles and the database that `cargo xtask deploy` and the processes expect, each role with
# the password of its variable. The image of Postgres runs it once, in a new cluster; elsewhere run it
# with psql's own variables (PGHOST, PGUSER, PGPASSWORD) set for a superuser. It may be repeated.
set -eu

for variable in APPUSER_PASSWORD COMMAND_API_DB_PASSWORD QUERY_API_DB_PASSWORD \
    PROJECTOR_DB_PASSWORD DLQ_REPLAYER_DB_PASSWORD ANALYST_DB_PASSWORD; do
    eval "value=\${$variable:-}"
    if [ -z "$value" ]; then
        echo "$variable is not set" >&2
        exit 1
    fi
done

# What psql reads from the environment is not seen in the list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-${PGUSER:-postgres}}" \
    --dbname postgres <<'SQL'
\getenv appuser APPUSER_PASSWORD
\getenv command_api COMMAND_API_DB_PASSWORD
\getenv query_api QUERY_API_DB_PASSWORD
\getenv projector PROJECTOR_DB_PASSWORD
\getenv dlq_replayer DLQ_REPLAYER_DB_PASSWORD
\getenv analyst ANALYST_DB_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['appuser', 'command_api', 'query_api', 'projector', 'dlq_replayer',
                  'analyst']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE appuser PASSWORD :'appuser';
ALTER ROLE command_api PASSWORD :'command_api';
ALTER ROLE query_api PASSWORD :'query_api';
ALTER ROLE projector PASSWORD :'projector';
ALTER ROLE dlq_replayer PASSWORD :'dlq_replayer';
ALTER ROLE analyst PASSWORD :'analyst';

-- A query that was forgotten, or one too many, must not cost the projector its database.
ALTER ROLE analyst CONNECTION LIMIT 10;
ALTER ROLE analyst SET default_transaction_read_only = on;
ALTER ROLE analyst SET statement_timeout = '5min';
ALTER ROLE analyst SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE analyst SET lock_timeout = '5s';

SELECT 'CREATE DATABASE appdb OWNER appuser'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'appdb')
\gexec
-- So that an analyst's `SELECT * FROM resources` needs no schema's name.
ALTER DATABASE appdb SET search_path = read_models, public;
SQL
