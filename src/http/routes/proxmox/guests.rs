//! `/proxmox/{node}/{type}/{vmid}/config`: a guest's configuration in the plugin's forms.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::extract::Path;
use crate::http::scope::Scope;
use crate::http::targets::{Target, select};
use crate::proxmox::{Error, GuestConfig, GuestKind, Property, Vmid, wire};

/// Keys that are yes or no.
const FLAGS: &[&str] = &[
    "onboot",
    "numa",
    "keephugepages",
    "acpi",
    "kvm",
    "localtime",
    "tdf",
    "tablet",
    "agent",
    "autostart",
    "reboot",
    "freeze",
    "protection",
    "template",
    "ciupgrade",
    "allow-ksm",
    "unprivileged",
    "nesting",
    "console",
    "debug",
];
/// Keys that are whole numbers.
const NUMBERS: &[&str] = &[
    "cores",
    "sockets",
    "cpuunits",
    "vcpus",
    "memory",
    "balloon",
    "shares",
    "migrate_speed",
    "snaptime",
    "smp",
    "swap",
    "running-nets-host-mtu",
];
/// Keys that are numbers with a fraction.
const SHARES: &[&str] = &["cpulimit", "migrate_downtime"];
/// Keys that are left out: they are, or may hold, secrets.
const SECRETS: &[&str] = &["cipassword", "sshkeys"];
/// What the keys of drives and volumes begin with, before their number.
const DRIVES: &[&str] = &["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "mp", "unused"];
const MIB: u64 = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(config))
}

/// How a guest is configured, of the first selected endpoint that has it. Passwords and keys are left out.
#[utoipa::path(
    get, path = "/proxmox/{node}/{type}/{vmid}/config", tag = "proxmox",
    params(Scope, ("node" = String, Path), ("type" = String, Path, description = "`qemu` or `lxc`"), ("vmid" = u32, Path)),
    responses((status = 200, body = Value), (status = 400, description = "No selected endpoint has the guest")),
)]
async fn config(
    State(state): State<AppState>,
    Path((node, kind, vmid)): Path<(String, String, u32)>,
    scope: Scope,
) -> Result<Json<Value>, ApiError> {
    let kind = match kind.as_str() {
        "qemu" => GuestKind::Qemu,
        "lxc" => GuestKind::Lxc,
        _ => {
            let text = "Invalid VM Type. Use 'qemu' or 'lxc'.";
            return Err(ApiError::message(StatusCode::BAD_REQUEST, text, Value::Null));
        }
    };
    let (node, vmid) = (node.as_str(), Vmid(vmid));
    let targets = select(&state, &scope.filter).await?.targets.into_iter();
    let reads = targets.map(|target| async move {
        let config = match target.session.clone() {
            Ok(session) => session.guest_config(node, kind, vmid).await,
            Err(error) => Err(error),
        };
        config.map_err(|error| (target, error))
    });
    let mut failures = Vec::new();
    for read in join_all(reads).await {
        match read {
            Ok(config) => return Ok(Json(shaped(&config))),
            Err(failure) => failures.push(failure),
        }
    }
    Err(absent(failures))
}

/// Nobody has the guest; or somebody who may have it could not be asked, which is the failure then.
fn absent(failures: Vec<(Target, Error)>) -> ApiError {
    let texts: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
    let mut failures = failures.into_iter();
    match failures.find(|(_, error)| !matches!(error, Error::NotFound { .. })) {
        Some((target, error)) => ApiError::from(error).about(target.key, &target.settings.name),
        None => ApiError::message(StatusCode::BAD_REQUEST, "VM Config not found.", texts.join("; ")),
    }
}

/// The configuration without what is null or secret, with `disks` and `networks` worked out.
fn shaped(config: &GuestConfig) -> Value {
    let raw = config.raw();
    let kept = raw
        .iter()
        .filter(|(key, value)| !value.is_null() && !SECRETS.contains(&key.as_str()));
    let mut shaped: Map<String, Value> = kept.map(|(key, value)| (key.clone(), typed(key, value))).collect();
    let mut drives: Vec<_> = raw.iter().filter(|(key, _)| is_drive(key)).collect();
    drives.sort_by_key(|(key, _)| *key);
    let disks: Vec<Value> = drives.into_iter().filter_map(|(key, value)| disk(key, value)).collect();
    let networks: Vec<Value> = config
        .networks()
        .iter()
        .map(|(number, network)| interface(*number, network))
        .collect();
    shaped.insert("disks".to_owned(), Value::from(disks));
    shaped.insert("networks".to_owned(), Value::from(networks));
    Value::Object(shaped)
}

/// A value in the form that its key has; as it came where it has another.
fn typed(key: &str, value: &Value) -> Value {
    // `agent` and `memory` may be property strings with the value itself under a default key.
    let property = value.as_str().map(Property::parse);
    let inner = |name: &str| {
        property
            .as_ref()
            .and_then(|property| property.get_default(name))
            .map(Value::from)
    };
    let read = if FLAGS.contains(&key) {
        wire::flag_of(&inner("enabled").unwrap_or_else(|| value.clone()))
            .ok()
            .flatten()
            .map(Value::from)
    } else if NUMBERS.contains(&key) {
        wire::number_of::<i64>(&inner("current").unwrap_or_else(|| value.clone()))
            .ok()
            .flatten()
            .map(Value::from)
    } else if SHARES.contains(&key) {
        wire::number_of::<f64>(value).ok().flatten().map(Value::from)
    } else {
        wire::text_of(value).ok().flatten().map(Value::from)
    };
    read.unwrap_or_else(|| value.clone())
}

fn is_drive(key: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    key == "rootfs"
        || DRIVES
            .iter()
            .any(|prefix| key.strip_prefix(prefix).is_some_and(is_number))
}

/// A drive, in the words and MiB that its virtual disk in NetBox has. What is not known is left out.
fn disk(key: &str, value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let drive = Property::parse(text);
    let volume = drive
        .get_default("file")
        .or_else(|| drive.get("volume"))
        .unwrap_or_default();
    let is_cdrom = drive
        .get("media")
        .is_some_and(|media| media.eq_ignore_ascii_case("cdrom"));
    let storage = volume.split_once(':').map(|(storage, _)| storage);
    let format = drive.get("format");
    let size = drive.get("size").and_then(bytes).map(|bytes| bytes.div_ceil(MIB));
    let size = size.filter(|_| !is_cdrom);
    let description = match (is_cdrom, volume) {
        (true, "" | "none") => "CD-ROM drive".to_owned(),
        (true, volume) => format!("CD-ROM drive | ISO: {volume}"),
        (false, volume) => {
            let format = format.map(|format| format!(" | Format: {format}"));
            format!("Storage: {}{}", storage.unwrap_or(volume), format.unwrap_or_default())
        }
    };
    let told = [
        ("name", json!(key)),
        ("raw_value", json!(text)),
        ("size", json!(size)),
        ("storage", json!(volume)),
        ("storage_name", json!(storage.filter(|_| !is_cdrom))),
        ("format", json!(format)),
        ("description", json!(description)),
        ("size_mb", json!(size.unwrap_or_default())),
    ];
    Some(told.into_iter().filter(|(_, value)| !value.is_null()).collect())
}

/// The bytes of a size such as `32G`, `528K` or `4194304`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A network interface: the parts of its property string, under its key.
fn interface(number: u32, network: &Property) -> Value {
    let parts: Map<String, Value> = network
        .pairs()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    [(format!("net{number}"), Value::Object(parts))].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_is_shaped_and_tells_no_secret() {
        let answer = json!({
            "name": "web", "agent": "1,fstrim_cloned_disks=1", "memory": "4096", "cores": "2", "onboot": 0, "tags": "a;b",
            "cipassword": "geheim", "sshkeys": "ssh-ed25519%20AAAA", "digest": "d", "cpulimit": "1.5", "lock": null,
            "scsi0": "local-lvm:vm-100-disk-0,format=raw,size=32G", "scsihw": "virtio-scsi-pci",
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20",
        });
        let shaped = shaped(&GuestConfig::decode(GuestKind::Qemu, answer).unwrap());
        assert_eq!(
            shaped,
            json!({
                "name": "web", "agent": true, "memory": 4096, "cores": 2, "onboot": false, "tags": "a;b", "digest": "d",
                "cpulimit": 1.5, "scsi0": "local-lvm:vm-100-disk-0,format=raw,size=32G", "scsihw": "virtio-scsi-pci",
                "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20",
                "disks": [{
                    "name": "scsi0", "raw_value": "local-lvm:vm-100-disk-0,format=raw,size=32G", "size": 32768,
                    "storage": "local-lvm:vm-100-disk-0", "storage_name": "local-lvm", "format": "raw",
                    "description": "Storage: local-lvm | Format: raw", "size_mb": 32768,
                }],
                "networks": [{"net0": {"virtio": "BC:24:11:00:00:01", "bridge": "vmbr0", "tag": "20"}}],
            })
        );
    }

    #[test]
    fn drives_stand_in_the_order_of_their_keys_without_what_is_not_known() {
        let drives = json!({
            "scsi3": "/dev/disk/by-id/ata-1,size=3907018584K", "ide3": "local-lvm:vm-100-cloudinit,media=cdrom,size=4M",
            "ide2": "none,media=cdrom",
        });
        let shaped = shaped(&GuestConfig::decode(GuestKind::Qemu, drives).unwrap());
        assert_eq!(
            shaped["disks"],
            json!([
                {
                    "name": "ide2", "raw_value": "none,media=cdrom", "storage": "none", "description": "CD-ROM drive",
                    "size_mb": 0,
                },
                {
                    "name": "ide3", "raw_value": "local-lvm:vm-100-cloudinit,media=cdrom,size=4M",
                    "storage": "local-lvm:vm-100-cloudinit",
                    "description": "CD-ROM drive | ISO: local-lvm:vm-100-cloudinit", "size_mb": 0,
                },
                {
                    "name": "scsi3", "raw_value": "/dev/disk/by-id/ata-1,size=3907018584K", "size": 3_815_448,
                    "storage": "/dev/disk/by-id/ata-1", "description": "Storage: /dev/disk/by-id/ata-1",
                    "size_mb": 3_815_448,
                },
            ])
        );
    }

    #[test]
    fn size_of_every_unit_is_bytes() {
        for (text, expected) in [
            ("4194304", Some(4_194_304)),
            ("528K", Some(540_672)),
            ("4M", Some(4_194_304)),
            ("1 g", Some(1 << 30)),
            ("2T", Some(2 << 40)),
            ("many", None),
            ("", None),
            ("99999999999T", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }
}
