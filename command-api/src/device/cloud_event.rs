//! A device's event as a CloudEvent 1.0 in any mode of HTTP, read and checked: pure.
//!
//! Problems point into the event as JSON writes it, in binary mode too: there `/subject` is the
//! header `ce-subject` and `/data` the body.

mod data;
mod header_value;

use std::borrow::Cow;

use domain::Timestamp;
use domain::json_text::{self, Kind, Limits, Member};
use http::{HeaderMap, HeaderValue};
use lifecycle::http::{RequestId, TraceParent};
use problem_details::{MediaType, Problem};

use super::fields::{self, Broken, Faults, fault_problem, read_items};
use super::request::{Report, ReportLimits};
use data::Data;

/// A CloudEvent that keeps all rules, as far as it means something here.
#[derive(Debug)]
pub(crate) struct CloudEvent<'a> {
    pub(crate) report: Report<'a>,
    pub(crate) source: Cow<'a, str>,
    /// Names the event together with `source`.
    pub(crate) id: Cow<'a, str>,
    pub(crate) lineage: Lineage,
}

/// What an event belongs to by its own account.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// The extension `correlationid`.
    pub(crate) correlation_id: Option<RequestId>,
    /// The extension `traceparent`.
    pub(crate) trace: Option<TraceParent>,
}

/// An attribute's text, or what is wrong with how it is written; `None` where it is unset.
type Attribute<'a> = Option<Result<Cow<'a, str>, Broken>>;

/// The attributes that mean something here. Others are passed over.
#[derive(Debug, Default)]
struct Attributes<'a> {
    specversion: Attribute<'a>,
    id: Attribute<'a>,
    source: Attribute<'a>,
    r#type: Attribute<'a>,
    subject: Attribute<'a>,
    time: Attribute<'a>,
    datacontenttype: Attribute<'a>,
    correlationid: Attribute<'a>,
    traceparent: Attribute<'a>,
}

impl<'a> CloudEvent<'a> {
    /// Reads one in structured mode.
    ///
    /// # Errors
    /// A problem that names what is wrong with it.
    pub(super) fn read_structured(
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let members = json_text::members(fields::text(body)?, &envelope(limits));
        let faults = Faults::of_body();
        Self::of_members(&members.map_err(fault_problem)?, faults, limits, now)
    }

    /// Reads several in batched mode, each on its own; there may be none.
    ///
    /// # Errors
    /// A problem of the whole: it is no JSON, no array, or too long a one.
    pub(super) fn read_batch(
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Vec<Result<Self, Problem>>, Problem> {
        let text = fields::text(body)?;
        read_items(text, &envelope(limits), limits.items, |members, faults| {
            Self::of_members(&members, faults, limits, now)
        })
    }

    /// Reads one in binary mode. `Content-Type` is known to be absent or JSON.
    ///
    /// # Errors
    /// A problem that names what is wrong with it.
    pub(super) fn read_binary(
        headers: &HeaderMap,
        body: &'a [u8],
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let mut attributes = Attributes::default();
        for (name, value) in headers {
            let name = name.as_str().strip_prefix("ce-");
            // The content type is that of HTTP.
            let name = name.filter(|name| *name != "datacontenttype");
            let Some(attribute) = name.and_then(|name| attributes.by_name(name)) else { continue };
            *attribute = Some(match attribute {
                None => header_value::decoded(value).map(Cow::Owned),
                Some(_) => Err(Broken::new("unique-names", "must not stand twice")),
            });
        }
        let data = Data::of_body(body, limits)?;
        attributes.event(data, Faults::of_body(), limits, now)
    }

    fn of_members(
        members: &[Member<'a>],
        mut faults: Faults,
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let (mut attributes, mut data) = (Attributes::default(), Data::Absent);
        for Member { name, value } in members {
            match &**name {
                // An attribute that is null is unset; data that is null is a value.
                other if value.kind == Kind::Null && other != "data" => {}
                "data" | "data_base64" if !matches!(data, Data::Absent) => {
                    let broken =
                        Broken::new("one-data", "must not stand beside the other form of the data");
                    faults.note(&json_text::pointer_to([&**name]), broken);
                }
                "data" => data = Data::of_json(value, limits, faults.place())?,
                "data_base64" => data = Data::of_base64(value, limits, &mut faults)?,
                name => {
                    if let Some(attribute) = attributes.by_name(name) {
                        *attribute = Some(fields::string(value));
                    }
                }
            }
        }
        attributes.event(data, faults, limits, now)
    }
}

impl<'a> Attributes<'a> {
    fn by_name(&mut self, name: &str) -> Option<&mut Attribute<'a>> {
        Some(match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.r#type,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.datacontenttype,
            "correlationid" => &mut self.correlationid,
            "traceparent" => &mut self.traceparent,
            _ => return None,
        })
    }

    /// The event that they are of, with its data.
    fn event(
        self,
        data: Data<'a>,
        mut faults: Faults,
        limits: &ReportLimits,
        now: Timestamp,
    ) -> Result<CloudEvent<'a>, Problem> {
        let version = required(self.specversion).and_then(must_be_version_1);
        faults.unless("/specversion", version);
        let id = faults.unless("/id", required(self.id));
        let source = faults.unless("/source", required(self.source));
        faults.unless("/type", required(self.r#type));
        let device_id = required(self.subject).and_then(|text| fields::device_id(text, limits));
        let device_id = faults.unless("/subject", device_id);
        let time = self.time.map(|text| {
            let text = text?;
            Ok((fields::occurred_at(&text, limits, now)?, text))
        });
        let occurred_at = faults.unless("/time", time.transpose()).flatten();
        let media_type = self.datacontenttype.transpose().and_then(must_be_json);
        faults.unless("/datacontenttype", media_type);
        if matches!(data, Data::Absent) {
            faults.note("/data", Broken::required());
        }
        match (device_id, source, id, data) {
            (Some(device_id), Some(source), Some(id), Data::Payload(payload))
                if faults.is_empty() =>
            {
                let report = Report { device_id, occurred_at, payload };
                let lineage = Lineage {
                    correlation_id: extension(self.correlationid, RequestId::parse),
                    trace: extension(self.traceparent, TraceParent::parse),
                };
                Ok(CloudEvent { report, source, id, lineage })
            }
            _ => Err(faults.refuse()),
        }
    }
}

fn required(attribute: Attribute<'_>) -> Result<Cow<'_, str>, Broken> {
    let text = attribute.unwrap_or_else(|| Err(Broken::required()))?;
    if text.is_empty() { Err(Broken::empty()) } else { Ok(text) }
}

fn must_be_version_1(version: Cow<'_, str>) -> Result<(), Broken> {
    let broken = || Broken::new("spec-version", "must be 1.0");
    if version == "1.0" { Ok(()) } else { Err(broken()) }
}

fn must_be_json(media_type: Option<Cow<'_, str>>) -> Result<(), Broken> {
    let is_other = media_type.is_some_and(|text| !MediaType::from(&*text).is_json());
    let broken =
        || Broken::new("media-type", "must be a media type of JSON, such as application/json");
    if is_other { Err(broken()) } else { Ok(()) }
}

/// An extension as a header of HTTP would be read; one that cannot be is passed over, as there.
fn extension<T>(attribute: Attribute<'_>, parse: impl Fn(&HeaderValue) -> Option<T>) -> Option<T> {
    parse(&HeaderValue::from_str(&attribute?.ok()?).ok()?)
}

/// The limits of what a payload is written in, but for its length: data in base64 is longer.
fn envelope(limits: &ReportLimits) -> Limits {
    Limits { bytes: usize::MAX, ..limits.payload }
}
