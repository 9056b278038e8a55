//! The objects of a plain answer, as NetBox shows them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::netbox::{Client, Query};
use crate::sync::{Job, Stage};

const MACHINES: &str = "/api/virtualization/virtual-machines/";
const BACKUPS: &str = "/api/plugins/proxbox/backups/";

/// Where NetBox has the objects of `work` that a plain answer shows whole.
pub(super) fn path_of(work: &Job) -> Option<&'static str> {
    let mut whole = [(Stage::VirtualMachines, MACHINES), (Stage::Backups, BACKUPS)].into_iter();
    let found = whole.find(|(stage, _)| *work == Job::Stage(*stage));
    found.map(|(_, path)| path)
}

/// Puts the whole objects at `path` into `body`, or into its member `list`, where a run has told their ids, names and
/// `operation`. The run is over: where they cannot be read the answer stays as it is.
pub(super) async fn show(netbox: &Client, path: &str, list: &str, body: &mut Value) {
    let place = if body.is_array() {
        Some(body)
    } else {
        body.get_mut(list)
    };
    let Some(told) = place.and_then(Value::as_array_mut) else {
        return;
    };
    let ids: Vec<String> = told.iter().filter_map(id_of).map(|id| id.to_string()).collect();
    // Which rows are wanted is proven by their ids below.
    let mut query = Query::new().expect_chunk("id");
    if path == MACHINES {
        query = query.omit("config_context");
    }
    let rows = match netbox
        .list_chunked::<Map<String, Value>>(path, &query, "id", &ids)
        .await
    {
        Ok(rows) => rows,
        Err(error) => {
            tracing::warn!(path, %error, "objects cannot be read for the answer");
            return;
        }
    };
    let mut rows: HashMap<u64, Map<String, Value>> = rows
        .into_iter()
        .filter_map(|row| Some((row.get("id")?.as_u64()?, row)))
        .collect();
    for record in told {
        if let (Some(row), Value::Object(record)) = (id_of(record).and_then(|id| rows.remove(&id)), record) {
            record.extend(row);
        }
    }
}

fn id_of(record: &Value) -> Option<u64> {
    record.get("id")?.as_u64()
}
