//! The objects of a plain answer, as NetBox shows them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::netbox::{Client, Query};
use crate::sync::{Job, Stage};

const MACHINES: &str = "/api/virtualization/virtual-machines/";

/// Objects that a plain answer shows whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    stage: Stage,
    /// Where NetBox has them.
    path: &'static str,
    /// The member of what the run tells of each that holds the object; `None`: that is the object itself.
    member: Option<&'static str>,
}

const WHOLE: &[Whole] = &[
    Whole {
        stage: Stage::VirtualMachines,
        path: MACHINES,
        member: None,
    },
    Whole {
        stage: Stage::Backups,
        path: "/api/plugins/proxbox/backups/",
        member: None,
    },
    Whole {
        stage: Stage::VmInterfaces,
        path: "/api/virtualization/interfaces/",
        member: Some("interface"),
    },
];

/// The objects of `work` that a plain answer shows whole.
pub(super) fn whole(work: &Job) -> Option<&'static Whole> {
    WHOLE.iter().find(|whole| *work == Job::Stage(whole.stage))
}

/// Puts the whole objects into `body`, or into its member `list`, where a run has told their ids. The run is over: where
/// they cannot be read the answer stays as it is.
pub(super) async fn show(netbox: &Client, whole: &Whole, list: &str, body: &mut Value) {
    let path = whole.path;
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
        let row = id_of(record).and_then(|id| rows.remove(&id));
        let (Some(row), Value::Object(record)) = (row, record) else {
            continue;
        };
        match whole.member {
            Some(member) => drop(record.insert(member.to_owned(), Value::Object(row))),
            None => record.extend(row),
        }
    }
}

fn id_of(record: &Value) -> Option<u64> {
    record.get("id")?.as_u64()
}
