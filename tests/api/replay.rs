//! What the plugin really sends, from the first contact through a whole job, with the answers it got then.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where an answer has another shape"
)]

use proxbox_api::netbox::standin::{Standin, StandinOptions, TOKEN};
use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, TOKEN_SECRET, World};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::support::{KEY, TestApp};
use crate::world::{complete, frames, introduce};

/// One request of the plugin, and what it was answered. Lists hold one element, streams their first step and their end.
#[derive(Debug, Deserialize)]
struct Recorded {
    method: String,
    path: String,
    query: String,
    /// Whether it presented the API key.
    key: bool,
    request: Option<Value>,
    status: u16,
    #[serde(default)]
    response: Value,
    content_type: Option<String>,
    step: Option<Value>,
    complete: Option<Value>,
}

/// Holds that `found` has every key of `recorded` with a value of the same kind. Null fits everything: what the one
/// estate lacks the other may have.
fn assert_shape(found: &Value, recorded: &Value, place: &str) {
    match (found, recorded) {
        (Value::Object(found), Value::Object(recorded)) => {
            for (key, value) in recorded {
                let own = found
                    .get(key)
                    .unwrap_or_else(|| panic!("{place}: no `{key}` in {found:?}"));
                assert_shape(own, value, &format!("{place}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(recorded)) => {
            if let (Some(own), Some(value)) = (found.first(), recorded.first()) {
                assert_shape(own, value, &format!("{place}[0]"));
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => assert_eq!(kind(found), kind(recorded), "{place}: {found} for {recorded}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

struct Estate {
    app: TestApp,
    netbox: Standin,
    proxmox: MockProxmox,
}

impl Estate {
    async fn send(&self, recorded: &Recorded) -> Response {
        let path = format!("{}?{}", recorded.path, recorded.query);
        let request = self
            .app
            .client
            .request(recorded.method.parse::<Method>().unwrap(), self.app.url(&path));
        let request = if recorded.key {
            request.header("X-Proxbox-API-Key", KEY)
        } else {
            request
        };
        let request = match &recorded.request {
            Some(body) => request.json(&self.filled(body)),
            None => request,
        };
        request.send().await.unwrap()
    }

    /// A recorded body with what is particular to this estate.
    fn filled(&self, body: &Value) -> Value {
        let text = body
            .to_string()
            .replace("\"<NETBOX-PORT>\"", &self.netbox.port().to_string())
            .replace("\"<PROXMOX-PORT>\"", &self.proxmox.address().port().to_string())
            .replace("<API-KEY-1>", KEY)
            .replace("<NETBOX-TOKEN>", TOKEN)
            .replace("<PROXMOX-TOKEN-SECRET>", TOKEN_SECRET);
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn plugin_is_answered_in_the_shapes_that_it_knows() {
    let estate = Estate {
        app: TestApp::fresh(&[], OffsetDateTime::now_utc).await,
        netbox: Standin::start(StandinOptions::default()).await.unwrap(),
        proxmox: MockProxmox::start(MockOptions::default(), World::estate(2, 12))
            .await
            .unwrap(),
    };
    assert_eq!(
        introduce(&estate.netbox, "alpha", &estate.proxmox),
        1,
        "the plugin's requests name its row 1"
    );
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("../fixtures/plugin-requests.json")).unwrap();
    for recorded in &recorded {
        let place = format!("{} {}", recorded.method, recorded.path);
        let response = estate.send(recorded).await;
        assert_eq!(response.status().as_u16(), recorded.status, "{place}");
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let (Some(step), Some(end)) = (&recorded.step, &recorded.complete) else {
            assert_shape(&serde_json::from_str(&text).unwrap(), &recorded.response, &place);
            continue;
        };
        assert_eq!(Some(content_type), recorded.content_type, "{place}");
        let frames = frames(&text);
        assert_eq!(frames[0].1["step"], step["step"], "{place}");
        assert_shape(&frames[0].1, step, &place);
        assert_shape(complete(&frames), end, &place);
        assert_eq!(complete(&frames)["ok"], true, "{place}: {text}");
    }
}
