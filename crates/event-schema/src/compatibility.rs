//! Whether two versions of a schema can read each other, and whether a schema may be released at
//! all: the gate of the registry, `FULL_TRANSITIVE`, kept without a registry, and our own rules
//! where the registry is too kind.

mod model;

use std::collections::BTreeSet;

use model::{Field, Type};

/// A schema's text that is not Avro.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {place}: {what}")]
pub struct SchemaTextError {
    /// Where, as names joined by dots.
    pub place: String,
    /// What is wrong.
    pub what: &'static str,
}

/// Why two versions cannot read each other, or why one must not be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as names joined by dots.
    pub place: String,
    /// What is wrong, and what to do instead.
    pub what: &'static str,
}

/// What keeps two versions from reading each other's records, in both directions. None means that
/// they are fully compatible; every pair of a record's versions must be.
pub fn differences(one: &str, other: &str) -> Result<Vec<Fault>, SchemaTextError> {
    let (one, other) = (model::parse(one)?, model::parse(other)?);
    let mut faults = Faults::default();
    faults.compare("", &one, &other);
    Ok(faults.0)
}

/// What keeps a schema from being released, whatever came before it: rules that leave every later
/// version a way to be compatible.
pub fn lints(text: &str) -> Result<Vec<Fault>, SchemaTextError> {
    let mut faults = Faults::default();
    faults.lint("", &model::parse(text)?);
    Ok(faults.0)
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, place: &str, what: &'static str) {
        self.0.push(Fault { place: place.to_owned(), what });
    }

    fn compare(&mut self, place: &str, one: &Type, other: &Type) {
        match (one, other) {
            (
                Type::Primitive { name: a, logical: la },
                Type::Primitive { name: b, logical: lb },
            ) => {
                if a != b {
                    let bytes = |name: &str| matches!(name, "string" | "bytes");
                    let what = if bytes(a) && bytes(b) {
                        "string and bytes are exchanged: readers take one for the other"
                    } else {
                        "the type changed: add a field instead"
                    };
                    self.add(place, what);
                } else if la.is_some() && lb.is_some() && la != lb {
                    self.add(
                        place,
                        "the logical type changed: the same number means another value",
                    );
                }
            }
            (Type::Union(a), Type::Union(b)) => self.compare_unions(place, a, b),
            (Type::Record { name: a, fields: fa }, Type::Record { name: b, fields: fb }) => {
                self.compare_names(place, a, b);
                self.compare_fields(place, fa, fb);
            }
            (
                Type::Enum { name: a, symbols: sa, has_default: da },
                Type::Enum { name: b, symbols: sb, has_default: db },
            ) => {
                self.compare_names(place, a, b);
                if sa != sb && !(*da && *db) {
                    self.add(place, "symbols changed without a default in both versions");
                }
            }
            (Type::Fixed { name: a, size: sa }, Type::Fixed { name: b, size: sb }) => {
                self.compare_names(place, a, b);
                if sa != sb {
                    self.add(place, "the size changed");
                }
            }
            (Type::Array(a), Type::Array(b)) | (Type::Map(a), Type::Map(b)) => {
                self.compare(&join(place, "items"), a, b);
            }
            (Type::Named { name: a, .. }, Type::Named { name: b, .. }) => {
                self.compare_names(place, a, b);
            }
            _ => self.add(place, "the type changed: add a field instead"),
        }
    }

    fn compare_names(&mut self, place: &str, one: &str, other: &str) {
        if one != other {
            self.add(place, "the name changed: a new name is a new record");
        }
    }

    fn compare_fields(&mut self, place: &str, one: &[Field], other: &[Field]) {
        for field in one {
            match other.iter().find(|candidate| candidate.name == field.name) {
                Some(same) => self.compare(&join(place, &field.name), &field.ty, &same.ty),
                None => self.absent(place, field),
            }
        }
        for field in other {
            if one.iter().all(|candidate| candidate.name != field.name) {
                self.absent(place, field);
            }
        }
    }

    fn absent(&mut self, place: &str, field: &Field) {
        if field.default.is_none() {
            self.add(
                &join(place, &field.name),
                "a field without a default is in one version only: readers of it cannot read the other",
            );
        }
    }

    fn compare_unions(&mut self, place: &str, one: &[Type], other: &[Type]) {
        if kinds(one) != kinds(other) {
            self.add(place, "the branches of the union changed: add a field instead");
            return;
        }
        for branch in one {
            if let Some(same) = other.iter().find(|candidate| candidate.kind() == branch.kind()) {
                self.compare(place, branch, same);
            }
        }
    }

    fn lint(&mut self, place: &str, ty: &Type) {
        match ty {
            Type::Primitive { logical, .. } if logical.as_deref() == Some("uuid") => {
                self.add(place, "a uuid is written as a string without logical type");
            }
            Type::Enum { has_default: false, .. } => {
                self.add(place, "an enum needs a default, or no symbol can ever be added");
            }
            Type::Named { recursive: true, .. } => {
                self.add(place, "the schema is recursive: a value could be nested without end");
            }
            Type::Primitive { .. }
            | Type::Enum { .. }
            | Type::Fixed { .. }
            | Type::Named { .. } => {}
            Type::Array(items) | Type::Map(items) => self.lint(&join(place, "items"), items),
            Type::Union(branches) => branches.iter().for_each(|branch| self.lint(place, branch)),
            Type::Record { fields, .. } => {
                for field in fields {
                    self.lint_field(&join(place, &field.name), field);
                }
            }
        }
    }

    fn lint_field(&mut self, place: &str, field: &Field) {
        if let Type::Union(branches) = &field.ty {
            let null_first = branches.first().is_some_and(|branch| branch.kind() == "null");
            let null_default = field.default.as_ref().is_some_and(serde_json::Value::is_null);
            if branches.len() != 2 || !null_first || !null_default {
                self.add(place, "a union is [\"null\", T] with the default null, and nothing else");
            }
        }
        self.lint(place, &field.ty);
    }
}

fn kinds(branches: &[Type]) -> BTreeSet<&str> {
    branches.iter().map(Type::kind).collect()
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

#[cfg(test)]
mod tests;
