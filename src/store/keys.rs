//! Where the encryption key comes from: the environment, else a file of our own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::Error;
use super::cipher::{Key, KeyRing};

/// The longest key text that a file may hold, in bytes.
const KEY_FILE_MAX: u64 = 4096;

/// Where the active key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// The environment.
    Env,
    /// The key file.
    Local,
}

impl KeySource {
    /// Its word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Local => "local",
        }
    }
}

/// What is configured of keys.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The key text of the environment.
    pub text: Option<SecretString>,
    /// The key file; made on first use where the environment gives no key. `None`: no file is kept.
    pub file: Option<PathBuf>,
    /// Key texts that seal nothing any more but still open.
    pub old: Vec<SecretString>,
}

/// The ring and the source of its active key.
///
/// # Errors
///
/// [`Error::KeyFile`] where the key file cannot be read, made or trusted.
pub(super) fn ring(keys: &Keys) -> Result<(KeyRing, Option<KeySource>), Error> {
    let from_file = match (&keys.text, &keys.file) {
        (None, Some(file)) => Some(read_or_make(file)?),
        // With a key in the environment an older key file still opens what it sealed.
        (Some(_), Some(file)) if file.exists() => Some(read(file)?),
        _ => None,
    };
    let source = match (&keys.text, &from_file) {
        (Some(_), _) => Some(KeySource::Env),
        (None, Some(_)) => Some(KeySource::Local),
        (None, None) => None,
    };
    let texts = keys.text.iter().chain(&from_file).chain(&keys.old);
    Ok((KeyRing::new(texts.map(Key::derive).collect()), source))
}

fn read_or_make(file: &Path) -> Result<SecretString, Error> {
    match make(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read(file),
        Err(error) => Err(bad(file, &error.to_string())),
    }
}

fn bad(file: &Path, reason: &str) -> Error {
    Error::KeyFile {
        path: file.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Makes the file with 32 random bytes, readable by its owner alone; never overwrites one.
fn make(file: &Path) -> std::io::Result<SecretString> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let mut handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    Ok(SecretString::from(text))
}

fn read(file: &Path) -> Result<SecretString, Error> {
    let metadata = fs::symlink_metadata(file).map_err(|error| bad(file, &error.to_string()))?;
    if !metadata.is_file() {
        return Err(bad(file, "it is not a plain file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(bad(file, "others than its owner may access it; run chmod 600"));
    }
    if metadata.len() > KEY_FILE_MAX {
        return Err(bad(file, "it is too large"));
    }
    let text = fs::read_to_string(file).map_err(|error| bad(file, &error.to_string()))?;
    if text.trim().is_empty() {
        return Err(bad(file, "it is empty"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn key_file_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("encryption.key");
        let first = read_or_make(&file).unwrap();
        let second = read_or_make(&file).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn key_file_that_cannot_be_trusted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open.key");
        fs::write(&open, "some key").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        let link = folder.path().join("link.key");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        let empty = folder.path().join("empty.key");
        fs::write(&empty, " \n").unwrap();
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o600)).unwrap();
        for file in [open, link, empty, folder.path().join("missing/encryption.key")] {
            assert!(matches!(read_or_make(&file), Err(Error::KeyFile { .. })), "{file:?}");
        }
    }

    #[test]
    fn environment_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("encryption.key"));
        let text = Some(SecretString::from("from the environment".to_owned()));
        let (_, source) = ring(&Keys {
            text,
            file: file.clone(),
            old: Vec::new(),
        })
        .unwrap();
        assert_eq!((source, file.clone().unwrap().exists()), (Some(KeySource::Env), false));
        let (_, source) = ring(&Keys {
            text: None,
            file,
            old: Vec::new(),
        })
        .unwrap();
        assert_eq!(source, Some(KeySource::Local));
        let (ring, source) = ring(&Keys::default()).unwrap();
        assert_eq!((source, ring.is_configured()), (None, false));
    }
}
