//! What files hold: logs, and mails that were written into a directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::needle::{Needles, Search, Tally};
use super::report::Place;

/// Bytes that are read at a time.
const CHUNK: usize = 256 * 1024;

/// How files begin that hold texts in another form: gzip, zstd, xz, bzip2, zip, lz4.
const PACKED: [&[u8]; 6] =
    [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"PK\x03\x04", b"\x04\x22\x4d\x18"];

/// Searches names and contents of all files below a directory. Blocks.
pub(super) fn look(name: &str, directory: &Path, needles: &Needles) -> Vec<Place> {
    let mut walk =
        Walk { directory, tally: needles.tally(), packed: 0, unread: 0, seen: BTreeSet::new() };
    // A directory that cannot be opened is a place that was not looked at; one below it is counted.
    let files = match std::fs::read_dir(directory) {
        Ok(_) => walk.files_below(),
        Err(error) => return vec![Place::not_looked_at(name, error.kind().to_string())],
    };
    for file in &files {
        walk.file(file, needles);
    }
    let Walk { tally, packed, unread, .. } = walk;
    let mut places = vec![tally.place(name, "file")];
    let faults = [(packed, "are compressed: unpack them"), (unread, "cannot be read")];
    let faults = faults.into_iter().filter(|(count, _)| *count > 0);
    places.extend(
        faults.map(|(count, why)| Place::not_looked_at(name, format!("{count} of them {why}"))),
    );
    places
}

struct Walk<'a> {
    directory: &'a Path,
    tally: Tally<'a>,
    packed: u64,
    unread: u64,
    /// Directories that were entered: a link may lead back.
    seen: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn files_below(&mut self) -> Vec<PathBuf> {
        let (mut files, mut directories) = (Vec::new(), vec![self.directory.to_owned()]);
        while let Some(directory) = directories.pop() {
            let is_new = directory.canonicalize().is_ok_and(|path| self.seen.insert(path));
            if !is_new {
                continue;
            }
            let Ok(entries) = std::fs::read_dir(&directory) else {
                self.unread += 1;
                continue;
            };
            for entry in entries {
                // What a link leads to counts.
                match entry.and_then(|entry| Ok((entry.path().metadata()?, entry.path()))) {
                    Ok((found, path)) if found.is_dir() => directories.push(path),
                    Ok((found, path)) if found.is_file() => files.push(path),
                    // A socket or a pipe keeps nothing.
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => self.unread += 1,
                }
            }
        }
        files
    }

    fn file(&mut self, path: &Path, needles: &Needles) {
        let mut search = needles.search();
        // Names may be made of what people are called.
        let name = path.strip_prefix(self.directory).unwrap_or(path);
        search.whole(name.as_os_str().as_encoded_bytes());
        match contents(path, &mut search) {
            Ok(Packed(false)) => self.tally.add(search.found()),
            Ok(Packed(true)) => self.packed += 1,
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => self.unread += 1,
        }
    }
}

/// Whether a file holds its text in another form.
struct Packed(bool);

fn contents(path: &Path, search: &mut Search<'_>) -> io::Result<Packed> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut is_first = true;
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok(Packed(false)),
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if is_first && PACKED.iter().any(|begin| read.starts_with(begin)) {
            return Ok(Packed(true));
        }
        is_first = false;
        search.chunk(read);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use uuid::Uuid;

    use super::super::report::Found;
    use super::*;

    /// A directory of a test's own, removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("millrace-files-{}", Uuid::now_v7()));
            std::fs::create_dir_all(path.join("a/b")).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
            std::fs::write(self.0.join(name), bytes).unwrap();
        }

        fn look(&self) -> Vec<Place> {
            look("logs", &self.0, &Needles::new(&["ann@example.org".to_owned()]))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn found(files: u64, count: u64) -> Place {
        Place::looked_at("logs", files, "file", [Found::new(count, "with marker 1")])
    }

    #[test]
    fn every_file_below_is_searched_across_the_edges_of_chunks() {
        let scratch = Scratch::new();
        scratch.write("clean.log", "nobody");
        for (file, before) in [("a/one", CHUNK - 7), ("a/b/two", 2 * CHUNK - 1), ("three", 0)] {
            scratch.write(file, format!("{}Ann@Example.org", "x".repeat(before)));
        }
        assert_eq!(scratch.look(), [found(4, 3)]);
    }

    #[test]
    fn the_name_of_a_file_counts_too() {
        let scratch = Scratch::new();
        scratch.write("a/ann@example.org.eml", "");
        assert_eq!(scratch.look(), [found(1, 1)]);
    }

    #[test]
    fn links_are_followed_and_none_leads_round_for_ever() {
        let scratch = Scratch::new();
        let elsewhere = Scratch::new();
        elsewhere.write("one", "ann@example.org");
        symlink(elsewhere.0.join("one"), scratch.0.join("linked")).unwrap();
        symlink(&scratch.0, scratch.0.join("a/b/round")).unwrap();
        symlink("nowhere", scratch.0.join("dead")).unwrap();
        assert_eq!(scratch.look(), [found(1, 1)]);
    }

    #[test]
    fn what_cannot_be_searched_is_told() {
        let scratch = Scratch::new();
        scratch.write("old.gz", b"\x1f\x8b\x08junk");
        scratch.write("new.log", "nobody");
        let packed = Place::not_looked_at("logs", "1 of them are compressed: unpack them");
        assert_eq!(scratch.look(), [found(1, 0), packed]);
        let nowhere = look("logs", &scratch.0.join("none"), &Needles::new(&["x".to_owned()]));
        assert_eq!(nowhere, [Place::not_looked_at("logs", "entity not found")]);
    }

    #[test]
    fn a_file_that_may_not_be_read_is_told() {
        let scratch = Scratch::new();
        scratch.write("secret", "ann@example.org");
        let path = scratch.0.join("secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        // A superuser reads it all the same.
        let expected = match File::open(&path) {
            Ok(_) => vec![found(1, 1)],
            Err(_) => vec![found(0, 0), Place::not_looked_at("logs", "1 of them cannot be read")],
        };
        assert_eq!(scratch.look(), expected);
    }
}
