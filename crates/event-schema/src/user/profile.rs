//! Changes of profiles between the domain and the log: which fields changed is a list, so that a
//! cleared field can be told from one that stays as it was.

use domain::user::{ProfileChange, field};

use super::EncodeError;
use super::record::{ProfileField, ProfileUpdated, SealedBytes};
use super::sealed::SealedFields;
use crate::decided::Record;
use crate::decode::DecodeError;
use crate::personal::Sealed;

type Body = <ProfileUpdated as Record>::Body;

pub(super) fn write(
    fields: SealedFields,
    change: &ProfileChange<Sealed>,
) -> Result<Body, EncodeError> {
    let ProfileChange { full_name, bio, image } = change;
    let changed = [
        (ProfileField::FullName, full_name.is_some()),
        (ProfileField::Bio, bio.is_some()),
        (ProfileField::Image, image.is_some()),
    ];
    let bytes = |name, told: &Option<Option<Sealed>>| {
        fields.write_optional(name, told.as_ref().and_then(Option::as_ref))
    };
    Ok((
        changed.into_iter().filter_map(|(which, changes)| changes.then_some(which)).collect(),
        bytes(field::FULL_NAME, full_name)?,
        bytes(field::BIO, bio)?,
        bytes(field::IMAGE, image)?,
    ))
}

pub(super) fn read(
    fields: SealedFields,
    (changed, full_name, bio, image): Body,
) -> Result<ProfileChange<Sealed>, DecodeError> {
    let malformed = || DecodeError::Malformed { what: "changed" };
    let is_repeated = |which: &ProfileField| changed.iter().filter(|one| *one == which).count() > 1;
    if changed.contains(&ProfileField::Other) || changed.iter().any(is_repeated) {
        return Err(malformed());
    }
    let told = |which, name, bytes: SealedBytes| match (changed.contains(&which), bytes) {
        (true, bytes) => Ok(Some(fields.read_optional(name, bytes))),
        (false, None) => Ok(None),
        (false, Some(_)) => Err(malformed()),
    };
    Ok(ProfileChange {
        full_name: told(ProfileField::FullName, field::FULL_NAME, full_name)?,
        bio: told(ProfileField::Bio, field::BIO, bio)?,
        image: told(ProfileField::Image, field::IMAGE, image)?,
    })
}
