//! Every secret of the table: each of its names may be left to a file, and whatever is wrong, it is not told.

use std::path::PathBuf;

use super::*;

const SECRET: &str = "not-to-be-told";

/// The end of names of what must not be told.
const SECRET_ENDS: [&str; 5] = ["_PASSWORD", "_SECRET", "_SECRET_KEY", "_TOKEN", "_HEADERS"];

/// Each secret under each of its names.
fn by_name() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    let secrets = table::ALL.iter().filter(|setting| setting.kind == Kind::Secret);
    secrets.flat_map(|setting| names(setting).map(move |name| (*setting, name)))
}

/// A file with a secret in it. Dropped, it is gone.
struct SecretFile(PathBuf);

impl SecretFile {
    fn new(of: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("millrace-{of}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    /// What says that the variable's value is in it.
    fn of(&self, name: &str) -> (String, String) {
        (format!("{name}_FILE"), self.0.to_str().unwrap().to_owned())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What is read of the setting, all that is told of it, and its faults.
fn read(
    setting: &'static Setting,
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Option<String>, String, Vec<String>) {
    let mut settings = Settings::new(variables);
    let value = settings.optional_text(setting);
    let told = format!("{:?}", settings.effective());
    let faults = settings.finish(()).map_or_else(|error| error.0, |()| Vec::new());
    (value, told, faults)
}

#[test]
fn every_secret_is_read_from_a_file_under_each_of_its_names_as_well() {
    let file = SecretFile::new("read", &format!("{SECRET}\r\n"));
    assert!(by_name().count() >= 10, "the table has lost its secrets");
    for (setting, name) in by_name() {
        for given in [variable(name, SECRET), file.of(name)] {
            let (value, told, faults) = read(setting, [given]);
            assert_eq!((value.as_deref(), faults), (Some(SECRET), Vec::new()), "{name}");
            assert!(told.contains("***") && !told.contains(SECRET), "{name}: {told}");
        }
    }
}

#[test]
fn a_secret_that_is_given_twice_or_not_at_all_is_refused_by_name_and_not_told() {
    let (file, empty) = (SecretFile::new("twice", SECRET), SecretFile::new("empty", "\n"));
    for (setting, name) in by_name() {
        for given in [
            vec![variable(name, SECRET), file.of(name)],
            vec![variable(name, "")],
            vec![empty.of(name)],
            vec![variable(&format!("{name}_FILE"), "/nowhere/secret")],
        ] {
            let (_, told, faults) = read(setting, given);
            assert!(faults.len() == 1 && faults[0].contains(name), "{name}: {faults:?}");
            assert!(!told.contains(SECRET) && !faults[0].contains(SECRET), "{name}: {faults:?}");
        }
    }
}

#[test]
fn the_variable_that_says_a_secret_is_known_by_its_name() {
    let file = SecretFile::new("set-by", SECRET);
    for (setting, name) in by_name() {
        assert_eq!(Settings::new([]).set_by(setting), [""; 0], "{name}");
        let others = variable("SOMETHING_ELSE", SECRET);
        let settings = Settings::new([variable(name, SECRET), others]);
        assert_eq!(settings.set_by(setting), [name]);
        assert_eq!(Settings::new([file.of(name)]).set_by(setting), [format!("{name}_FILE")]);
    }
}

#[test]
fn two_names_of_a_secret_that_differ_are_named_and_not_told_wherever_their_values_are() {
    let file = SecretFile::new("differs", &format!("{SECRET}-in-a-file"));
    for (setting, name) in by_name().filter(|(setting, name)| setting.name != *name) {
        for other in [variable(name, &format!("{SECRET}-as-well")), file.of(name)] {
            let (_, told, faults) = read(setting, [variable(setting.name, SECRET), other]);
            let are_named = |fault: &String| fault.contains(name) && fault.contains(setting.name);
            assert!(faults.len() == 1 && faults.iter().all(are_named), "{name}: {faults:?}");
            assert!(!told.contains(SECRET) && !faults[0].contains(SECRET), "{name}: {faults:?}");
        }
    }
}

#[test]
fn what_is_called_a_secret_is_one() {
    for setting in table::ALL {
        for name in names(setting) {
            let is_called_so = SECRET_ENDS.iter().any(|end| name.ends_with(end));
            assert!(!is_called_so || setting.kind == Kind::Secret, "{name} is told");
        }
    }
}

#[test]
fn nothing_else_is_read_from_files() {
    let file = SecretFile::new("else", "text");
    let others = table::ALL.iter().filter(|setting| setting.kind != Kind::Secret);
    for name in others.flat_map(|setting| names(setting)).filter(|name| name.starts_with(OURS)) {
        let settings = Settings::new([file.of(name)]);
        let faults = settings.finish(()).map_or_else(|error| error.0, |()| Vec::new());
        assert!(faults.len() == 1 && faults[0].starts_with(&format!("{name}_FILE ")), "{faults:?}");
    }
}
