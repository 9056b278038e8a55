//! What a request may change of a Proxmox endpoint, and the rules of the merged row.

use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::hosts::check_host;
use crate::http::patch::{MaybeNumber, MaybeSeconds, MaybeSecret, MaybeText, Patch, Port, Switch, Text, Texts};
use crate::proxmox::{Credential, CredentialError, Fingerprint};
use crate::store::{ProxmoxDraft, ProxmoxSettings, SecretChange};
use crate::sync::{DeviceNameParts, TEMPLATE_FORM, device_name, endpoint_label, is_device_name_template};

/// Members of a Proxmox endpoint; those that are absent stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProxmoxEndpointChange)]
pub(super) struct Change {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    node_device_name_template: Text,
    #[serde(default)]
    ip_address: Text,
    #[serde(default)]
    domain: MaybeText,
    #[serde(default)]
    port: Port,
    #[serde(default)]
    username: Text,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    password: MaybeSecret,
    #[serde(default)]
    token_name: MaybeText,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    token_value: MaybeSecret,
    #[serde(default)]
    verify_ssl: Switch,
    #[serde(default)]
    enabled: Switch,
    #[serde(default)]
    allow_writes: Switch,
    #[serde(default)]
    allow_packer_template_builds: Switch,
    #[serde(default)]
    access_methods: Text,
    #[serde(default)]
    ssh_target_node: MaybeText,
    #[serde(default)]
    ssh_host: MaybeText,
    #[serde(default)]
    ssh_username: MaybeText,
    #[serde(default)]
    ssh_port: Port,
    #[serde(default)]
    ssh_identity_file: MaybeText,
    #[serde(default)]
    ssh_known_host_fingerprint: MaybeText,
    #[serde(default)]
    site_id: MaybeNumber,
    #[serde(default)]
    site_slug: MaybeText,
    #[serde(default)]
    site_name: MaybeText,
    #[serde(default)]
    tenant_id: MaybeNumber,
    #[serde(default)]
    tenant_slug: MaybeText,
    #[serde(default)]
    tenant_name: MaybeText,
    #[serde(default)]
    timeout: MaybeNumber,
    #[serde(default)]
    max_retries: MaybeNumber,
    #[serde(default)]
    retry_backoff: MaybeSeconds,
    #[serde(default)]
    connect_timeout: MaybeNumber,
    #[serde(default)]
    max_parallel: MaybeNumber,
    #[serde(default)]
    tls_fingerprints: Texts,
    #[serde(default)]
    tls_ca_pem: MaybeText,
}

impl Change {
    /// A new endpoint.
    ///
    /// # Errors
    ///
    /// 422 where a required member is absent, and as [`Self::merge`].
    pub(super) fn into_draft(self) -> Result<ProxmoxDraft, ApiError> {
        let required = [
            ("name", self.name.is_absent()),
            ("ip_address", self.ip_address.is_absent()),
            ("port", self.port.is_absent()),
            ("username", self.username.is_absent()),
        ];
        if let Some((field, _)) = required.iter().find(|(_, is_absent)| *is_absent) {
            return Err(ApiError::invalid(&["body", field], "Field required."));
        }
        let mut draft = ProxmoxDraft {
            settings: ProxmoxSettings::default(),
            token_name: None,
            password: SecretChange::Keep,
            token_value: SecretChange::Keep,
        };
        self.merge(&mut draft)?;
        Ok(draft)
    }

    /// Puts the members into `draft` and checks the outcome.
    ///
    /// # Errors
    ///
    /// 422 naming the member that is out of range; 400 where the host or the credentials cannot be used.
    pub(super) fn merge(self, draft: &mut ProxmoxDraft) -> Result<(), ApiError> {
        let settings = &mut draft.settings;
        self.name.apply(&mut settings.name);
        self.node_device_name_template
            .apply(&mut settings.node_device_name_template);
        settings.node_device_name_template = settings.node_device_name_template.trim().to_owned();
        self.ip_address.apply(&mut settings.ip_address);
        self.domain.apply(&mut settings.domain);
        self.port.apply(&mut settings.port);
        self.username.apply(&mut settings.username);
        self.verify_ssl.apply(&mut settings.verify_ssl);
        self.enabled.apply(&mut settings.enabled);
        self.allow_writes.apply(&mut settings.allow_writes);
        self.allow_packer_template_builds
            .apply(&mut settings.allow_packer_template_builds);
        self.access_methods.apply(&mut settings.access_methods);
        self.ssh_target_node.apply(&mut settings.ssh_target_node);
        self.ssh_host.apply(&mut settings.ssh_host);
        self.ssh_username.apply(&mut settings.ssh_username);
        self.ssh_port.apply(&mut settings.ssh_port);
        self.ssh_identity_file.apply(&mut settings.ssh_identity_file);
        self.ssh_known_host_fingerprint
            .apply(&mut settings.ssh_known_host_fingerprint);
        self.site_id.apply(&mut settings.site_id);
        self.site_slug.apply(&mut settings.site_slug);
        self.site_name.apply(&mut settings.site_name);
        self.tenant_id.apply(&mut settings.tenant_id);
        self.tenant_slug.apply(&mut settings.tenant_slug);
        self.tenant_name.apply(&mut settings.tenant_name);
        self.timeout.apply(&mut settings.timeout);
        self.max_retries.apply(&mut settings.max_retries);
        self.retry_backoff.apply(&mut settings.retry_backoff);
        self.connect_timeout.apply(&mut settings.connect_timeout);
        self.max_parallel.apply(&mut settings.max_parallel);
        self.tls_fingerprints.apply(&mut settings.tls_fingerprints);
        self.tls_ca_pem.apply(&mut settings.tls_ca_pem);
        check(settings)?;
        if let Patch::Given(password) = self.password {
            draft.password = SecretChange::Set(password);
        }
        set_token(draft, self.token_name, self.token_value)
    }
}

/// Takes a token apart in whatever form it was pasted, so that name and secret are stored bare.
fn set_token(
    draft: &mut ProxmoxDraft,
    name: Patch<Option<String>>,
    value: Patch<Option<SecretString>>,
) -> Result<(), ApiError> {
    if name.is_absent() && value.is_absent() {
        return Ok(());
    }
    let is_kept = value.is_absent();
    name.apply(&mut draft.token_name);
    let is_blank = |text: &str| text.trim().is_empty();
    draft.token_name = draft.token_name.take().filter(|name| !is_blank(name));
    let value = value.given().flatten().filter(|value| !is_blank(value.expose_secret()));
    let credential = Credential::parse(
        &draft.settings.username,
        draft.token_name.as_deref(),
        value.as_ref(),
        None,
    );
    match credential {
        Ok(Credential::Token { name, secret }) => {
            draft.token_name = Some(name);
            draft.token_value = SecretChange::Set(Some(secret));
        }
        // Only the name was sent: the stored secret stays.
        Err(CredentialError::SecretMissing { name }) if is_kept => draft.token_name = Some(name),
        // The store tells whether what is left is enough.
        Ok(Credential::Password(_)) | Err(CredentialError::Missing) if is_kept => {}
        Ok(Credential::Password(_)) | Err(CredentialError::Missing | CredentialError::SecretMissing { .. }) => {
            draft.token_value = SecretChange::Set(None);
        }
        Err(error) => return Err(ApiError::plain(StatusCode::BAD_REQUEST, error.to_string())),
    }
    Ok(())
}

/// The rules of a row, its credentials aside.
fn check(settings: &ProxmoxSettings) -> Result<(), ApiError> {
    check_lengths(settings)?;
    check_ranges(settings)?;
    check_ssh(settings)?;
    check_template(settings)?;
    check_host(&settings.ip_address, settings.domain.as_deref())?;
    if let Some(error) = settings
        .tls_fingerprints
        .iter()
        .find_map(|text| text.parse::<Fingerprint>().err())
    {
        return Err(ApiError::invalid(&["body", "tls_fingerprints"], &error.to_string()));
    }
    Ok(())
}

fn check_lengths(settings: &ProxmoxSettings) -> Result<(), ApiError> {
    let longest = [
        ("name", Some(&settings.name), 255),
        (
            "node_device_name_template",
            Some(&settings.node_device_name_template),
            128,
        ),
        ("ip_address", Some(&settings.ip_address), 45),
        ("domain", settings.domain.as_ref(), 255),
        ("username", Some(&settings.username), 255),
        ("ssh_target_node", settings.ssh_target_node.as_ref(), 255),
        ("ssh_host", settings.ssh_host.as_ref(), 255),
        ("ssh_username", settings.ssh_username.as_ref(), 64),
        ("ssh_identity_file", settings.ssh_identity_file.as_ref(), 4096),
        (
            "ssh_known_host_fingerprint",
            settings.ssh_known_host_fingerprint.as_ref(),
            128,
        ),
        ("site_slug", settings.site_slug.as_ref(), 255),
        ("site_name", settings.site_name.as_ref(), 255),
        ("tenant_slug", settings.tenant_slug.as_ref(), 255),
        ("tenant_name", settings.tenant_name.as_ref(), 255),
    ];
    for (field, text, limit) in longest {
        if text.is_some_and(|text| text.chars().count() > limit) {
            return Err(ApiError::invalid(
                &["body", field],
                &format!("At most {limit} characters."),
            ));
        }
    }
    let filled = [("name", &settings.name), ("username", &settings.username)];
    match filled.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((field, _)) => Err(ApiError::invalid(&["body", field], "Must not be empty.")),
        None => Ok(()),
    }
}

fn check_ranges(settings: &ProxmoxSettings) -> Result<(), ApiError> {
    let ranges = [
        ("port", Some(i64::from(settings.port)), 1..=65_535),
        ("ssh_port", Some(i64::from(settings.ssh_port)), 1..=65_535),
        ("site_id", settings.site_id, 1..=i64::MAX),
        ("tenant_id", settings.tenant_id, 1..=i64::MAX),
        ("timeout", settings.timeout, 1..=3600),
        ("connect_timeout", settings.connect_timeout, 1..=3600),
        ("max_retries", settings.max_retries, 0..=100),
        ("max_parallel", settings.max_parallel, 1..=64),
    ];
    for (field, value, range) in ranges {
        if value.is_some_and(|value| !range.contains(&value)) {
            let problem = format!("Must be between {} and {}.", range.start(), range.end());
            return Err(ApiError::invalid(&["body", field], &problem));
        }
    }
    if settings
        .retry_backoff
        .is_some_and(|value| !(0.0..=300.0).contains(&value))
    {
        return Err(ApiError::invalid(
            &["body", "retry_backoff"],
            "Must be between 0 and 300.",
        ));
    }
    if !matches!(settings.access_methods.as_str(), "api" | "api_ssh") {
        return Err(ApiError::invalid(
            &["body", "access_methods"],
            "Must be 'api' or 'api_ssh'.",
        ));
    }
    Ok(())
}

fn check_ssh(settings: &ProxmoxSettings) -> Result<(), ApiError> {
    let binding = [
        &settings.ssh_target_node,
        &settings.ssh_host,
        &settings.ssh_username,
        &settings.ssh_identity_file,
        &settings.ssh_known_host_fingerprint,
    ];
    let given = binding
        .iter()
        .filter(|part| part.as_ref().is_some_and(|text| !text.trim().is_empty()))
        .count();
    if given == 0 || given == binding.len() {
        return Ok(());
    }
    let text = "ssh_target_node, ssh_host, ssh_username, ssh_identity_file and ssh_known_host_fingerprint must be given \
                together";
    Err(ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, text))
}

fn check_template(settings: &ProxmoxSettings) -> Result<(), ApiError> {
    let template = settings.node_device_name_template.trim();
    let endpoint = endpoint_label(&settings.name);
    let sample = DeviceNameParts {
        node: "node",
        cluster: "cluster",
        endpoint,
    };
    if template.is_empty() || (is_device_name_template(template) && device_name(template, sample).is_ok()) {
        return Ok(());
    }
    let text = format!("node_device_name_template must be {TEMPLATE_FORM}");
    Err(ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, text))
}
