//! Sealed fields between the domain and the log: the record holds the bytes, and what they belong
//! to is told by where they stand.

use uuid::Uuid;

use super::EncodeError;
use super::record::SealedBytes;
use crate::decode::DecodeError;
use crate::personal::Sealed;

/// The sealed fields of one event.
#[derive(Clone, Copy)]
pub(super) struct SealedFields {
    pub(super) event_id: Uuid,
}

impl SealedFields {
    pub(super) fn write(
        self,
        field: &'static str,
        sealed: &Sealed,
    ) -> Result<SealedBytes, EncodeError> {
        if sealed.event_id == self.event_id && sealed.field == field {
            Ok(Some(sealed.bytes.clone()))
        } else {
            Err(EncodeError::Misplaced { field })
        }
    }

    pub(super) fn write_optional(
        self,
        field: &'static str,
        sealed: Option<&Sealed>,
    ) -> Result<SealedBytes, EncodeError> {
        sealed.map_or(Ok(None), |sealed| self.write(field, sealed))
    }

    pub(super) fn read(
        self,
        field: &'static str,
        bytes: SealedBytes,
    ) -> Result<Sealed, DecodeError> {
        self.read_optional(field, bytes).ok_or(DecodeError::Malformed { what: field })
    }

    pub(super) fn read_optional(self, field: &'static str, bytes: SealedBytes) -> Option<Sealed> {
        bytes.map(|bytes| Sealed { event_id: self.event_id, field, bytes })
    }
}
