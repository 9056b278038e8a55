//! Sealing of secrets: AES-256-GCM, bound to table, row and column.
//!
//! A sealed value is the bytes `enc2:`, four bytes of key id, twelve bytes of nonce, and the ciphertext with its tag.
//! Table, row and column are authenticated with it, so that a value copied elsewhere does not open. The key is derived
//! from the key text by SHA-256 under a label of its own; its id is the beginning of another such digest.
//!
//! Values of the Python service are read as well: the text `enc:`, then URL-safe base64 of a Fernet token,
//! which is base64 itself. Its key is the URL-safe base64 of SHA-256 of the trimmed key text.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

use super::Error;

const PREFIX: &[u8] = b"enc2:";
const REFERENCE_PREFIX: &[u8] = b"enc:";
const ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 12;

/// Where a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub row: i64,
    /// The column.
    pub column: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{} of row {}", self.table, self.column, self.row)
    }
}

/// A key, derived from a key text.
pub struct Key {
    id: [u8; ID_LENGTH],
    bytes: SecretBox<[u8; 32]>,
    reference: SecretString,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn digest(label: &str, text: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(label.as_bytes());
    hasher.update([0]);
    hasher.update(text.as_bytes());
    hasher.finalize().into()
}

impl Key {
    /// The key of `text`, whose surrounding white space does not count.
    pub fn derive(text: &SecretString) -> Self {
        let text = text.expose_secret().trim();
        let [a, b, c, d, ..] = digest("proxbox-api secret key id", text);
        let reference: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self {
            id: [a, b, c, d],
            bytes: SecretBox::new(Box::new(digest("proxbox-api secret key", text))),
            reference: SecretString::from(URL_SAFE.encode(reference)),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes.expose_secret().into())
    }
}

/// Keys: the first seals, all open.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: Vec<Key>,
}

/// A value that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The secret.
    pub secret: SecretString,
    /// Whether it should be sealed anew: by the active key, in the present form.
    pub is_outdated: bool,
}

impl KeyRing {
    /// A ring of `keys`, the first of which is active.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Whether there is a key to seal with.
    pub fn is_configured(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Seals `secret` for `place`.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`] where there is no key.
    pub fn seal(&self, place: Place, secret: &SecretString) -> Result<Vec<u8>, Error> {
        let key = self.keys.first().ok_or(Error::NoKey)?;
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|_| Error::Lost)?;
        let bound = place.to_string();
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: bound.as_bytes(),
        };
        let text = key
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::Lost)?;
        Ok([PREFIX, &key.id, &nonce, &text].concat())
    }

    /// Opens what stands at `place`. A value without any prefix is plain text.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] where no key opens it, or it was sealed for another place.
    pub fn open(&self, place: Place, stored: &[u8]) -> Result<Opened, Error> {
        let sealed = |reason| Error::Sealed {
            place: place.to_string(),
            reason,
        };
        if let Some(rest) = stored.strip_prefix(PREFIX) {
            return self.open_own(place, rest).map_err(sealed);
        }
        if let Some(rest) = stored.strip_prefix(REFERENCE_PREFIX) {
            let secret = self.open_reference(rest).map_err(sealed)?;
            return Ok(Opened {
                secret,
                is_outdated: true,
            });
        }
        let text = std::str::from_utf8(stored).map_err(|_| sealed("it is not text"))?;
        Ok(Opened {
            secret: SecretString::from(text.to_owned()),
            is_outdated: self.is_configured(),
        })
    }

    fn open_own(&self, place: Place, rest: &[u8]) -> Result<Opened, &'static str> {
        let (id, rest) = rest.split_first_chunk::<ID_LENGTH>().ok_or("it is cut short")?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or("it is cut short")?;
        let position = self
            .keys
            .iter()
            .position(|key| key.id == *id)
            .ok_or("its key is not configured")?;
        let key = self.keys.get(position).ok_or("its key is not configured")?;
        let bound = place.to_string();
        let payload = Payload {
            msg: text,
            aad: bound.as_bytes(),
        };
        let plain = key.cipher().decrypt(&Nonce::from(*nonce), payload);
        let plain = plain.map_err(|_| "it was changed, or sealed for another place")?;
        let secret = String::from_utf8(plain).map_err(|_| "it is not text")?;
        Ok(Opened {
            secret: SecretString::from(secret),
            is_outdated: position > 0,
        })
    }

    fn open_reference(&self, rest: &[u8]) -> Result<SecretString, &'static str> {
        let token = URL_SAFE.decode(rest).map_err(|_| "it is not base64")?;
        let token = String::from_utf8(token).map_err(|_| "it is not a token")?;
        let opened = self.keys.iter().find_map(|key| {
            let fernet = fernet::Fernet::new(key.reference.expose_secret())?;
            String::from_utf8(fernet.decrypt(&token).ok()?).ok()
        });
        opened.map(SecretString::from).ok_or("no configured key opens it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        table: "proxmox_endpoints",
        row: 7,
        column: "password",
    };

    fn ring(texts: &[&str]) -> KeyRing {
        KeyRing::new(
            texts
                .iter()
                .map(|text| Key::derive(&SecretString::from((*text).to_owned())))
                .collect(),
        )
    }

    fn open(ring: &KeyRing, place: Place, stored: &[u8]) -> Option<(String, bool)> {
        let opened = ring.open(place, stored).ok()?;
        Some((opened.secret.expose_secret().to_owned(), opened.is_outdated))
    }

    #[test]
    fn sealed_value_opens_at_its_place_only() {
        let ring = ring(&["one"]);
        let stored = ring.seal(PLACE, &SecretString::from("hunter2".to_owned())).unwrap();
        assert_eq!(open(&ring, PLACE, &stored), Some(("hunter2".to_owned(), false)));
        for elsewhere in [
            Place { row: 8, ..PLACE },
            Place {
                column: "token_value",
                ..PLACE
            },
            Place {
                table: "netbox_endpoints",
                ..PLACE
            },
        ] {
            assert_eq!(open(&ring, elsewhere, &stored), None, "{elsewhere}");
        }
        let again = ring.seal(PLACE, &SecretString::from("hunter2".to_owned())).unwrap();
        assert_ne!(stored, again, "two seals of one secret differ");
        assert!(!stored.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn changed_value_does_not_open() {
        let ring = ring(&["one"]);
        let mut stored = ring.seal(PLACE, &SecretString::from("hunter2".to_owned())).unwrap();
        for position in 0..stored.len() {
            stored[position] ^= 1;
            assert_ne!(
                open(&ring, PLACE, &stored).map(|(secret, _)| secret).as_deref(),
                Some("hunter2"),
                "{position}"
            );
            stored[position] ^= 1;
        }
    }

    #[test]
    fn old_key_still_opens_and_says_that_the_value_is_outdated() {
        let stored = ring(&["old"])
            .seal(PLACE, &SecretString::from("hunter2".to_owned()))
            .unwrap();
        assert_eq!(
            open(&ring(&["new", "old"]), PLACE, &stored),
            Some(("hunter2".to_owned(), true))
        );
        assert_eq!(open(&ring(&["new"]), PLACE, &stored), None);
    }

    #[test]
    fn values_of_the_reference_open() {
        // Made outside this code base: Fernet over urlsafe_b64encode(sha256(key)), then urlsafe_b64encode of the token;
        // time 1700000000, initialisation vector 00 01 … 0f.
        let stored = b"enc:Z0FBQUFBQmxVX0VBQUFFQ0F3UUZCZ2NJQ1FvTERBME9EM0V5YnNqcHBhdVUyUDlENVJIVXY2d09CbzRuZjBaclNMYjJzRGVxRzhUc2RfcWNMYlpqNWxFMEQ5c0xza01EWWtLSGZtWWw2V2xodEVjZlRxT0pGWHc9";
        let key = "abcdefghijklmnopqrstuvwxyz012345";
        assert_eq!(
            open(&ring(&[key]), PLACE, stored),
            Some(("nbt_secret-token".to_owned(), true))
        );
        assert_eq!(
            open(&ring(&[&format!(" {key}\n")]), PLACE, stored).map(|(_, outdated)| outdated),
            Some(true)
        );
        assert_eq!(open(&ring(&["another"]), PLACE, stored), None);
    }

    #[test]
    fn nothing_is_sealed_without_a_key_and_plain_text_is_read() {
        let bare = KeyRing::default();
        assert!(matches!(
            bare.seal(PLACE, &SecretString::from("x".to_owned())),
            Err(Error::NoKey)
        ));
        assert_eq!(open(&bare, PLACE, b"plain"), Some(("plain".to_owned(), false)));
        assert_eq!(open(&ring(&["one"]), PLACE, b"plain"), Some(("plain".to_owned(), true)));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", ring(&["a very secret key text"]));
        assert!(!shown.contains("very secret") && shown.contains("id"), "{shown}");
    }
}
