//! From a status, a reason phrase and a body to the error that they mean.

use std::time::Duration;

use serde_json::Value;

use super::error::{Error, Refusal};

/// Longest text taken over from an answer, in characters.
const MESSAGE_LIMIT: usize = 500;

/// An answer that is no success.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed<'a> {
    /// `GET`, `POST`, …
    pub(super) method: &'a str,
    /// Path below `/api2/json`, decoded, without a leading slash.
    pub(super) path: &'a str,
    pub(super) status: u16,
    /// The reason phrase where it is not the canonical one of the status.
    pub(super) reason: Option<&'a [u8]>,
    pub(super) body: &'a [u8],
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<Duration>,
    /// What was sent and must not come back in a text.
    pub(super) secrets: &'a [String],
}

/// The error that `failed` means.
pub(super) fn classify(failed: Failed<'_>) -> Error {
    let envelope: Option<Value> = serde_json::from_slice(failed.body).ok();
    let is_sensitive = is_sensitive(failed.method, failed.path);
    let parameters = parameters(&failed, envelope.as_ref(), is_sensitive);
    let said = said(&failed, envelope.as_ref());
    let message = if is_sensitive { None } else { said.clone() };
    let mut message = message.unwrap_or_else(|| generic(failed.status).to_owned());
    if failed.status == 400 && !parameters.is_empty() {
        let pairs: Vec<_> = parameters.iter().map(|(name, text)| joined(name, text)).collect();
        message = format!("{} ({})", message.trim_end_matches('.'), pairs.join("; "));
    }
    let answer = Refusal {
        call: format!("{} {}", failed.method, failed.path),
        status: failed.status,
        message,
    };
    by_status(&failed, answer, parameters, &said.unwrap_or_default())
}

fn by_status(failed: &Failed<'_>, answer: Refusal, parameters: Vec<(String, String)>, said: &str) -> Error {
    let node = || node_of(failed.path).unwrap_or_default().to_owned();
    match failed.status {
        400 if is_gone_task(&parameters) => Error::NotFound { answer },
        400 => Error::BadRequest { answer, parameters },
        401 => Error::AuthFailed { answer },
        403 => {
            let (path, privilege) = missing_privilege(said);
            Error::PermissionDenied {
                answer,
                path,
                privilege,
            }
        }
        404 => Error::NotFound { answer },
        424 => Error::NotClustered { answer },
        429 | 502..=504 => Error::Unavailable {
            answer,
            retry_after: failed.retry_after,
        },
        500 => by_text(answer, parameters, said),
        501 => Error::NotImplemented { answer },
        595 => Error::NodeUnreachable { node: node(), answer },
        596 => Error::NodeTimeout { node: node(), answer },
        597..=599 => Error::NodeError { node: node(), answer },
        _ => Error::Server { answer },
    }
}

/// A 500 means everything that went wrong in a handler; only its text tells what.
fn by_text(answer: Refusal, parameters: Vec<(String, String)>, said: &str) -> Error {
    let text = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["migrated to rules"]) {
        Error::NotImplemented { answer }
    } else if has(&[
        "guest agent is not running",
        "no qemu guest agent configured",
        "is not running",
    ]) {
        Error::GuestUnavailable { answer }
    } else if text.contains("command 'guest-") && text.contains("got timeout") {
        Error::GuestTimeout { answer }
    } else if (text.contains("storage '") && text.contains("is not online")) || has(&["is not available on node"]) {
        Error::StorageOffline { answer }
    } else if has(&[
        "does not exist",
        "no such resource",
        "no such ha",
        "no such file or directory",
        "no such vm",
        "no such storage",
        "no such cluster node",
    ]) || (text.contains("hostname lookup") && text.contains("failed"))
    {
        Error::NotFound { answer }
    } else if has(&["already exists", "already defined", "already used"]) {
        Error::Conflict { answer }
    } else if has(&["is locked", "can't lock file", "got timeout"]) {
        Error::Busy { answer }
    } else if has(&["not a valid", "unable to parse"]) {
        Error::BadRequest { answer, parameters }
    } else {
        Error::Server { answer }
    }
}

/// Calls whose error texts can repeat a secret that was sent.
fn is_sensitive(method: &str, path: &str) -> bool {
    method != "GET" && matches!(path.split('/').next(), Some("storage" | "access"))
}

/// What the answer says in words: `message`, or the reason phrase, or a body that is bare text.
fn said(failed: &Failed<'_>, envelope: Option<&Value>) -> Option<String> {
    let message = envelope
        .and_then(|envelope| envelope.get("message"))
        .and_then(Value::as_str);
    let reason = failed.reason.map(String::from_utf8_lossy);
    // Backup servers answer so. A page comes from something that stands before the server.
    let text = std::str::from_utf8(failed.body).ok();
    let text = text.filter(|text| envelope.is_none() && !text.trim_start().starts_with('<'));
    let texts = [
        message.map(str::to_owned),
        reason.map(std::borrow::Cow::into_owned),
        text.map(str::to_owned),
    ];
    texts
        .into_iter()
        .flatten()
        .map(|text| tidy(&hidden(text, failed.secrets)))
        .find(|text| !text.is_empty())
}

/// One line, no control characters, not endless.
fn tidy(text: &str) -> String {
    let line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_LIMIT)
        .collect();
    line.trim().to_owned()
}

/// `text` without the secrets in it.
fn hidden(text: String, secrets: &[String]) -> String {
    let hide = |text: String, secret: &String| text.replace(secret.as_str(), "(not shown)");
    secrets.iter().fold(text, hide)
}

fn parameters(failed: &Failed<'_>, envelope: Option<&Value>, is_sensitive: bool) -> Vec<(String, String)> {
    let errors = envelope
        .and_then(|envelope| envelope.get("errors"))
        .and_then(Value::as_object);
    let texts = errors.into_iter().flatten().map(|(name, text)| {
        let text = text.as_str().filter(|_| !is_sensitive);
        let text = text.map(|text| tidy(&hidden(text.to_owned(), failed.secrets)));
        (tidy(name), text.unwrap_or_default())
    });
    texts.collect()
}

fn joined(name: &str, text: &str) -> String {
    if text.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {text}")
    }
}

/// A UPID that is unknown or rotated away is answered as a wrong parameter.
fn is_gone_task(parameters: &[(String, String)]) -> bool {
    matches!(parameters, [(name, text)] if name == "upid" && text.to_ascii_lowercase().contains("no such task"))
}

/// The object and the privilege inside `Permission check failed (/vms/100, VM.Audit)`.
fn missing_privilege(said: &str) -> (Option<String>, Option<String>) {
    let inside = said
        .split_once("heck failed (")
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .map(|(inside, _)| inside);
    let Some(inside) = inside else {
        return (None, None);
    };
    match inside.split_once(',') {
        Some((path, privilege)) if path.starts_with('/') => (
            Some(path.trim().to_owned()),
            Some(privilege.trim().to_owned()).filter(|text| !text.is_empty()),
        ),
        _ => (None, Some(inside.trim().to_owned()).filter(|text| is_privilege(text))),
    }
}

/// Whether `text` is one privilege, such as `VM.Audit`, or several parted by `|`.
fn is_privilege(text: &str) -> bool {
    text.contains('.')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '|'))
}

/// The node a path is about.
pub(super) fn node_of(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    (segments.next() == Some("nodes"))
        .then(|| segments.next())
        .flatten()
        .filter(|node| !node.is_empty())
}

const fn generic(status: u16) -> &'static str {
    match status {
        400 => "parameter verification failed",
        401 => "not authenticated",
        403 => "permission denied",
        404 => "not found",
        424 => "the host is in no cluster",
        429 => "too many requests",
        501 => "no such call",
        502..=504 => "no service",
        506 => "the request's form was not understood",
        595 => "no connection to the node",
        596 => "the node did not answer within 30 s",
        597..=599 => "the connection to the node broke",
        _ => "no reason given",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(status: u16, reason: &str, body: &str) -> Error {
        classify(Failed {
            method: "GET",
            path: "nodes/pve1/qemu/100/config",
            status,
            reason: (!reason.is_empty()).then_some(reason.as_bytes()),
            body: body.as_bytes(),
            retry_after: None,
            secrets: &[],
        })
    }

    /// Status, text, and the class they give.
    const CLASSES: &[(u16, &str, &str)] = &[
        (401, "No ticket", "proxmox_auth_failed"),
        (401, "", "proxmox_auth_failed"),
        (
            403,
            "Permission check failed (/vms/100, VM.Audit)",
            "proxmox_permission_denied",
        ),
        (404, "", "proxmox_not_found"),
        (
            424,
            "this node is not in a cluster, no join info available!",
            "proxmox_not_clustered",
        ),
        (
            500,
            "Configuration file 'nodes/pve/qemu-server/100.conf' does not exist",
            "proxmox_not_found",
        ),
        (500, "no such resource 'x'", "proxmox_not_found"),
        (
            500,
            "hostname lookup 'pve9' failed - failed to get address info",
            "proxmox_not_found",
        ),
        (500, "no such cluster node 'pve9'", "proxmox_not_found"),
        (500, "CT 100 already exists on node 'pve'", "proxmox_conflict"),
        (500, "storage ID 'x' already defined", "proxmox_conflict"),
        (500, "VM is locked (backup)", "proxmox_busy"),
        (
            500,
            "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
            "proxmox_busy",
        ),
        (500, "QEMU guest agent is not running", "proxmox_guest_unavailable"),
        (500, "No QEMU guest agent configured", "proxmox_guest_unavailable"),
        (500, "VM 100 is not running", "proxmox_guest_unavailable"),
        (
            500,
            "VM 100 qmp command 'guest-network-get-interfaces' failed - got timeout",
            "proxmox_guest_timeout",
        ),
        (
            500,
            "VM 100 qga command 'guest-network-get-interfaces' failed - got timeout",
            "proxmox_guest_timeout",
        ),
        (
            500,
            "cannot index groups: ha groups have been migrated to rules",
            "proxmox_not_implemented",
        ),
        (500, "storage 'nfs' is not online", "proxmox_storage_offline"),
        (
            500,
            "storage 'x' is not available on node 'pve1'",
            "proxmox_storage_offline",
        ),
        (500, "unable to parse volume ID 'x'", "proxmox_bad_request"),
        (500, "something else", "proxmox_server_error"),
        (501, "Method 'GET /x' not implemented", "proxmox_not_implemented"),
        (506, "", "proxmox_server_error"),
        (595, "No route to host", "proxmox_node_unreachable"),
        (596, "Connection timed out", "proxmox_node_timeout"),
        (597, "", "proxmox_node_error"),
        (599, "", "proxmox_node_error"),
        (502, "", "proxmox_unavailable"),
        (503, "", "proxmox_unavailable"),
    ];

    #[test]
    fn body_that_is_bare_text_is_what_was_said_and_a_page_is_not() {
        for (body, wanted) in [
            ("datastore 'main' is offline\n", "datastore 'main' is offline"),
            ("<html><h1>Bad Gateway</h1></html>", "parameter verification failed"),
            (r#""quoted""#, "parameter verification failed"),
            ("", "parameter verification failed"),
        ] {
            let told = classified(400, "", body).to_string();
            assert!(told.contains(wanted), "{body}: {told}");
        }
        let reason = classified(400, "the reason", "the body").to_string();
        assert!(reason.contains("the reason"), "{reason}");
    }

    #[test]
    fn status_and_text_give_the_class() {
        for (status, text, wanted) in CLASSES {
            let old = classified(*status, text, r#"{"data":null}"#);
            assert_eq!(old.reason(), *wanted, "reason phrase: {status} {text}");
            assert_eq!(old.upstream_status(), Some(*status), "{status} {text}");
            let body = serde_json::json!({"data": null, "message": format!("{text}\n")}).to_string();
            assert_eq!(
                classified(*status, "", &body).reason(),
                *wanted,
                "message: {status} {text}"
            );
        }
    }

    #[test]
    fn node_errors_carry_the_node_of_the_path() {
        for status in [595, 596, 598] {
            let shown = classified(status, "", "").to_string();
            assert!(shown.contains("node `pve1`"), "{shown}");
        }
    }

    #[test]
    fn missing_privilege_is_read_from_every_form() {
        type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>);
        let table: &[Row<'_>] = &[
            (
                "Permission check failed (/vms/100, VM.Audit)",
                Some("/vms/100"),
                Some("VM.Audit"),
            ),
            ("Permission check failed (/, Sys.Audit)", Some("/"), Some("Sys.Audit")),
            (
                "Permission check failed (/storage/a, Datastore.Audit|Datastore.AllocateSpace)",
                Some("/storage/a"),
                Some("Datastore.Audit|Datastore.AllocateSpace"),
            ),
            ("Permission check failed (VM.Audit)", None, Some("VM.Audit")),
            ("Permission check failed", None, None),
            ("Permission check failed (user != root@pam)", None, None),
            (
                "Permission check failed (changing feature flags (except nesting) is only for root@pam)",
                None,
                None,
            ),
        ];
        for (text, wanted_path, wanted_privilege) in table {
            let Error::PermissionDenied { path, privilege, .. } = classified(403, text, "") else {
                panic!("{text} is another class");
            };
            assert_eq!(path.as_deref(), *wanted_path, "{text}");
            assert_eq!(privilege.as_deref(), *wanted_privilege, "{text}");
        }
    }

    #[test]
    fn bad_request_names_its_parameters_and_a_gone_task_is_not_found() {
        let body = r#"{"errors":{"vmid":"type check ('integer') failed"},"data":null,"message":"Parameter verification failed.\n"}"#;
        let Error::BadRequest { answer, parameters } = classified(400, "Parameter verification failed.", body) else {
            panic!("another class");
        };
        assert_eq!(
            parameters,
            [("vmid".to_owned(), "type check ('integer') failed".to_owned())]
        );
        assert_eq!(
            answer.message,
            "Parameter verification failed (vmid: type check ('integer') failed)"
        );
        let gone = r#"{"errors":{"upid":"no such task"},"data":null}"#;
        assert_eq!(
            classified(400, "Parameter verification failed.", gone).reason(),
            "proxmox_not_found"
        );
    }

    #[test]
    fn texts_of_calls_with_secrets_are_kept_back() {
        let known = ["hunter2".to_owned()];
        for (method, path, secrets, is_hidden) in [
            ("POST", "storage", &[][..], true),
            ("PUT", "storage/pbs", &[], true),
            ("POST", "access/ticket", &[], true),
            ("PUT", "access/users/a@pve/token/x", &[], true),
            ("GET", "storage", &[], false),
            ("POST", "nodes/pve1/qemu", &[], false),
            ("POST", "nodes/pve1/qemu", &known, true),
        ] {
            let error = classify(Failed {
                method,
                path,
                status: 400,
                reason: Some(b"bad hunter2"),
                body: br#"{"message":"bad hunter2","errors":{"password":"hunter2 is too short"}}"#,
                retry_after: None,
                secrets,
            });
            let shown = format!("{error} {error:?}");
            assert_eq!(!shown.contains("hunter2"), is_hidden, "{method} {path}: {shown}");
            assert!(shown.contains("password"), "{shown}");
        }
    }

    #[test]
    fn text_is_one_tidy_line_even_from_raw_bytes() {
        let error = classify(Failed {
            method: "GET",
            path: "version",
            status: 500,
            reason: Some(b"b\xFFad\x07 thing"),
            body: b"",
            retry_after: None,
            secrets: &[],
        });
        let message = error.answer().map(|answer| answer.message.clone()).unwrap();
        assert_eq!(message, "b\u{FFFD}ad  thing");
        let long = classified(500, &"x".repeat(9_000), "");
        assert_eq!(long.answer().map(|answer| answer.message.len()), Some(MESSAGE_LIMIT));
    }
}
