//! Appending events to the log, and what is said of those that are not in it.

use std::time::Instant;

use access::Caller;
use domain::Timestamp;
use domain::device::{DeviceEventReported, DeviceId};
use event_schema::device::{WRITTEN, encode};
use event_schema::header::{Headers, SOURCE_COMMAND_API};
use event_schema::schema::Family;
use http::HeaderMap;
use kafka_io::producer::{Delivered, LostOutcome, Refusal, SendError};
use lifecycle::http::{RequestContext, TRACE_PARENT, TraceParent};
use problem_details::{FieldError, Problem, ProblemType};
use telemetry::trace;
use tracing::Span;
use uuid::Uuid;

use super::cloud_event::Lineage;
use super::fields::Place;
use super::identity::{ClientId, Identity, Named, Reported};
use super::request::Report;
use super::{RETRY_AFTER, Shared};
use crate::deployment::DeployedFamily;
use crate::idempotency_key::IdempotencyKey;
use crate::log::{Log, NewRecord};

/// What the events of a request have in common.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) caller: &'a Caller,
    pub(super) context: &'a RequestContext,
    pub(super) now: Timestamp,
}

/// An event that is to be appended.
pub(super) struct NewEvent {
    event: DeviceEventReported,
    named: Named,
    lineage: Lineage,
}

/// What an answer needs to know of an event.
#[derive(Clone, Copy)]
pub(super) struct EventRef {
    pub(super) request_id: Uuid,
    named: Named,
    place: Place,
}

/// An event that was handed to the log.
pub(super) struct Queued<F> {
    pub(super) event: EventRef,
    began: Instant,
    outcome: F,
}

/// Why an event was not handed to the log.
#[derive(Clone, Copy)]
pub(super) enum NotQueued {
    NotEncoded,
    Refused(Refusal),
}

impl<'a> Asked<'a> {
    /// Refuses a report about another device than the caller's.
    pub(super) fn may_report(&self, device_id: &DeviceId) -> Result<(), Problem> {
        self.caller.must_own_device(device_id).map_err(|error| error.refuse(self.caller))
    }

    /// What an `Idempotency-Key` names the item by.
    pub(super) fn id_by_key(&self, key: &'a IdempotencyKey, item: u32) -> ClientId<'a> {
        self.client_id("", key.as_str(), item)
    }

    /// What a CloudEvent's `source` and `id` name it by, wherever it stands.
    pub(super) fn id_by_event(&self, source: &'a str, id: &'a str) -> ClientId<'a> {
        self.client_id(source, id, 0)
    }

    fn client_id(&self, source: &'a str, key: &'a str, item: u32) -> ClientId<'a> {
        let (issuer, subject) = (self.caller.issuer.as_str(), self.caller.subject.as_str());
        ClientId { issuer, subject, source, key, item }
    }
}

impl NewEvent {
    /// The event that a report is.
    pub(super) fn of(report: Report<'_>, id: Option<ClientId<'_>>, lineage: Lineage) -> Self {
        let Report { device_id, occurred_at, payload } = report;
        let (identity, named) = match id {
            None => (Identity::new(), Named::Nobody),
            Some(id) => {
                let occurred_at = occurred_at.as_ref().map(|(_, text)| &**text);
                let reported = Reported { device_id: &device_id, occurred_at, payload: &payload };
                (Identity::of_client(id, reported), id.named())
            }
        };
        let event = DeviceEventReported {
            device_id,
            request_id: identity.request_id,
            dedupe: identity.dedupe,
            body_hash: identity.body_hash,
            occurred_at: occurred_at.map(|(time, _)| time),
            payload: payload.into_owned(),
        };
        Self { event, named, lineage }
    }

    /// What an answer needs to know of it, which stands there in the request.
    pub(super) fn reference(&self, place: Place) -> EventRef {
        EventRef { request_id: self.event.request_id, named: self.named, place }
    }

    /// The trace that its record carries on: that of `sending` where it is recorded, with a link to the
    /// event's own. Else the request's, or where the request has none of its own, the event's; whether
    /// its steps are recorded is for us to say, and not for strangers.
    fn trace(&self, asked: Asked<'_>, sending: &Span) -> TraceParent {
        let own = self.lineage.trace.filter(|_| !asked.headers.contains_key(TRACE_PARENT));
        if let Some(sending_trace) = trace::parent(sending) {
            if let Some(own) = own {
                trace::link(sending, &own);
            }
            return sending_trace;
        }
        TraceParent { is_sampled: false, ..own.unwrap_or(asked.context.trace) }
    }
}

impl<L: Log> Shared<L> {
    /// What was deployed.
    ///
    /// # Errors
    /// It is not known yet, and nothing can be written.
    pub(super) fn deployed(&self) -> Result<&DeployedFamily, Problem> {
        self.reporting.known.get().map(|deployed| deployed.of_family(Family::Device)).ok_or_else(
            || {
                self.outcomes.not_ready();
                let detail = "the service has not finished its start; nothing was written";
                Problem::new(ProblemType::NotReady, detail).with_retry_after(RETRY_AFTER)
            },
        )
    }

    /// Hands an event to the log. What is handed over first stands there first, in one stream. `sending`
    /// is the step of the request that does so, where it is traced.
    pub(super) fn queue(
        &self,
        deployed: &DeployedFamily,
        new: &NewEvent,
        place: Place,
        asked: Asked<'_>,
        sending: &Span,
    ) -> Result<
        Queued<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<L>>,
        NotQueued,
    > {
        let NewEvent { event, lineage, .. } = new;
        let schema_id = deployed.schema_id(WRITTEN).ok_or(NotQueued::NotEncoded)?;
        let value = encode(event, schema_id).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "event not encoded");
            NotQueued::NotEncoded
        })?;
        let traceparent = new.trace(asked, sending).to_string();
        let correlation_id = lineage.correlation_id.as_ref().unwrap_or(&asked.context.request_id);
        let headers = Headers {
            id: event.request_id,
            source: SOURCE_COMMAND_API,
            event_type: WRITTEN.event_type(),
            stream_id: event.device_id.as_str(),
            time: Some(event.occurred_at.unwrap_or(asked.now)),
            stream_version: None,
            previous_id: None,
            correlation_id: Some(correlation_id.as_str()),
            causation_id: None,
            actor: Some(&asked.caller.actor),
            traceparent: Some(&traceparent),
        };
        let (topic, stream_id) = (deployed.topic.as_str(), event.device_id.as_str());
        let record = NewRecord { topic, stream_id, value: &value, headers };
        let began = Instant::now();
        let outcome = self.reporting.log.append(record).map_err(NotQueued::Refused)?;
        Ok(Queued { event: new.reference(place), began, outcome })
    }

    /// Waits until an event is in the log.
    ///
    /// # Errors
    /// Nobody knows whether it is.
    pub(super) async fn settled<F>(&self, queued: Queued<F>) -> Result<Delivered, Problem>
    where
        F: Future<Output = Result<Delivered, LostOutcome>>,
    {
        let Queued { event, began, outcome } = queued;
        match outcome.await {
            Ok(delivered) => {
                self.outcomes.accepted(event.request_id, began.elapsed());
                Ok(delivered)
            }
            Err(lost) => {
                self.outcomes.not_appended(event.request_id, &SendError::Unknown(lost));
                Err(event.unknown())
            }
        }
    }

    /// Counts an event that was not handed to the log, and says why.
    pub(super) fn not_queued(&self, event: EventRef, why: NotQueued) -> Problem {
        match why {
            NotQueued::NotEncoded => {
                Problem::new(ProblemType::InternalError, "the event could not be written")
            }
            NotQueued::Refused(refusal) => {
                self.outcomes.not_appended(event.request_id, &SendError::Refused(refusal));
                event.refused(refusal)
            }
        }
    }
}

impl NotQueued {
    /// True where the log takes nothing now, whatever it is.
    pub(super) fn is_of_the_log(self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal != Refusal::TooLarge)
    }
}

impl EventRef {
    fn refused(self, refusal: Refusal) -> Problem {
        if refusal == Refusal::TooLarge {
            let detail = "the event is larger than the log takes; nothing was written";
            let error = FieldError {
                pointer: self.place.pointer(self.named.payload()),
                rule: "max-record-bytes",
                limit: None,
                detail: "must fit a record of the log".to_owned(),
            };
            return Problem::new(ProblemType::ContentTooLarge, detail).with_errors(vec![error]);
        }
        let detail = "the log takes no events now and nothing was written; send it again";
        Problem::new(ProblemType::BrokerUnavailable, detail).with_retry_after(RETRY_AFTER)
    }

    fn unknown(self) -> Problem {
        let detail = match self.named {
            Named::Key => {
                "the event may be in the log; send it again with the same Idempotency-Key and it takes effect once"
            }
            Named::Event => {
                "the event may be in the log; send it again with the same source and id and it takes effect once"
            }
            Named::Nobody => {
                "the event may be in the log; without an Idempotency-Key, sending it again may record it twice"
            }
        };
        Problem::new(ProblemType::UnknownOutcome, detail)
            .with_request_id(self.request_id)
            .with_retry_after(RETRY_AFTER)
    }
}

impl Named {
    /// Where the payload stands in an event that is named so.
    fn payload(self) -> &'static str {
        match self {
            Self::Nobody | Self::Key => "/payload",
            Self::Event => "/data",
        }
    }
}
