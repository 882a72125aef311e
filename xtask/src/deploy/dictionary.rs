//! The dictionary of what analysts read, from the comments in the database.

use anyhow::{Context, Result};
use settings::Prefix;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::migrations::connect;

const HEAD: &str = "# Data dictionary\n\n\
    Written by `cargo xtask write-dictionary` from the comments of the migrations. How to query these\n\
    views: [analysts](analysts.md).\n";

/// Views of a deployment's schema and their columns, as a page.
///
/// # Errors
/// The database cannot be reached, or something lacks its comment.
pub async fn dictionary(database: &PgConnectOptions, prefix: &Prefix) -> Result<String> {
    let schema = read_models::database::schema(prefix);
    let mut owner = connect(database, &schema).await?;
    let mut page = HEAD.to_owned();
    for (view, comment) in views(&mut owner, &schema).await? {
        let comment = comment.with_context(|| format!("the view {view} has no comment"))?;
        page += &format!(
            "\n## {view}\n\n{comment}.\n\n| Column | Type | Means |\n| --- | --- | --- |\n"
        );
        for (column, kind, comment) in columns(&mut owner, &schema, &view).await? {
            let comment = comment.with_context(|| format!("{view}.{column} has no comment"))?;
            page += &format!("| `{column}` | `{kind}` | {comment}. |\n");
        }
    }
    owner.close().await.context("closing the connection")?;
    Ok(page)
}

async fn views(owner: &mut PgConnection, schema: &str) -> Result<Vec<(String, Option<String>)>> {
    sqlx::query_as(
        "SELECT relname::text, obj_description(oid, 'pg_class') FROM pg_class
         WHERE relnamespace = to_regnamespace($1) AND relkind = 'v' ORDER BY relname",
    )
    .bind(schema)
    .fetch_all(owner)
    .await
    .context("reading the views")
}

async fn columns(
    owner: &mut PgConnection,
    schema: &str,
    view: &str,
) -> Result<Vec<(String, String, Option<String>)>> {
    sqlx::query_as(
        "SELECT attname::text, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
         FROM pg_attribute
         WHERE attrelid = to_regclass(format('%I.%I', $1, $2)) AND attnum > 0 ORDER BY attnum",
    )
    .bind(schema)
    .bind(view)
    .fetch_all(owner)
    .await
    .with_context(|| format!("reading the columns of {view}"))
}
