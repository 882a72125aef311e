//! An Avro schema as plain data: as much of it as the rules look at.

use serde_json::{Map, Value};

use super::{SchemaTextError, join};

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// One of Avro's eight.
    Primitive {
        name: &'static str,
        logical: Option<String>,
    },
    Union(Vec<Type>),
    Record {
        name: String,
        fields: Vec<Field>,
    },
    Enum {
        name: String,
        /// In the order of the alphabet: the numbers on the wire are resolved by name.
        symbols: Vec<String>,
        has_default: bool,
    },
    Fixed {
        name: String,
        size: u64,
    },
    Array(Box<Type>),
    Map(Box<Type>),
    /// A type that was named before.
    Named {
        name: String,
        /// Whether it stands inside itself.
        recursive: bool,
    },
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) default: Option<Value>,
}

const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

impl Type {
    /// What a branch of a union is told apart by.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Primitive { name, .. } => name,
            Self::Union(_) => "union",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Record { name, .. }
            | Self::Enum { name, .. }
            | Self::Fixed { name, .. }
            | Self::Named { name, .. } => name,
        }
    }
}

/// Reads a schema's text.
pub(super) fn parse(text: &str) -> Result<Type, SchemaTextError> {
    let value: Value = serde_json::from_str(text).map_err(|_| fault("", "the text is not JSON"))?;
    Parser::default().ty("", "", &value)
}

/// The names met so far, and those of the records around the place.
#[derive(Default)]
struct Parser {
    named: Vec<String>,
    around: Vec<String>,
}

impl Parser {
    fn ty(&mut self, place: &str, space: &str, value: &Value) -> Result<Type, SchemaTextError> {
        match value {
            Value::String(name) => self.by_name(place, space, name, None),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.ty(place, space, branch));
                Ok(Type::Union(branches.collect::<Result<_, _>>()?))
            }
            Value::Object(object) => self.object(place, space, object),
            _ => Err(fault(place, "a type is a name, a list or an object")),
        }
    }

    fn by_name(
        &self,
        place: &str,
        space: &str,
        name: &str,
        logical: Option<&str>,
    ) -> Result<Type, SchemaTextError> {
        if let Some(name) = PRIMITIVES.iter().copied().find(|primitive| *primitive == name) {
            return Ok(Type::Primitive { name, logical: logical.map(str::to_owned) });
        }
        let name = full_name(space, name);
        if !self.named.contains(&name) {
            return Err(fault(place, "a type is named that was not defined before"));
        }
        let recursive = self.around.contains(&name);
        Ok(Type::Named { name, recursive })
    }

    fn object(
        &mut self,
        place: &str,
        space: &str,
        object: &Map<String, Value>,
    ) -> Result<Type, SchemaTextError> {
        let text = |member: &str| object.get(member).and_then(Value::as_str);
        let inner = |member| object.get(member).ok_or(fault(place, "a type lacks its items"));
        match object.get("type") {
            Some(Value::String(kind)) => match kind.as_str() {
                "array" => {
                    let items = self.ty(&join(place, "items"), space, inner("items")?)?;
                    Ok(Type::Array(Box::new(items)))
                }
                "map" => {
                    let values = self.ty(&join(place, "items"), space, inner("values")?)?;
                    Ok(Type::Map(Box::new(values)))
                }
                "record" | "enum" | "fixed" => {
                    let name = text("name").ok_or(fault(place, "a type lacks its name"))?;
                    let space = text("namespace").unwrap_or(space);
                    let name = full_name(space, name);
                    self.named.push(name.clone());
                    self.definition(place, kind, name, object)
                }
                name => self.by_name(place, space, name, text("logicalType")),
            },
            Some(nested) => self.ty(place, space, nested),
            None => Err(fault(place, "an object lacks its type")),
        }
    }

    fn definition(
        &mut self,
        place: &str,
        kind: &str,
        name: String,
        object: &Map<String, Value>,
    ) -> Result<Type, SchemaTextError> {
        let list = |member: &str| object.get(member).and_then(Value::as_array);
        match kind {
            "record" => {
                let fields = list("fields").ok_or(fault(place, "a record lacks its fields"))?;
                self.around.push(name.clone());
                let space = name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
                let fields = fields.iter().map(|field| self.field(place, &space, field));
                let fields = fields.collect::<Result<_, _>>()?;
                self.around.pop();
                Ok(Type::Record { name, fields })
            }
            "enum" => {
                let symbols = list("symbols").ok_or(fault(place, "an enum lacks its symbols"))?;
                let symbols = symbols.iter().filter_map(Value::as_str).map(str::to_owned);
                let mut symbols: Vec<String> = symbols.collect();
                symbols.sort_unstable();
                Ok(Type::Enum { name, symbols, has_default: object.contains_key("default") })
            }
            _ => {
                let size = object.get("size").and_then(Value::as_u64);
                Ok(Type::Fixed { name, size: size.ok_or(fault(place, "a fixed lacks its size"))? })
            }
        }
    }

    fn field(&mut self, place: &str, space: &str, field: &Value) -> Result<Field, SchemaTextError> {
        let name = field.get("name").and_then(Value::as_str);
        let name = name.ok_or(fault(place, "a field lacks its name"))?.to_owned();
        let place = join(place, &name);
        let ty = field.get("type").ok_or(fault(&place, "a field lacks its type"))?;
        let ty = self.ty(&place, space, ty)?;
        Ok(Field { name, ty, default: field.get("default").cloned() })
    }
}

fn full_name(space: &str, name: &str) -> String {
    if space.is_empty() || name.contains('.') { name.to_owned() } else { format!("{space}.{name}") }
}

fn fault(place: &str, what: &'static str) -> SchemaTextError {
    SchemaTextError { place: place.to_owned(), what }
}
