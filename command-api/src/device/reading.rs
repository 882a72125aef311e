//! From a body to the events that its caller may append, form by form.

use domain::device::DeviceId;
use problem_details::{Problem, ProblemType};

use super::append::{Asked, NewEvent};
use super::cloud_event::{CloudEvent, Lineage};
use super::form::Form;
use super::request::{Report, ReportLimits};
use crate::idempotency_key::{IDEMPOTENCY_KEY, IdempotencyKey};

/// Events to append, and what is wrong with the others, in the order of the request.
pub(super) type Many = Vec<Result<NewEvent, Problem>>;

impl Asked<'_> {
    /// The event of a report.
    pub(super) fn report(self, body: &[u8], limits: &ReportLimits) -> Result<NewEvent, Problem> {
        let report = Report::read(body, limits, self.now)?;
        self.may_report(&report.device_id)?;
        let key = IdempotencyKey::from_headers(self.headers)?;
        let id = key.as_ref().map(|key| self.id_by_key(key, 0));
        Ok(NewEvent::of(report, id, Lineage::default()))
    }

    /// The events of an array of reports. A key names each together with its place.
    pub(super) fn reports(self, body: &[u8], limits: &ReportLimits) -> Result<Many, Problem> {
        let reports = Report::read_array(body, limits, self.now)?;
        let key = IdempotencyKey::from_headers(self.headers)?;
        let mut devices = Devices { asked: self, forbidden: None };
        let event = |(report, item): (Result<Report<'_>, Problem>, u32)| {
            let report = report?;
            devices.may_report(&report.device_id)?;
            let id = key.as_ref().map(|key| self.id_by_key(key, item));
            Ok(NewEvent::of(report, id, Lineage::default()))
        };
        Ok(reports.into_iter().zip(0..).map(event).collect())
    }

    /// The event that a CloudEvent is, in structured or binary mode.
    pub(super) fn cloud_event(
        self,
        form: Form,
        body: &[u8],
        limits: &ReportLimits,
    ) -> Result<NewEvent, Problem> {
        self.must_have_no_key()?;
        let event = match form {
            Form::Binary => CloudEvent::read_binary(self.headers, body, limits, self.now)?,
            _ => CloudEvent::read_structured(body, limits, self.now)?,
        };
        self.may_report(&event.report.device_id)?;
        Ok(self.named_by_itself(event))
    }

    /// The events of a batch of CloudEvents.
    pub(super) fn cloud_events(self, body: &[u8], limits: &ReportLimits) -> Result<Many, Problem> {
        self.must_have_no_key()?;
        let events = CloudEvent::read_batch(body, limits, self.now)?;
        let mut devices = Devices { asked: self, forbidden: None };
        let event = |event: Result<CloudEvent<'_>, Problem>| {
            let event = event?;
            devices.may_report(&event.report.device_id)?;
            Ok(self.named_by_itself(event))
        };
        Ok(events.into_iter().map(event).collect())
    }

    fn named_by_itself(self, event: CloudEvent<'_>) -> NewEvent {
        let CloudEvent { report, source, id, lineage } = event;
        NewEvent::of(report, Some(self.id_by_event(&source, &id)), lineage)
    }

    fn must_have_no_key(self) -> Result<(), Problem> {
        if self.headers.contains_key(IDEMPOTENCY_KEY) {
            let detail =
                "a CloudEvent is named by its source and id; send it without `Idempotency-Key`";
            return Err(Problem::new(ProblemType::InvalidHeader, detail));
        }
        Ok(())
    }
}

/// The devices that a request reports of: that its caller may not is told once to operators, and to
/// the caller for each event.
struct Devices<'a> {
    asked: Asked<'a>,
    forbidden: Option<Problem>,
}

impl Devices<'_> {
    fn may_report(&mut self, device_id: &DeviceId) -> Result<(), Problem> {
        let Err(error) = self.asked.caller.must_own_device(device_id) else { return Ok(()) };
        let refuse = || error.refuse(self.asked.caller);
        Err(self.forbidden.get_or_insert_with(refuse).clone())
    }
}
