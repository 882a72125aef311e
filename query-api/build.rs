//! Packs what `src/api_docs.rs` serves: the document, the page, and of Swagger UI the two files that
//! the page loads.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::{env, fs};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use zip::ZipArchive;

const DOCUMENT: &str = "../docs/openapi.json";
const PAGE: &str = "src/api_docs/page.html";
const START: &str = "src/api_docs/start.js";

fn main() -> Result<(), Box<dyn Error>> {
    for file in [DOCUMENT, PAGE, START, "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let directory = env::var("OUT_DIR")?;
    let out = Path::new(&directory);
    let (javascript, css) = ("text/javascript; charset=utf-8", "text/css; charset=utf-8");
    let document: serde_json::Value = serde_json::from_slice(&fs::read(DOCUMENT)?)?;
    let document = document.to_string();
    let mut code = String::new();
    write!(
        code,
        "static OPENAPI: Asset = {};",
        pack(out, "openapi.json", "application/json", document.as_bytes())?
    )?;
    let page = fs::read(PAGE)?;
    write!(
        code,
        "static PAGE: Asset = {};",
        pack(out, "page.html", "text/html; charset=utf-8", &page)?
    )?;
    let files = [
        pack(out, "start.js", javascript, &fs::read(START)?)?,
        pack(out, "swagger-ui-bundle.js", javascript, &swagger_ui("swagger-ui-bundle.js")?)?,
        pack(out, "swagger-ui.css", css, &swagger_ui("swagger-ui.css")?)?,
    ];
    write!(code, "static FILES: [Asset; {}] = [{}];", files.len(), files.join(","))?;
    Ok(fs::write(out.join("api_docs.rs"), code)?)
}

/// A file of Swagger UI's distribution.
fn swagger_ui(name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive =
        ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    let ending = format!("/dist/{name}");
    let path = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|path| path.ends_with(&ending))
        .map(Cow::into_owned);
    let path = path.ok_or_else(|| format!("Swagger UI has no {name}"))?;
    let mut file = Vec::new();
    archive.by_name(&path)?.read_to_end(&mut file)?;
    Ok(file)
}

/// Compresses a file into `out` and returns the code that serves it.
fn pack(out: &Path, name: &str, media_type: &str, file: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(file)?;
    let packed = format!("{name}.gz");
    fs::write(out.join(&packed), encoder.finish()?)?;
    let mut sum = Crc::new();
    sum.update(file);
    let tag = format!("W/\"{:08x}\"", sum.sum());
    Ok(format!(
        "Asset {{ name: {name:?}, media_type: {media_type:?}, \
         gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{packed}\")), tag: {tag:?} }}"
    ))
}
