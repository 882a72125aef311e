//! What users tell of themselves.

mod bio;
mod full_name;
mod image_url;

pub use bio::{Bio, BioError};
pub use full_name::{FullName, FullNameError};
pub use image_url::{ImageUrl, ImageUrlError};
