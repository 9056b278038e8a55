//! Large bodies through us: they are passed on as they come, and a slow Proxmox holds up nobody else.

#![expect(clippy::unwrap_used, reason = "a test stops where its surroundings fail")]

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use proxbox_api::proxmox::mock::{Fault, MockProxmox};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;

use crate::generated::writable;
use crate::support::{TestApp, answer};

/// Longer than any test: what waits for this never comes.
const NEVER: Duration = Duration::from_hours(1);
const MIB: usize = 1024 * 1024;
/// What is asked for in a backup.
const FILE: &str = "L2V0Yy9ob3N0cw==";
const DOWNLOAD: &str = "/nodes/pve1/storage/local/file-restore/download";
const UPLOAD: &str = "/proxmox/api2/latest/nodes/pve1/storage/local/upload";

/// Puts a file of `length` bytes into the backups.
fn put(mock: &MockProxmox, length: usize) {
    let file = Bytes::from(vec![b'x'; length]);
    mock.world().change(|world| world.files.insert(FILE.to_owned(), file));
}

async fn download(app: &TestApp) -> Response {
    let request = app.request(Method::GET, &format!("/proxmox/api2/latest{DOWNLOAD}"));
    let request = request.query(&[("volume", "local:backup/vzdump.vma"), ("filepath", FILE)]);
    request.send().await.unwrap()
}

async fn assert_others_are_served(app: &TestApp) {
    for path in ["version", "nodes/pve1/status", "nodes/pve2/qemu"] {
        let (status, body) = app.get(&format!("/proxmox/api2/latest/{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
}

#[tokio::test]
async fn download_reaches_the_client_while_proxmox_still_sends() {
    let (app, mock, _) = writable().await;
    put(&mock, 16 * MIB);
    mock.faults().slow_body(DOWNLOAD, 8 * MIB, NEVER);
    let mut response = download(&app).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut received = 0;
    while received < 8 * MIB {
        received += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(received, 8 * MIB);
    assert_others_are_served(&app).await;
}

#[tokio::test]
async fn download_larger_than_any_answer_that_is_held_arrives_whole() {
    let (app, mock, _) = writable().await;
    let length = 65 * MIB;
    put(&mock, length);
    let mut response = download(&app).await;
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, length);
}

#[tokio::test]
async fn download_that_breaks_off_is_no_whole_file() {
    let (app, mock, _) = writable().await;
    put(&mock, MIB);
    mock.faults().on_path(DOWNLOAD, Fault::Truncated);
    assert!(download(&app).await.bytes().await.is_err());
}

#[tokio::test]
async fn log_of_a_task_is_passed_on_as_a_file_where_one_is_asked_for() {
    let (app, mock, _) = writable().await;
    let task = mock
        .world()
        .read(|world| world.tasks.iter().find(|task| &*task.node == "pve1").cloned());
    let upid = task.unwrap().upid().replace('!', "%21");
    let path = format!("/proxmox/api2/latest/nodes/pve1/tasks/{upid}/log");
    let (_, lines) = app.get(&format!("{path}?limit=0")).await;
    let response = app
        .request(Method::GET, &format!("{path}?download=yes"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(
        response.headers()["content-disposition"],
        "attachment; filename=\"download\""
    );
    let text = response.text().await.unwrap();
    let wanted: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["t"].as_str().unwrap())
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    let (_, lines) = app.get(&format!("{path}?download=0")).await;
    assert!(lines.is_array(), "{lines}");
}

#[tokio::test]
async fn upload_reaches_proxmox_while_the_client_still_sends() {
    let (app, mock, _) = writable().await;
    assert_others_are_served(&app).await;
    let head = "--part\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--part\r\n\
                Content-Disposition: form-data; name=\"filename\"; filename=\"big.iso\"\r\n\r\n";
    let (file, end) = (Bytes::from(vec![b'x'; MIB]), "\r\n--part--\r\n");
    let length = head.len() + file.len() + end.len();
    let (release, released) = oneshot::channel();
    let first = stream::iter([Bytes::from(head), file]);
    let body = first.chain(stream::once(async { released.await.unwrap() }));
    let request = app.request(Method::POST, UPLOAD).header("X-Proxbox-Actor", "jane");
    let request = request
        .header("Content-Type", "multipart/form-data; boundary=part")
        .header("Content-Length", length)
        .body(reqwest::Body::wrap_stream(body.map(Ok::<_, std::io::Error>)));
    let sending = tokio::spawn(request.send());
    mock.open_requests().wait_for(|open| *open == 1).await.unwrap();
    assert_others_are_served(&app).await;
    release.send(Bytes::from(end)).unwrap();
    let (status, upid) = answer(sending.await.unwrap().unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{upid}");
    assert!(upid.as_str().unwrap().starts_with("UPID:pve1:"), "{upid}");
    let (_, journal) = app.get("/admin/write-journal").await;
    assert_eq!(journal["entries"][0]["outcome"], json!("done"));
}

#[tokio::test]
async fn proxmox_that_does_not_answer_holds_up_no_other_request() {
    let (app, mock, _) = writable().await;
    assert_others_are_served(&app).await;
    mock.faults().on_path("/nodes/pve1/lxc", Fault::Latency(NEVER));
    let asked = app.request(Method::GET, "/proxmox/api2/latest/nodes/pve1/lxc").send();
    let waiting = tokio::spawn(asked);
    mock.open_requests().wait_for(|open| *open == 1).await.unwrap();
    assert_others_are_served(&app).await;
    waiting.abort();
}
