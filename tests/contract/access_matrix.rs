//! Who may do what: every operation of the description, tried by every kind of caller, against a table that
//! says what each is to be answered.

mod audit;
mod caller;
mod operation;
mod stage;
mod table;
mod verdict;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use test_support::Answer;
use uuid::Uuid;

use super::api_description::said;
use caller::Caller;
use operation::{Operation, operations};
use stage::Stage;
use table::{Outcome, ROWS, Row, row_of};

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// Faults that are told: where a check is missing, there are many.
const TOLD: usize = 60;

/// Far above what all of them take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One operation and one caller.
#[derive(Clone, Copy)]
struct Cell<'a> {
    operation: &'a Operation,
    row: &'static Row,
    caller: Caller,
}

/// What came of a cell.
struct Asked<'a> {
    cell: Cell<'a>,
    request_id: String,
    trace_id: String,
    token: Option<String>,
    answer: Answer,
    /// What the same is answered about somebody or something that there is not.
    of_nobody: Option<Answer>,
}

impl Cell<'_> {
    fn expected(&self) -> Outcome {
        self.row.expects(self.caller)
    }

    /// Whether a refusal could tell by itself what there is: also these are asked about nobody.
    fn may_tell(&self) -> bool {
        let is_one = matches!(
            self.caller,
            Caller::Other | Caller::OwnerWithoutRole | Caller::BoundElsewhere
        );
        let is_refused = matches!(self.expected(), Outcome::Forbidden | Outcome::Hidden);
        is_one && is_refused && self.operation.has_parameters()
    }
}

impl Asked<'_> {
    fn expected(&self) -> Outcome {
        self.cell.expected()
    }

    fn is_refused(&self) -> bool {
        matches!(self.answer.status, 401 | 403)
    }

    fn name(&self) -> String {
        format!("{} by {}", self.cell.operation.id, self.cell.caller)
    }
}

/// Every caller tries every operation. What is slow stands far apart.
fn cells(operations: &[Operation]) -> Result<Vec<Cell<'_>>> {
    let mut cells = Vec::new();
    for caller in Caller::ALL {
        for operation in operations {
            let id = &operation.id;
            let row = row_of(id).with_context(|| format!("{id} has no row"))?;
            cells.push(Cell { operation, row, caller });
        }
    }
    Ok(cells)
}

async fn ask<'a>(stage: &Stage, cell: Cell<'a>) -> Result<Asked<'a>> {
    let Cell { operation, row, caller } = cell;
    let about = stage.about(row, caller).await?;
    let token = caller.token(stage, &about)?;
    let body = operation.body(caller, &about, &stage.new_name());
    let request_id = format!("{}.{caller}", operation.id);
    let trace_id = Uuid::now_v7().simple().to_string();
    let trace_parent = format!("00-{trace_id}-00f067aa0ba902b7-00");
    let bearer = token.as_ref().map(|token| format!("Bearer {token}"));
    let send = async |target: &str, id: &str| {
        let mut headers = vec![("x-request-id", id), ("traceparent", trace_parent.as_str())];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let answer = stage.ask((operation.method.as_str(), target), &headers, body.as_ref()).await;
        answer.with_context(|| format!("asking {id}"))
    };
    let answer = send(&operation.target(&about), &request_id).await?;
    let of_nobody = if cell.may_tell() {
        let id = format!("{request_id}.nobody");
        Some(send(&operation.target_of_nobody(), &id).await?)
    } else {
        None
    };
    Ok(Asked { cell, request_id, trace_id, token, answer, of_nobody })
}

async fn ask_all<'a>(stage: &Stage, cells: Vec<Cell<'a>>) -> Result<Vec<Asked<'a>>> {
    let asking = stream::iter(cells).map(|cell| ask(stage, cell)).buffer_unordered(AT_ONCE);
    let all = tokio::time::timeout(PATIENCE, asking.try_collect::<Vec<_>>());
    all.await.context("asking all of them takes too long")?
}

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() -> Result<()> {
    let operations = operations(&said())?;
    let described: BTreeSet<&str> = operations.iter().map(|it| it.id.as_str()).collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.operation).collect();
    let without_row: Vec<_> = described.difference(&rows).collect();
    ensure!(without_row.is_empty(), "the table does not say who may {without_row:?}");
    let without_operation: Vec<_> = rows.difference(&described).collect();
    ensure!(without_operation.is_empty(), "these are no operations: {without_operation:?}");
    ensure!(rows.len() == ROWS.len(), "an operation has two rows");
    for operation in &operations {
        let is_public = row_of(&operation.id).is_some_and(Row::is_public);
        ensure!(
            is_public != operation.needs_access(),
            "{}: description and table differ in whether it takes an access token",
            operation.id
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_caller_may_do_what_the_table_says_and_nothing_else() -> Result<()> {
    let operations = operations(&said())?;
    let stage = Stage::set("access_matrix").await?;
    let began = Instant::now();
    // What reads show does not depend on what is written meanwhile.
    let (reads, writes): (Vec<_>, Vec<_>) =
        cells(&operations)?.into_iter().partition(|cell| cell.operation.method == "GET");
    let mut asked = ask_all(&stage, reads).await?;
    asked.extend(ask_all(&stage, writes).await?);
    println!("{} of {} callers in {:?}", asked.len(), Caller::ALL.len(), began.elapsed());

    let mut faults: Vec<String> =
        asked.iter().filter_map(|asked| verdict::fault(&stage, asked)).collect();
    faults.extend(verdict::told_apart(&asked));
    faults.extend(verdict::vacuous(&stage, &asked));
    faults.extend(audit::faults(&stage, &asked)?);
    let told: Vec<&str> = faults.iter().take(TOLD).map(String::as_str).collect();
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), told.join("\n"));
    stage.must_be_unchanged().await
}
