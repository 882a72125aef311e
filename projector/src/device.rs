//! Device events as the runner sees them.

use domain::device::{BodyHash, DeviceEvent};
use uuid::Uuid;

use crate::runner::Event;

impl Event for DeviceEvent {
    fn stream_id(&self) -> &str {
        let Self::Reported(event) = self;
        event.device_id.as_str()
    }

    fn event_id(&self) -> Uuid {
        let Self::Reported(event) = self;
        event.request_id
    }

    fn client_named(&self) -> Option<BodyHash> {
        let Self::Reported(event) = self;
        event.body_hash
    }
}
