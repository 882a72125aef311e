//! What the HTTP API is, said beside the handlers: the OpenAPI 3.1 document is made of it.
//!
//! A slice serves its handlers through [`Described`], which takes none without an [`Operation`]: what
//! is not described is not served. Handlers read bodies and write answers by hand, so there are no
//! types whose shape could be derived; that the description is true is shown by sending its examples,
//! and requests made of its schemas, to the real processes.

mod answer;
mod described;
mod document;
mod example;
mod header;
mod operation;
mod parameter;
pub mod schema;

pub use answer::Answer;
pub use described::Described;
pub use document::Description;
pub use example::Example;
pub use header::Header;
pub use operation::{Operation, Verb};
pub use parameter::Parameter;
