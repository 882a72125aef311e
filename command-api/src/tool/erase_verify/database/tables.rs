//! Every row of every table, searched for texts. Rows come here and are forgotten at once; the database
//! is never told what is looked for.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Database, why};
use crate::tool::erase_verify::needle::{Needles, Tally};
use crate::tool::erase_verify::report::Place;

/// Tables, each with its columns: every one that there is, not only those that the role may read.
/// Partitions are tables of their own, and the table that they are parts of has no rows itself.
const TABLES: &str = "
    SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted,
           array_remove(array_agg(format('%I', a.attname) ORDER BY a.attnum)
               FILTER (WHERE a.atttypid NOT IN ('bytea'::regtype, 'bytea[]'::regtype)), NULL) AS texts,
           array_remove(array_agg(format('%I', a.attname) ORDER BY a.attnum)
               FILTER (WHERE a.atttypid = 'bytea'::regtype), NULL) AS bytes,
           array_remove(array_agg(format('%I', a.attname) ORDER BY a.attnum)
               FILTER (WHERE a.atttypid = 'bytea[]'::regtype), NULL) AS byte_arrays
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'm', 'f')
    GROUP BY n.nspname, c.relname
    ORDER BY n.nspname, c.relname";

/// What the planner remembers of columns: samples of values, which outlive their rows.
const SAMPLES: &str = "
    SELECT CASE WHEN a.atttypid = 'bytea'::regtype
                THEN (SELECT coalesce(string_agg(v, '\\x0a'::bytea), '')
                      FROM unnest(s.most_common_vals::text::bytea[]
                                  || s.histogram_bounds::text::bytea[]) v)
                ELSE convert_to(concat_ws(E'\\n', s.most_common_vals, s.histogram_bounds,
                                          s.most_common_elems), 'UTF8')
           END
    FROM pg_stats s
    JOIN pg_namespace n ON n.nspname = s.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
    WHERE s.schemaname = ANY($1)";

/// Columns whose samples are not shown to the role.
const HIDDEN: &str = "
    SELECT count(*)
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
      AND (c.relkind IN ('r', 'm', 'p', 'f')
           OR EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND i.indexprs IS NOT NULL))
      AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')";

/// A table with its columns, as statements name them.
#[derive(sqlx::FromRow)]
struct Table {
    schema: String,
    name: String,
    quoted: String,
    texts: Option<Vec<String>>,
    bytes: Option<Vec<String>>,
    byte_arrays: Option<Vec<String>>,
}

impl Database {
    /// Searches every table of the deployment's schemas, and what the planner remembers of them.
    pub(in crate::tool::erase_verify) async fn sweep(
        &mut self,
        needles: &Needles,
        places: &mut Vec<Place>,
    ) {
        let schemas = self.schemas.all().map(str::to_owned).to_vec();
        let tables: Result<Vec<Table>, _> =
            sqlx::query_as(TABLES).bind(&schemas).fetch_all(&mut self.session).await;
        let tables = match tables {
            Ok(tables) => tables,
            Err(error) => {
                places.push(Place::not_looked_at("the tables of Postgres", why(&error)));
                return;
            }
        };
        for schema in &schemas {
            if !tables.iter().any(|table| table.schema == *schema) {
                places.push(Place::not_looked_at(format!("schema {schema}"), "it has no table"));
            }
        }
        for table in &tables {
            let (name, mut tally) = (format!("{}.{}", table.schema, table.name), needles.tally());
            let looked = table.look(&mut self.session, &mut tally).await;
            places.push(match looked {
                Ok(()) => tally.place(name, "row"),
                Err(error) => Place::not_looked_at(name, why(&error)),
            });
        }
        self.samples(&schemas, needles, places).await;
    }

    async fn samples(&mut self, schemas: &[String], needles: &Needles, places: &mut Vec<Place>) {
        let name = "samples of columns that ANALYZE took (pg_stats)";
        let mut tally = needles.tally();
        let looked = async {
            let hidden: i64 =
                sqlx::query_scalar(HIDDEN).bind(schemas).fetch_one(&mut self.session).await?;
            let mut samples =
                sqlx::query_scalar::<_, Vec<u8>>(SAMPLES).bind(schemas).fetch(&mut self.session);
            while let Some(sample) = samples.try_next().await? {
                tally.look([sample.as_slice()]);
            }
            Ok::<_, sqlx::Error>(hidden)
        };
        match looked.await {
            Err(error) => places.push(Place::not_looked_at(name, why(&error))),
            Ok(hidden) => {
                places.push(tally.place(name, "column"));
                if hidden > 0 {
                    let why = format!("{hidden} columns are not shown to this role");
                    places.push(Place::not_looked_at(name, why));
                }
            }
        }
    }
}

impl Table {
    async fn look(
        &self,
        session: &mut PgConnection,
        tally: &mut Tally<'_>,
    ) -> Result<(), sqlx::Error> {
        let statement = AssertSqlSafe(self.statement());
        let mut rows = sqlx::query_scalar::<_, Vec<u8>>(statement).fetch(session);
        while let Some(row) = rows.try_next().await? {
            tally.look([row.as_slice()]);
        }
        Ok(())
    }

    /// Each row as bytes: a column a line, texts as they are and not as Postgres would quote them.
    fn statement(&self) -> String {
        let of = |columns: &Option<Vec<String>>, form: &dyn Fn(&String) -> String| -> Vec<String> {
            columns.iter().flatten().map(form).collect()
        };
        let texts = of(&self.texts, &|column| format!("t.{column}::text")).join(", ");
        let mut parts =
            vec![format!("convert_to(array_to_string(ARRAY[{texts}]::text[], E'\\n'), 'UTF8')")];
        parts.extend(of(&self.bytes, &|column| format!("coalesce(t.{column}, '')")));
        parts.extend(of(&self.byte_arrays, &|column| {
            format!(
                "(SELECT coalesce(string_agg(v, '\\x0a'::bytea), '') FROM unnest(t.{column}) v)"
            )
        }));
        format!("SELECT {} FROM ONLY {} t", parts.join(" || '\\x0a'::bytea || "), self.quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_all_its_columns() {
        let columns = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let letters = Table {
            schema: "read_models".to_owned(),
            name: "letters".to_owned(),
            quoted: "read_models.letters".to_owned(),
            texts: columns(&["id", "\"Key\""]),
            bytes: columns(&["value"]),
            byte_arrays: columns(&["header_values"]),
        };
        assert_eq!(
            letters.statement(),
            "SELECT convert_to(array_to_string(ARRAY[t.id::text, t.\"Key\"::text]::text[], E'\\n'), 'UTF8') \
             || '\\x0a'::bytea || coalesce(t.value, '') \
             || '\\x0a'::bytea || (SELECT coalesce(string_agg(v, '\\x0a'::bytea), '') FROM unnest(t.header_values) v) \
             FROM ONLY read_models.letters t"
        );
    }

    #[test]
    fn a_table_of_texts_alone_needs_nothing_else() {
        let table = Table {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            quoted: "s.t".to_owned(),
            texts: None,
            bytes: None,
            byte_arrays: None,
        };
        let statement =
            "SELECT convert_to(array_to_string(ARRAY[]::text[], E'\\n'), 'UTF8') FROM ONLY s.t t";
        assert_eq!(table.statement(), statement);
    }
}
