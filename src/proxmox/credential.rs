//! Who we are to Proxmox: an API token or a password, and every form in which operators paste a token.

use secrecy::{ExposeSecret, SecretString};

/// How a session proves who it is. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An API token of the endpoint's user.
    Token {
        /// The token's own name, what stands after the `!`.
        name: String,
        /// The token's secret.
        secret: SecretString,
    },
    /// The user's password.
    Password(SecretString),
}

/// Why no credential could be made from what was given. The texts never repeat a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Neither token nor password.
    #[error("neither an API token nor a password is given")]
    Missing,
    /// A token's name without its secret.
    #[error("the API token `{name}` has no secret")]
    SecretMissing {
        /// The token's name.
        name: String,
    },
    /// A token's secret without its name.
    #[error("the API token's secret has no token name; give the name or paste the whole `user@realm!name=secret`")]
    NameMissing,
    /// The pasted token names another user than the endpoint.
    #[error("the token belongs to `{embedded}`, but the endpoint's user is `{username}`")]
    OtherUser {
        /// The user inside the pasted text.
        embedded: String,
        /// The endpoint's user.
        username: String,
    },
    /// The name field and the secret field name different tokens.
    #[error("the token name says `{name}`, but the pasted secret belongs to token `{embedded}`")]
    OtherName {
        /// The token in the name field.
        name: String,
        /// The token inside the pasted secret.
        embedded: String,
    },
    /// Two different secrets were pasted.
    #[error("the token name and the token value hold two different secrets")]
    TwoSecrets,
    /// Characters a token name cannot have.
    #[error("`{name}` is not a token name: letters, digits, `.`, `-` and `_`, a letter first")]
    InvalidName {
        /// What stood in the name's place.
        name: String,
    },
    /// Blanks or control characters inside the secret.
    #[error("the token secret holds blanks or control characters")]
    InvalidSecret,
}

/// A token text, taken apart as far as it goes.
#[derive(Default)]
struct Pasted<'a> {
    user: Option<&'a str>,
    name: Option<&'a str>,
    secret: Option<&'a str>,
}

impl Credential {
    /// Makes the credential of `username` from what an operator gave, in any of the forms tokens are pasted in: the bare
    /// name and secret, `user@realm!name`, `user@realm!name=secret`, and the header value or whole header line around
    /// it, in either field. A token wins over a password; a broken token never falls back to the password.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] where parts are missing or contradict each other or the endpoint's user.
    pub fn parse(
        username: &str,
        token_name: Option<&str>,
        token_value: Option<&SecretString>,
        password: Option<&SecretString>,
    ) -> Result<Self, CredentialError> {
        let token_name = token_name.map(str::trim).filter(|text| !text.is_empty());
        let token_value = token_value
            .map(|value| value.expose_secret().trim())
            .filter(|text| !text.is_empty());
        if token_name.is_some() || token_value.is_some() {
            return token(username.trim(), token_name, token_value);
        }
        match password {
            Some(password) if !password.expose_secret().is_empty() => Ok(Self::Password(password.clone())),
            _ => Err(CredentialError::Missing),
        }
    }

    /// Whether this is an API token.
    pub const fn is_token(&self) -> bool {
        matches!(self, Self::Token { .. })
    }
}

fn token(username: &str, name: Option<&str>, value: Option<&str>) -> Result<Credential, CredentialError> {
    let from_name = name.map(take_name_apart).unwrap_or_default();
    let from_value = value.map(take_value_apart).unwrap_or_default();
    for embedded in [from_name.user, from_value.user].into_iter().flatten() {
        if embedded != username {
            return Err(CredentialError::OtherUser {
                embedded: embedded.to_owned(),
                username: username.to_owned(),
            });
        }
    }
    let name = match (from_name.name, from_value.name) {
        (Some(name), Some(embedded)) if name != embedded => {
            return Err(CredentialError::OtherName {
                name: name.to_owned(),
                embedded: embedded.to_owned(),
            });
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err(CredentialError::NameMissing),
    };
    if !is_token_name(name) {
        return Err(CredentialError::InvalidName { name: name.to_owned() });
    }
    let secret = match (from_name.secret, from_value.secret) {
        (Some(one), Some(other)) if one != other => return Err(CredentialError::TwoSecrets),
        (_, Some(secret)) | (Some(secret), None) => secret,
        (None, None) => return Err(CredentialError::SecretMissing { name: name.to_owned() }),
    };
    if secret.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(CredentialError::InvalidSecret);
    }
    Ok(Credential::Token {
        name: name.to_owned(),
        secret: SecretString::from(secret),
    })
}

/// `text` without the header's name and scheme, and whether there was one.
fn without_header(text: &str) -> &str {
    let mut text = text.trim().trim_matches(['"', '\'']).trim();
    for prefix in ["authorization:", "pveapitoken=", "pveapitoken "] {
        if let Some(head) = text.get(..prefix.len())
            && head.eq_ignore_ascii_case(prefix)
        {
            text = text.get(prefix.len()..).unwrap_or_default().trim();
        }
    }
    text
}

/// The name field: `name`, `user@realm!name`, or either with `=secret` behind it.
fn take_name_apart(text: &str) -> Pasted<'_> {
    let text = without_header(text);
    let (id, secret) = match text.split_once('=') {
        Some((id, secret)) => (id.trim(), Some(secret.trim()).filter(|secret| !secret.is_empty())),
        None => (text, None),
    };
    let (user, name) = match id.split_once('!') {
        Some((user, name)) => (Some(user.trim()), name.trim()),
        None => (None, id),
    };
    Pasted {
        user: user.filter(|user| !user.is_empty()),
        name: Some(name).filter(|name| !name.is_empty()),
        secret,
    }
}

/// The value field: `secret` alone, or `user@realm!name=secret`; a bare secret may hold `=` but no `!` before it.
fn take_value_apart(text: &str) -> Pasted<'_> {
    let text = without_header(text);
    match text.split_once('=') {
        Some((id, _)) if id.contains('!') => take_name_apart(text),
        _ if text.contains('@') && text.contains('!') => take_name_apart(text),
        _ => Pasted {
            secret: Some(text).filter(|secret| !secret.is_empty()),
            ..Pasted::default()
        },
    }
}

fn is_token_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "sync@pve";
    const SECRET: &str = "12345678-9abc-def0-1234-56789abcdef0";

    fn parse(name: &str, value: &str, password: &str) -> Result<Credential, CredentialError> {
        let value = SecretString::from(value);
        let password = SecretString::from(password);
        Credential::parse(USER, Some(name), Some(&value), Some(&password))
    }

    #[test]
    fn token_in_every_paste_form_is_normalised() {
        let full = format!("sync@pve!netbox={SECRET}");
        let header = format!("PVEAPIToken={full}");
        let spaced = format!("PVEAPIToken {full}");
        let line = format!("Authorization: PVEAPIToken={full}");
        let forms: &[(&str, &str)] = &[
            ("netbox", SECRET),
            (" netbox ", " 12345678-9abc-def0-1234-56789abcdef0\n"),
            ("sync@pve!netbox", SECRET),
            ("PVEAPIToken=sync@pve!netbox", SECRET),
            ("netbox", &full),
            ("", &full),
            ("", &header),
            ("", &spaced),
            ("", &line),
            ("netbox", &header),
            ("sync@pve!netbox", &line),
            (&full, ""),
            (&line, ""),
            (&full, SECRET),
            (&header, &header),
        ];
        for (name, value) in forms {
            match parse(name, value, "ignored") {
                Ok(Credential::Token { name: found, secret }) => {
                    assert_eq!(found, "netbox", "{name:?} {value:?}");
                    assert_eq!(secret.expose_secret(), SECRET, "{name:?} {value:?}");
                }
                other => panic!("{name:?} {value:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn broken_token_is_refused_and_never_replaced_by_the_password() {
        let cases: &[(&str, &str, &str)] = &[
            ("netbox", "", "has no secret"),
            ("", SECRET, "has no token name"),
            ("root@pam!netbox", SECRET, "belongs to `root@pam`"),
            ("other", "sync@pve!netbox=abc", "token name says `other`"),
            ("netbox=abc", "def", "two different secrets"),
            ("9lives", SECRET, "is not a token name"),
            ("net box", SECRET, "is not a token name"),
            ("netbox", "a b", "blanks or control"),
            ("", "sync@pve!netbox", "has no secret"),
        ];
        for (name, value, wanted) in cases {
            let error = parse(name, value, "password")
                .expect_err(&format!("{name:?} {value:?}"))
                .to_string();
            assert!(error.contains(wanted), "{name:?} {value:?}: {error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn password_is_used_only_without_any_token() {
        assert!(matches!(parse("", "", "geheim"), Ok(Credential::Password(_))));
        assert_eq!(parse("", " ", "").err(), Some(CredentialError::Missing));
        assert_eq!(
            Credential::parse(USER, None, None, None).err(),
            Some(CredentialError::Missing)
        );
    }

    #[test]
    fn debug_of_a_credential_hides_the_secret() {
        let shown = format!("{:?} {:?}", parse("netbox", SECRET, ""), parse("", "", "geheim"));
        assert!(!shown.contains(SECRET) && !shown.contains("geheim"), "{shown}");
    }
}
