//! Reading rows of a view in an order: a page of them, or all for an export.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor as _, FromRow, Postgres, QueryBuilder, Row as _};

use crate::consistency::{OpenLetters, Whose, find_letters};
use crate::lookups::Lookup;
use crate::page::{Page, Size};
use crate::positions::map::Need;

/// Rows of a view that somebody asks for.
pub(crate) trait Listed: Send + Sync + 'static {
    /// The projection whose view it is.
    const PROJECTION: &'static str;
    /// What its pages are called in metrics.
    const PAGES: &'static str;
    /// What is read of each row.
    type Columns: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static;

    /// What a row counts of the bytes of a page: an expression over the statement's columns.
    const BYTES: &'static str = "octet_length(payload)";

    /// The statement that reads them, in their order, `most` at most.
    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>);

    /// The order, by columns of the statement; no two rows share a place in it.
    fn order(&self) -> &'static str;

    /// Whose letters keep something from being shown.
    fn whose(&self) -> Whose<'_>;

    /// Of no rows: whether what they would be of exists. `true` costs nothing.
    fn exists(
        &self,
        _connection: &mut PgConnection,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send {
        std::future::ready(Ok(true))
    }
}

/// A page that somebody asks for.
pub(crate) struct PageKey<L> {
    pub(crate) listed: L,
    pub(crate) size: Size,
    /// What the reader's token asks for, where some of it may be set aside.
    pub(crate) unsure: Vec<Need>,
}

/// A page, with all that is of its moment.
pub(crate) struct FoundPage<C> {
    pub(crate) page: Page<C>,
    /// Whether there is anything that the page could be of.
    pub(crate) exists: bool,
    /// Open letters that keep the reader's needs from being shown.
    pub(crate) letters: Vec<OpenLetters>,
}

/// Pages of one view.
pub(crate) struct PageLookup<L>(std::marker::PhantomData<L>);

impl<L: Listed> Lookup for PageLookup<L> {
    type Key = PageKey<L>;
    type Found = FoundPage<L::Columns>;

    const OF: &'static str = L::PAGES;

    /// A page is a statement of its own: those behind it go to another connection.
    const AT_ONCE: usize = 1;

    async fn find(
        connection: &mut PgConnection,
        keys: &[PageKey<L>],
    ) -> Result<Vec<Self::Found>, sqlx::Error> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(find(&mut *connection, key).await?);
        }
        Ok(found)
    }
}

/// One moment for several statements.
pub(crate) const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

async fn find<L: Listed>(
    connection: &mut PgConnection,
    key: &PageKey<L>,
) -> Result<FoundPage<L::Columns>, sqlx::Error> {
    if key.unsure.is_empty() {
        return rows(connection, key).await;
    }
    connection.execute(ONE_MOMENT).await?;
    let letters =
        find_letters(&mut *connection, L::PROJECTION, key.listed.whose(), &key.unsure).await?;
    let found = rows(&mut *connection, key).await?;
    connection.execute("COMMIT").await?;
    Ok(FoundPage { letters, ..found })
}

async fn rows<L: Listed>(
    connection: &mut PgConnection,
    PageKey { listed, size, .. }: &PageKey<L>,
) -> Result<FoundPage<L::Columns>, sqlx::Error> {
    let lines = page_statement(listed, *size).build().fetch_all(&mut *connection).await?;
    let read = |line: &PgRow| Ok((L::Columns::from_row(line)?, line.try_get("in_all")?));
    let found = lines.iter().map(read).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let page = Page::of(found, *size);
    let exists = !page.rows.is_empty() || listed.exists(connection).await?;
    Ok(FoundPage { page, exists, letters: Vec::new() })
}

/// One row more than the page may have tells whether there is a next one; so does a row that is left
/// out because those before it have as many bytes as a page may have. The first is always there.
fn page_statement<L: Listed>(listed: &L, size: Size) -> QueryBuilder<Postgres> {
    let order = listed.order();
    let mut sql = QueryBuilder::new("SELECT * FROM (SELECT p.*, count(*) OVER () AS in_all, ");
    sql.push("coalesce(sum(").push(L::BYTES).push(") OVER (ORDER BY ").push(order);
    sql.push(" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM (");
    listed.push_rows(&mut sql, Some(size.rows + 1));
    sql.push(") p) q WHERE before < ").push_bind(i64::try_from(size.bytes).unwrap_or(i64::MAX));
    sql.push(" ORDER BY ").push(order);
    sql
}
