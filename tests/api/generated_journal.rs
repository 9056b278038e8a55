//! Changes of Proxmox stand in the journal before they are sent, whatever becomes of them and of who asked.

#![expect(clippy::unwrap_used, reason = "a test stops where an answer has another shape")]

use std::time::Duration;

use proxbox_api::proxmox::mock::{Fault, MockProxmox};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::generated::{guest, journal, writable};
use crate::support::{TestApp, answer};

/// Longer than any test: what waits for this never comes.
const NEVER: Duration = Duration::from_hours(1);

/// Where a guest of the mock is configured, below Proxmox's own root.
fn config(mock: &MockProxmox) -> String {
    let (node, vmid) = guest(mock);
    format!("/nodes/{node}/qemu/{vmid}/config")
}

/// A change of `path` in somebody's name.
fn change(app: &TestApp, path: &str, actor: impl AsRef<[u8]>) -> RequestBuilder {
    let request = app.request(Method::PUT, &format!("/proxmox/api2/latest{path}"));
    let actor = reqwest::header::HeaderValue::from_bytes(actor.as_ref()).unwrap();
    request.header("X-Proxbox-Actor", actor).form(&[("cores", "7")])
}

fn outcome(entry: &Value) -> (&str, &Value) {
    (entry["outcome"].as_str().unwrap(), &entry["status"])
}

#[tokio::test]
async fn change_under_way_stands_in_the_journal_and_its_outcome_is_open_where_proxmox_dies() {
    let (app, mock, id) = writable().await;
    let path = config(&mock);
    mock.faults().on_path(&path, Fault::Latency(NEVER));
    let changing = tokio::spawn(change(&app, &path, "jane").send());
    mock.open_requests().wait_for(|open| *open == 1).await.unwrap();
    let entries = journal(&app).await;
    let (who, what) = (&entries[0]["actor"], &entries[0]["parameters"]);
    assert_eq!((who, what), (&json!("jane"), &json!(r#"{"cores":"7"}"#)));
    assert_eq!(
        (&entries[0]["endpoint_id"], &entries[0]["ended_at"]),
        (&json!(id), &Value::Null)
    );
    assert!(entries[0]["sent_at"].as_i64().unwrap() > 1_700_000_000, "{entries:?}");
    assert_eq!(outcome(&entries[0]), ("sent", &Value::Null));
    mock.stop().await;
    let (status, body) = answer(changing.await.unwrap().unwrap()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{body}");
    let entries = journal(&app).await;
    assert_eq!(outcome(&entries[0]), ("unknown", &Value::Null), "{entries:?}");
    assert!(entries[0]["ended_at"].is_i64(), "{entries:?}");
}

#[tokio::test]
async fn change_goes_on_and_its_outcome_is_kept_where_the_client_leaves() {
    let (app, mock, _) = writable().await;
    let path = config(&mock);
    mock.faults().on_path(&path, Fault::Latency(Duration::from_millis(50)));
    let changing = tokio::spawn(change(&app, &path, "jane").send());
    mock.open_requests().wait_for(|open| *open == 1).await.unwrap();
    changing.abort();
    // The service ends what it has begun before it stops.
    let app = app.restart().await;
    let entries = journal(&app).await;
    assert_eq!(outcome(&entries[0]), ("done", &json!(200)), "{entries:?}");
    assert_eq!(
        app.get(&format!("/proxmox/api2/latest{path}")).await.1["cores"],
        json!(7)
    );
}

#[tokio::test]
async fn change_that_reached_nobody_is_told_apart_from_one_that_may_have() {
    let (app, mock, _) = writable().await;
    let path = config(&mock);
    mock.faults().endpoint_down(true);
    let (status, _) = answer(change(&app, &path, "jane").send().await.unwrap()).await;
    assert_eq!(
        (status, outcome(&journal(&app).await[0])),
        (StatusCode::BAD_GATEWAY, ("unknown", &Value::Null))
    );
    mock.stop().await;
    let (status, _) = answer(change(&app, &path, "jane").send().await.unwrap()).await;
    assert_eq!(
        (status, outcome(&journal(&app).await[0])),
        (StatusCode::BAD_GATEWAY, ("refused", &Value::Null))
    );
}

#[tokio::test]
async fn change_that_cannot_be_journalled_is_not_sent() {
    let (app, mock, _) = writable().await;
    let path = config(&mock);
    let database = app.folder().join("database.db");
    let database = sqlx::SqlitePool::connect(database.to_str().unwrap()).await.unwrap();
    sqlx::query("ALTER TABLE write_journal RENAME TO mislaid")
        .execute(&database)
        .await
        .unwrap();
    mock.clear_requests();
    let (status, _) = answer(change(&app, &path, "jane").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(mock.requests().is_empty(), "{:?}", mock.requests());
}

#[tokio::test]
async fn secret_that_proxmox_repeats_is_shown_nowhere() {
    let (app, mock, _) = writable().await;
    let path = "/cluster/metrics/server/influx";
    for (status, text) in [
        (500, "cannot use 'hunter2' there"),
        (400, "token: 'hunter2' is too short"),
    ] {
        mock.faults().fail_times(path, status, text, 1);
        let request = app.request(Method::POST, &format!("/proxmox/api2/latest{path}"));
        let request = request.header("X-Proxbox-Actor", "jane");
        let given = [
            ("type", "influxdb"),
            ("server", "192.0.2.1"),
            ("port", "8089"),
            ("token", "hunter2"),
        ];
        let (_, body) = answer(request.form(&given).send().await.unwrap()).await;
        assert_eq!(body["detail"]["upstream_status"], json!(status), "{body}");
        assert!(!body.to_string().contains("hunter2"), "{body}");
        let entry = &journal(&app).await[0];
        assert_eq!(outcome(entry), ("refused", &json!(status)));
        assert!(
            !entry.to_string().contains("hunter2") && entry["answer"].is_string(),
            "{entry}"
        );
    }
}

#[tokio::test]
async fn who_asks_may_have_a_name_in_any_script_and_must_have_one() {
    let (app, mock, _) = writable().await;
    let path = config(&mock);
    for (actor, known) in [("Jürgen".as_bytes(), "Jürgen"), (b"J\xFCrgen", "J\u{FFFD}rgen")] {
        let (status, body) = answer(change(&app, &path, actor).send().await.unwrap()).await;
        assert_eq!((status, body), (StatusCode::OK, Value::Null), "{known}");
        assert_eq!(journal(&app).await[0]["actor"], json!(known));
    }
    let (status, body) = answer(change(&app, &path, "  ").send().await.unwrap()).await;
    assert_eq!(
        (status, &body["detail"]["reason"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("actor_required"))
    );
}
