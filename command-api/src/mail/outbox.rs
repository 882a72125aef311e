//! Mails as files in a directory, for a local stack or for a program that takes them from there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use uuid::Uuid;

use super::message::render;
use super::{Mail, MailError, MailFault, Mailer};

/// A directory that mails are written into, each as `<id>.eml`. A file is there whole or not at all,
/// and only its owner reads it: mails hold links that stand for a person.
#[derive(Debug, Clone)]
pub struct OutboxDirectory {
    directory: PathBuf,
    sender: Mailbox,
}

impl OutboxDirectory {
    /// One that is made when the first mail comes.
    pub(super) fn new(directory: PathBuf, sender: Mailbox) -> Self {
        Self { directory, sender }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Mailer for OutboxDirectory {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let (id, bytes) = (mail.id, render(mail, &self.sender)?.bytes);
        let directory = self.directory.clone();
        let writing = tokio::task::spawn_blocking(move || write(&directory, id, &bytes));
        let written = writing.await.unwrap_or_else(|broke_off| Err(io::Error::other(broke_off)));
        written.map_err(|error| MailError::Temporary(MailFault::Outbox(error)))
    }
}

/// Writes the file beside its place and moves it there. One that is sent again takes its place.
fn write(directory: &Path, id: Uuid, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let unfinished = directory.join(format!(".{}", Uuid::now_v7()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    fill(file, bytes)
        .and_then(|()| std::fs::rename(&unfinished, directory.join(format!("{id}.eml"))))
        .inspect_err(|_| {
            // What cannot be written often cannot be removed either.
            let _ = std::fs::remove_file(&unfinished);
        })
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory of a test's own, removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("millrace-outbox-{}", Uuid::now_v7()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn outbox(&self) -> (PathBuf, OutboxDirectory) {
            let directory = self.0.join("a/b");
            let sender = "no-reply@example.com".parse().unwrap();
            (directory.clone(), OutboxDirectory::new(directory, sender))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn mail(id: u128, text: &str) -> Mail {
        let (to, subject) = ("ann@example.com".to_owned(), "Hello".to_owned());
        Mail { id: Uuid::from_u128(id), to, subject, text: text.to_owned() }
    }

    fn files(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn each_mail_is_a_file_that_only_its_owner_reads() {
        let scratch = Scratch::new();
        let (directory, outbox) = scratch.outbox();
        outbox.send(&mail(1, "One")).await.unwrap();
        outbox.send(&mail(2, "Two")).await.unwrap();
        let first = format!("{}.eml", Uuid::from_u128(1));
        assert_eq!(files(&directory), [first.clone(), format!("{}.eml", Uuid::from_u128(2))]);
        let text = std::fs::read_to_string(directory.join(&first)).unwrap();
        assert!(
            text.contains("\r\nTo: ann@example.com\r\n") && text.ends_with("\r\nOne\r\n"),
            "{text}"
        );
        for (path, mode) in [(directory.join(&first), 0o600), (directory, 0o700)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[tokio::test]
    async fn a_mail_that_is_sent_again_is_one_file() {
        let scratch = Scratch::new();
        let (directory, outbox) = scratch.outbox();
        for text in ["One", "Two"] {
            outbox.send(&mail(1, text)).await.unwrap();
        }
        let names = files(&directory);
        assert_eq!(names.len(), 1, "{names:?}");
        let text = std::fs::read_to_string(directory.join(&names[0])).unwrap();
        assert!(text.ends_with("\r\nTwo\r\n"), "{text}");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_tried_again_and_leaves_nothing() {
        let scratch = Scratch::new();
        let (directory, outbox) = scratch.outbox();
        std::fs::write(scratch.0.join("a"), "in the way").unwrap();
        let error = outbox.send(&mail(1, "One")).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(MailFault::Outbox(_))), "{error:?}");
        std::fs::remove_file(scratch.0.join("a")).unwrap();

        let name = format!("{}.eml", Uuid::from_u128(1));
        std::fs::create_dir_all(directory.join(&name)).unwrap();
        assert!(outbox.send(&mail(1, "One")).await.unwrap_err().is_temporary());
        assert_eq!(files(&directory), [name], "an unfinished file is left");
    }
}
