//! Postgres and what a new one needs: roles and the database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use settings::Prefix;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Stack;
use super::certificates;
use super::parts::run;
use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;
use super::service_user::ServiceUser;
use super::template;

/// Where `psql` looks on Debian when it is told nothing.
const USUAL_SOCKETS: &str = "/var/run/postgresql";

/// The longest path of a directory in which a socket still has an address.
const LONGEST_SOCKET_DIR: usize = 85;

/// The role that owns the database and everything in it.
pub(crate) const OWNER: &str = "appuser";

/// The database.
pub(crate) const DATABASE: &str = "appdb";

/// A role of a process, each with its name as password: the stack listens on loopback only.
pub(crate) const PROCESS_ROLES: [&str; 4] =
    ["command_api", "query_api", "projector", "dlq_replayer"];

/// The role of people who query with their own tools.
pub(crate) const ANALYST: &str = "analyst";

/// A query that was forgotten, or one too many, must not cost the projector its database.
const LIMITS_OF_ANALYSTS: [&str; 5] = [
    "CONNECTION LIMIT 10",
    "SET default_transaction_read_only = on",
    "SET statement_timeout = '5min'",
    "SET idle_in_transaction_session_timeout = '1min'",
    "SET lock_timeout = '5s'",
];

const SUPERUSER: &str = "postgres";

/// The URL under which a role reaches the database over TCP.
pub(crate) fn url(stack: &Stack, role: &str) -> String {
    database_url(stack, role, DATABASE)
}

fn database_url(stack: &Stack, role: &str, database: &str) -> String {
    let port = stack.ports.of(Listener::Postgres);
    // Without TLS, which costs time and keeps nobody out here.
    format!("postgres://{role}:{role}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// The process, with its configuration written.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::Postgres);
    let user = ServiceUser::find()?;
    let (conf, hba) = (conf(stack), stack.local.conf().join("pg_hba.conf"));
    template::write(&stack.local.deploy("local/pg_hba.conf"), &hba, &[])?;
    template::write(
        &stack.local.deploy("local/postgres.conf"),
        &conf,
        &[
            ("port", port.to_string()),
            ("sockets", sockets(stack, &user)?),
            ("fsync", if stack.is_synced { "on" } else { "off" }.to_owned()),
            ("certificate", certificates::certificate(stack).display().to_string()),
            ("key", certificates::key(stack).display().to_string()),
        ],
    )?;
    let program = stack.parts.postgres("postgres");
    let (path, mut args) = user.command(&program, &[&conf, &data(stack)]);
    args.extend([
        "-D".to_owned(),
        data(stack).display().to_string(),
        "-c".to_owned(),
        format!("config_file={}", conf.display()),
        "-c".to_owned(),
        format!("hba_file={}", hba.display()),
    ]);
    Ok(Process {
        name: "postgres".to_owned(),
        program: Program { path, args, env: Vec::new(), dir: "/".into() },
        ports: vec![port],
        probe: Probe::Postgres(database_url(stack, SUPERUSER, "postgres")),
        start_budget: Duration::from_secs(60),
        stop_signal: StopSignal::Int,
        stop_budget: Duration::from_secs(20),
        tier: Tier::Infrastructure,
        files: vec![conf, hba, certificates::certificate(stack)],
    })
}

/// Makes a new cluster; an existing one is left as it is.
pub(crate) fn prepare(stack: &Stack) -> Result<()> {
    let data = data(stack);
    if data.join("PG_VERSION").exists() {
        return Ok(());
    }
    let user = ServiceUser::find()?;
    user.create_dir(&data)?;
    let password = stack.local.conf().join("postgres-password");
    std::fs::write(&password, SUPERUSER).context("writing the password of a new Postgres")?;
    let (path, args) = user.command(&stack.parts.postgres("initdb"), &[&data, &password]);
    run(Command::new(path)
        .args(args)
        .args(["--username", SUPERUSER, "--encoding=UTF8", "--locale=C"])
        .args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
        .args(["--auth=scram-sha-256", "--no-sync", "--no-instructions"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(&data)
        .current_dir("/"))
    .context("making a new Postgres cluster")
}

/// Creates roles and database where they are missing.
pub(crate) async fn provision(stack: &Stack) -> Result<()> {
    let mut postgres = PgConnection::connect(&database_url(stack, SUPERUSER, "postgres"))
        .await
        .context("connecting to Postgres")?;
    create_role(&mut postgres, OWNER, "CREATEDB CREATEROLE").await?;
    for role in PROCESS_ROLES.into_iter().chain([ANALYST]) {
        create_role(&mut postgres, role, "").await?;
    }
    for limit in LIMITS_OF_ANALYSTS {
        sqlx::query(AssertSqlSafe(format!("ALTER ROLE {ANALYST} {limit}")))
            .execute(&mut postgres)
            .await
            .with_context(|| format!("limiting the role {ANALYST}"))?;
    }
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut postgres)
            .await?;
    if !exists {
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")))
            .execute(&mut postgres)
            .await
            .context("creating the database")?;
    }
    // So that an analyst's `SELECT * FROM resources` needs no schema's name.
    let schema = read_models::database::schema(&Prefix::default());
    sqlx::query(AssertSqlSafe(format!(
        "ALTER DATABASE {DATABASE} SET search_path = {schema}, public"
    )))
    .execute(&mut postgres)
    .await
    .context("setting the search path")?;
    postgres.close().await.context("closing the connection")
}

async fn create_role(postgres: &mut PgConnection, role: &str, rights: &str) -> Result<()> {
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut *postgres)
            .await?;
    if !exists {
        let statement = format!("CREATE ROLE {role} LOGIN PASSWORD '{role}' {rights}");
        sqlx::query(AssertSqlSafe(statement))
            .execute(postgres)
            .await
            .with_context(|| format!("creating the role {role}"))?;
    }
    Ok(())
}

/// The directories that get a socket: the stack's own, and the one where `psql` looks.
fn sockets(stack: &Stack, user: &ServiceUser) -> Result<String> {
    let own = stack.local.run().join("postgres");
    user.create_dir(&own)?;
    let mut dirs: Vec<PathBuf> = Vec::new();
    if own.as_os_str().len() <= LONGEST_SOCKET_DIR {
        dirs.push(own);
    }
    let usual = Path::new(USUAL_SOCKETS);
    if !usual.exists() && *user != ServiceUser::Caller {
        user.create_dir(usual)?;
    }
    if may_write(usual) {
        dirs.push(usual.to_owned());
    }
    let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    Ok(dirs.join(","))
}

fn may_write(dir: &Path) -> bool {
    let trial = dir.join(format!(".trial.{}", std::process::id()));
    File::create(&trial).and_then(|_| std::fs::remove_file(&trial)).is_ok()
}

fn conf(stack: &Stack) -> PathBuf {
    stack.local.conf().join("postgres.conf")
}

fn data(stack: &Stack) -> PathBuf {
    stack.local.data().join("postgres")
}
