//! Which guests are templates where the list of them does not say so.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use super::fields::Row;
use crate::proxmox::{GuestKind, Session, Vmid, wire};

const TEMPLATE: &str = "template";

/// Says of each guest in `rows` whether it is a template. Proxmox leaves that out where its statistics do not know the
/// guest, as on a node that is off, and the plugin deletes what it holds of templates that are not listed as such.
///
/// What the guest's configuration says counts. Where that cannot be read the guest is said to be one: then the plugin
/// keeps what it holds, and makes nothing new, because it reads the configuration too.
pub(super) async fn tell_templates(session: &Session, rows: &mut [Row]) {
    let unsaid: Vec<&mut Row> = rows.iter_mut().filter(|row| is_unsaid(row)).collect();
    if unsaid.is_empty() {
        return;
    }
    let offline = offline_nodes(session).await;
    let reads = unsaid.into_iter().map(|row| {
        let offline = &offline;
        async move {
            let is_template = is_template(session, row, offline).await.unwrap_or(true);
            row.insert(TEMPLATE.to_owned(), Value::Bool(is_template));
        }
    });
    join_all(reads).await;
}

fn is_unsaid(row: &Row) -> bool {
    let is_guest = matches!(row.get("type").and_then(Value::as_str), Some("qemu" | "lxc"));
    let is_unknown = row.get("status").and_then(Value::as_str) == Some("unknown");
    is_guest && is_unknown && row.get(TEMPLATE).is_none_or(Value::is_null)
}

/// The nodes that are known to be off; none where that cannot be read.
async fn offline_nodes(session: &Session) -> BTreeSet<String> {
    let Ok(nodes) = session.list_nodes().await else {
        return BTreeSet::new();
    };
    let offline = nodes.items.into_iter();
    let offline = offline.filter(|row| row.status.as_deref() == Some("offline"));
    offline.map(|row| row.node).collect()
}

/// What the configuration of the guest says, where it can be read.
async fn is_template(session: &Session, row: &Row, offline: &BTreeSet<String>) -> Option<bool> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let kind = match text("type")? {
        "qemu" => GuestKind::Qemu,
        _ => GuestKind::Lxc,
    };
    let vmid = Vmid(wire::number_of(row.get("vmid")?).ok().flatten()?);
    let node = text("node").filter(|node| !offline.contains(*node))?;
    let config = session.guest_config(node, kind, vmid).await.ok()?;
    Some(config.is_template())
}
