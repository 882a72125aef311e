//! What others are told of us while we run: traces, metrics, dashboards.

pub(crate) mod dashboards;
mod logs;
mod receiver;
pub(crate) mod sink;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use test_support::{Answer, Caller, Launch, Running, Spine, World, event_body, eventually_within};

use sink::{Conduct, Seen, Sink};

/// The trace and the span of a client.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// Within that time of its start a process must have handed over a span.
const PROMPT: Duration = Duration::from_secs(10);

/// Everything is recorded and goes to the sink.
fn traced(launch: Launch, sink: &Sink) -> Launch {
    launch
        .setting("MILLRACE_OTLP_ENDPOINT", sink.url())
        .setting("MILLRACE_TRACE_PER_MILLE", 1000)
        .setting("MILLRACE_LOG", "info,lifecycle=debug,command_api=debug,telemetry=debug")
}

async fn traced_spine(world: &World, sink: &Sink) -> Result<Spine> {
    let (command_api, projector) = (traced(world.command_api()?, sink), world.projector()?);
    let query_api = traced(world.query_api()?, sink);
    Spine::start_with(command_api, traced(projector, sink), query_api).await
}

/// A report under the client's trace, and the read that waits for it, under the same.
async fn travel(spine: &Spine, flags: &str) -> Result<(Answer, Answer)> {
    let parent = format!("00-{TRACE}-{CLIENT}-{flags}");
    let body = event_body("device-1", r#"{"a":1}"#);
    let post = spine.caller.post(body)?.header("traceparent", &parent);
    let written = spine.caller.send(post).await?;
    ensure!(written.status == 202, "it answers {written}");
    let token = written.header("consistency-token").context("no token")?;
    let get = spine.caller.resource("GET", "device-1")?.header("traceparent", &parent);
    let get = get.header("consistency-token", token).header("prefer", "wait=5");
    let read = spine.caller.send(get).await?;
    ensure!(read.status == 200, "it answers {read}");
    Ok((written, read))
}

#[tokio::test]
async fn a_span_of_each_process_arrives_within_ten_seconds_of_its_start() -> Result<()> {
    let (world, sink) = (World::start("spans").await?, Sink::start(Conduct::Take).await?);
    let spine = traced_spine(&world, &sink).await?;
    travel(&spine, "00").await?;
    for service in ["command-api", "projector", "query-api"] {
        eventually_within(PROMPT, &format!("a span of {service} arrives"), async || {
            ensure!(sink.spans().iter().any(|span| span.service == service), "{:?}", sink.spans());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_trace_leads_from_the_post_to_the_visible_row_and_the_read_of_it() -> Result<()> {
    let (world, sink) = (World::start("one_trace").await?, Sink::start(Conduct::Take).await?);
    let spine = traced_spine(&world, &sink).await?;
    let (written, _) = travel(&spine, "00").await?;
    let topic = world.log()?.topic().to_owned();

    let whole = eventually_within(PROMPT, "the way of the event is known", async || {
        Way::find(&sink, &topic)
    });
    let Way { post, send, process, commit, get, wait } = whole.await?;
    println!("trace {TRACE}, from POST to visible row:");
    for span in [&post, &send, &process, &commit, &get, &wait] {
        println!("  {:<12} {:<40} {} {:?}", span.service, span.name, span.trace, span.links);
    }

    // As part of what the client did.
    ensure!((&*post.trace, &*post.parent) == (TRACE, CLIENT), "{post:?}");
    ensure!(post.kind == SpanKind::Server && post.attributes["http.route"] == "/api/v1/events");
    ensure!(post.attributes["http.response.status_code"] == "202", "{post:?}");
    ensure!((&*send.trace, &send.parent) == (TRACE, &post.span), "{send:?}");
    ensure!(send.kind == SpanKind::Producer, "{send:?}");
    // Over Kafka.
    let records = world.log()?.read().await?;
    let header = records[0].headers.iter().find(|(name, _)| name == "traceparent");
    let header = header.and_then(|(_, value)| value.clone()).context("no traceparent")?;
    let carried = String::from_utf8(header)?;
    ensure!(carried == format!("00-{TRACE}-{}-01", send.span), "the record carries {carried}");
    // Into the batch, where it is alone.
    ensure!(process.kind == SpanKind::Consumer, "{process:?}");
    ensure!((&*process.trace, &process.parent) == (TRACE, &send.span), "{process:?}");
    ensure!(process.links == [(TRACE.to_owned(), send.span.clone())], "{process:?}");
    ensure!((&commit.trace, &commit.parent) == (&process.trace, &process.span), "{commit:?}");
    // And to the reader.
    ensure!((&*get.trace, &*get.parent) == (TRACE, CLIENT), "{get:?}");
    ensure!((&*wait.trace, &wait.parent) == (TRACE, &get.span), "{wait:?}");

    let id = written.json()?["request_id"].as_str().context("no request id")?.to_owned();
    let line = line(&spine.projector, |line| {
        line["message"] == "Processed message" && line["event.id"] == id.as_str()
    })?;
    ensure!(line["trace_id"] == TRACE, "{line}");
    let line = line_of_request(&spine.command_api)?;
    ensure!(line["trace_id"] == TRACE && line["span_id"] == post.span.as_str(), "{line}");
    // What stands twice is one thing to some readers and another to others.
    let log = spine.command_api.log()?;
    let twice = log.lines().find(|line| line.matches("\"trace_id\":").count() > 1);
    ensure!(twice.is_none(), "a trace is told twice: {twice:?}");
    Ok(())
}

/// The steps of an event's way, of which there is one each.
struct Way {
    post: Seen,
    send: Seen,
    process: Seen,
    commit: Seen,
    get: Seen,
    wait: Seen,
}

impl Way {
    fn find(sink: &Sink, topic: &str) -> Result<Self> {
        let the = |service: &str, name: &str| {
            sink.the(name, |span| span.service == service && span.name == name)
        };
        the("projector", "announce to cache")?;
        the("query-api", "read cache")?;
        Ok(Self {
            post: the("command-api", "POST /api/v1/events")?,
            send: the("command-api", &format!("send {topic}"))?,
            process: the("projector", &format!("process {topic}"))?,
            commit: the("projector", "COMMIT")?,
            get: the("query-api", "GET /api/v1/resources/{id}")?,
            wait: the("query-api", "wait for position")?,
        })
    }
}

#[tokio::test]
async fn an_array_is_one_step_that_all_of_its_records_carry_on() -> Result<()> {
    let (world, sink) = (World::start("trace_array").await?, Sink::start(Conduct::Take).await?);
    let spine = traced_spine(&world, &sink).await?;
    let items: Vec<_> = (0..100).map(|n| event_body(&format!("device-{n}"), "{}")).collect();
    let written = spine.caller.send(spine.caller.post(format!("[{}]", items.join(",")))?).await?;
    ensure!(written.status == 202, "it answers {written}");
    world.level().await?;
    let topic = world.log()?.topic().to_owned();
    let send = eventually_within(PROMPT, "the array is traced", async || {
        sink.the("the array", |span| span.name == format!("send {topic}"))
    })
    .await?;
    ensure!(send.attributes["messaging.batch.message_count"] == "100", "{send:?}");
    let linked = eventually_within(PROMPT, "all records are traced", async || {
        let spans = sink.spans();
        let batches = spans.iter().filter(|span| span.kind == SpanKind::Consumer);
        let records = batches.clone().map(|span| &span.attributes["messaging.batch.message_count"]);
        let records: u32 = records.map(|count| count.parse().unwrap_or(0)).sum();
        ensure!(records == 100, "{records} records are in batches");
        Ok(batches.cloned().collect::<Vec<_>>())
    });
    for batch in linked.await? {
        ensure!((&batch.trace, &batch.parent) == (&send.trace, &send.span), "{batch:?}");
        ensure!(batch.links == [(send.trace.clone(), send.span.clone())], "{batch:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_s_own_trace_is_linked_to_by_the_step_that_appends_it() -> Result<()> {
    let (world, sink) = (World::start("trace_lineage").await?, Sink::start(Conduct::Take).await?);
    let spine = traced_spine(&world, &sink).await?;
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/gateway"),
        ("ce-type", "reading"),
        ("ce-subject", "device-1"),
        ("ce-traceparent", &format!("00-{TRACE}-{CLIENT}-01")),
    ];
    let post = spine.caller.post("{}")?;
    let post = attributes.into_iter().fold(post, |post, (name, value)| post.header(name, value));
    let written = spine.caller.send(post).await?;
    ensure!(written.status == 202, "it answers {written}");
    world.level().await?;
    let topic = world.log()?.topic().to_owned();
    let (send, process) = eventually_within(PROMPT, "its way is traced", async || {
        let the = |name: String| sink.the(&name, |span| span.name == name);
        Ok((the(format!("send {topic}"))?, the(format!("process {topic}"))?))
    })
    .await?;
    ensure!(send.links == [(TRACE.to_owned(), CLIENT.to_owned())], "{send:?}");
    ensure!(send.trace != TRACE, "a gateway's trace is none of the request's: {send:?}");
    ensure!((&process.trace, &process.parent) == (&send.trace, &send.span), "{process:?}");
    Ok(())
}

#[tokio::test]
async fn a_batch_in_which_many_traces_meet_links_to_each_and_is_part_of_none() -> Result<()> {
    const EVENTS: usize = 40;
    let (world, sink) = (World::start("trace_links").await?, Sink::start(Conduct::Take).await?);
    let command_api = traced(world.command_api()?, &sink).start().await?;
    let query_api = world.query_api()?.start().await?;
    command_api.ready().await?;
    let caller = Caller::new(&command_api, &query_api, &world.token().sign()?)?;
    for n in 0..EVENTS {
        let answer = caller.report("device-1", &n.to_string()).await?;
        ensure!(answer.status == 202, "it answers {answer}");
    }
    // What has piled up is folded together.
    let projector = traced(world.projector()?, &sink).start().await?;
    projector.ready().await?;
    world.level().await?;
    let all = eventually_within(PROMPT, "each record is linked to", async || {
        let spans = sink.spans();
        let of = |kind| spans.iter().filter(move |span| span.kind == kind).cloned();
        let (sends, batches): (Vec<_>, Vec<_>) =
            (of(SpanKind::Producer).collect(), of(SpanKind::Consumer).collect());
        let links: BTreeSet<_> = batches.iter().flat_map(|batch| &batch.links).cloned().collect();
        let sent: BTreeSet<_> = sends.into_iter().map(|send| (send.trace, send.span)).collect();
        ensure!(sent.len() == EVENTS && links == sent, "{} of {}", links.len(), sent.len());
        Ok((sent, batches))
    });
    let (sent, batches) = all.await?;
    let many: Vec<_> = batches.iter().filter(|batch| batch.links.len() > 1).collect();
    ensure!(!many.is_empty(), "no two records met in {} batches", batches.len());
    for batch in many {
        ensure!(batch.parent.is_empty(), "{batch:?}");
        ensure!(sent.iter().all(|(trace, _)| *trace != batch.trace), "{batch:?}");
    }
    Ok(())
}

#[tokio::test]
async fn where_nothing_is_traced_records_carry_the_request_s_own_trace() -> Result<()> {
    let world = World::start("untraced").await?;
    let spine = Spine::start(&world).await?;
    // A stranger's wish to be recorded is nothing that the log should keep.
    travel(&spine, "01").await?;
    let records = world.log()?.read().await?;
    let header = records[0].headers.iter().find(|(name, _)| name == "traceparent");
    let header = header.and_then(|(_, value)| value.clone()).context("no traceparent")?;
    let carried = String::from_utf8(header)?;
    ensure!(carried.starts_with(&format!("00-{TRACE}-")) && carried.ends_with("-00"), "{carried}");
    ensure!(!carried.contains(CLIENT), "{carried}");
    let log = spine.projector.log()?;
    ensure!(log.contains("Processed message") && !log.contains("trace_id"), "{log}");
    Ok(())
}

#[tokio::test]
async fn hits_and_misses_of_the_cache_are_counted() -> Result<()> {
    let world = World::start("cache_rates").await?;
    let spine = Spine::start(&world).await?;
    let counted = async |outcome: &str| {
        let series =
            format!("query_api_cache_total{{read_model=\"resource\",outcome=\"{outcome}\"}}");
        spine.query_api.metric(&series).await
    };
    let written = spine.caller.report("device-1", "1").await?;
    spine.caller.read_after(&written, "device-1").await?;
    let missed = counted("miss").await? + counted("bypass").await? + counted("stale").await?;
    ensure!(missed == 1.0 && counted("hit").await? == 0.0, "{missed} misses after the first read");
    eventually_within(PROMPT, "a read is a hit, and counted", async || {
        let read = spine.caller.read("device-1").await?;
        let status = read.header("cache-status").context("no Cache-Status")?;
        ensure!(status == "millrace; hit", "it answers {status}");
        Ok(())
    })
    .await?;
    ensure!(counted("hit").await? == 1.0, "{} hits", counted("hit").await?);
    Ok(())
}

/// The lines of a process's log.
fn lines(process: &Running) -> Result<Vec<Value>> {
    let log = process.log()?;
    log.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn line(process: &Running, is_meant: impl Fn(&Value) -> bool) -> Result<Value> {
    let found = lines(process)?.into_iter().find(is_meant);
    found.with_context(|| format!("there is no such line in {}", process.log().unwrap_or_default()))
}

fn line_of_request(process: &Running) -> Result<Value> {
    line(process, |line| {
        line["message"] == "request served" && line["http.route"] == "/api/v1/events"
    })
}
