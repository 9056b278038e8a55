//! What a request may change of an endpoint, and the rules of the merged row.

use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::hosts::check_host;
use crate::http::patch::{Count, MaybeText, Patch, Port, Switch, Text};
use crate::proxmox::{Credential, Fingerprint};
use crate::store::{SecretChange, Sister, SisterDraft, SisterSettings};

/// The longest secret of a token, in characters.
const SECRET_LIMIT: usize = 2_000;

/// Members of an endpoint; those that are absent stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SisterEndpointChange)]
pub(super) struct Change {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    host: Text,
    #[serde(default)]
    port: Port,
    /// `user@realm!name`.
    #[serde(default)]
    token_id: Text,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    token_secret: Patch<SecretString>,
    #[serde(default)]
    fingerprint: MaybeText,
    #[serde(default)]
    verify_ssl: Switch,
    #[serde(default)]
    enabled: Switch,
    /// 1 to 600.
    #[serde(default)]
    timeout_seconds: Count,
}

impl Change {
    /// A new endpoint of `sister`.
    ///
    /// # Errors
    ///
    /// 422 naming a member that is missing; as [`Self::merge`].
    pub(super) fn into_draft(self, sister: Sister) -> Result<SisterDraft, ApiError> {
        let required = [
            ("name", self.name.is_absent()),
            ("host", self.host.is_absent()),
            ("token_id", self.token_id.is_absent()),
            ("token_secret", self.token_secret.is_absent()),
        ];
        if let Some((field, _)) = required.iter().find(|(_, is_absent)| *is_absent) {
            return Err(ApiError::invalid(&["body", field], "Field required."));
        }
        let mut draft = SisterDraft {
            settings: SisterSettings {
                name: String::new(),
                host: String::new(),
                port: sister.product().port(),
                token_id: String::new(),
                fingerprint: None,
                verify_ssl: sister.verifies_by_default(),
                enabled: true,
                timeout_seconds: Sister::TIMEOUT_SECONDS,
                allow_writes: false,
            },
            token_secret: SecretChange::Keep,
        };
        self.merge(&mut draft)?;
        Ok(draft)
    }

    /// Puts the members into `draft` and checks the outcome.
    ///
    /// # Errors
    ///
    /// 422 naming the member that cannot be stored; 400 where nothing can be connected to under the host.
    pub(super) fn merge(self, draft: &mut SisterDraft) -> Result<(), ApiError> {
        let settings = &mut draft.settings;
        self.name.apply(&mut settings.name);
        self.host.apply(&mut settings.host);
        self.port.apply(&mut settings.port);
        self.token_id.apply(&mut settings.token_id);
        self.fingerprint.apply(&mut settings.fingerprint);
        self.verify_ssl.apply(&mut settings.verify_ssl);
        self.enabled.apply(&mut settings.enabled);
        self.timeout_seconds.apply(&mut settings.timeout_seconds);
        for text in [&mut settings.name, &mut settings.host, &mut settings.token_id] {
            *text = text.trim().to_owned();
        }
        let fingerprint = settings.fingerprint.take();
        settings.fingerprint = fingerprint.filter(|text| !text.trim().is_empty());
        check(settings)?;
        if let Patch::Given(secret) = self.token_secret {
            check_secret(&settings.token_id, &secret)?;
            draft.token_secret = SecretChange::Set(Some(secret));
        }
        Ok(())
    }
}

fn check(settings: &SisterSettings) -> Result<(), ApiError> {
    let texts = [
        ("name", settings.name.as_str(), 255),
        ("host", &settings.host, 255),
        ("token_id", &settings.token_id, 255),
        ("fingerprint", settings.fingerprint.as_deref().unwrap_or("none"), 200),
    ];
    for (field, text, limit) in texts {
        if text.is_empty() {
            return Err(ApiError::invalid(&["body", field], "Must not be empty."));
        }
        if text.chars().count() > limit {
            let problem = format!("At most {limit} characters.");
            return Err(ApiError::invalid(&["body", field], &problem));
        }
    }
    if settings.port == 0 {
        return Err(ApiError::invalid(&["body", "port"], "Must be between 1 and 65535."));
    }
    if !(1..=600).contains(&settings.timeout_seconds) {
        return Err(ApiError::invalid(
            &["body", "timeout_seconds"],
            "Must be between 1 and 600.",
        ));
    }
    let fingerprint = settings.fingerprint.as_deref().map(str::parse::<Fingerprint>);
    if let Some(Err(error)) = fingerprint {
        return Err(ApiError::invalid(&["body", "fingerprint"], &error.to_string()));
    }
    let is_token = settings
        .token_id
        .split_once('!')
        .is_some_and(|(user, name)| user.contains('@') && !name.is_empty());
    if !is_token {
        return Err(ApiError::invalid(
            &["body", "token_id"],
            "Must be a token's id: user@realm!name.",
        ));
    }
    check_host("", Some(&settings.host))
}

/// The text of the answer repeats nothing of the secret.
fn check_secret(token_id: &str, secret: &SecretString) -> Result<(), ApiError> {
    if secret.expose_secret().chars().count() > SECRET_LIMIT {
        let problem = format!("At most {SECRET_LIMIT} characters.");
        return Err(ApiError::invalid(&["body", "token_secret"], &problem));
    }
    let (user, name) = token_id.split_once('!').unwrap_or((token_id, ""));
    match Credential::parse(user, Some(name), Some(secret), None) {
        Ok(_) => Ok(()),
        Err(error) => Err(ApiError::plain(StatusCode::BAD_REQUEST, error.to_string())),
    }
}
