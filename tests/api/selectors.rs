//! Which endpoints a read is about, and what becomes of those that cannot be asked.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where an answer has another shape"
)]

use proxbox_api::proxmox::mock::{EMPTY_TOKEN, MockOptions, MockProxmox, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proxmox_endpoints::{mock, pushed, store, with};
use crate::support::{TestApp, answer};

/// A service with a cluster and a host of its own name.
struct Two {
    app: TestApp,
    _cluster: MockProxmox,
    host: MockProxmox,
    host_id: i64,
}

impl Two {
    async fn start() -> Self {
        let (app, cluster) = (TestApp::start().await, mock().await);
        let host = MockProxmox::start(MockOptions::default(), World::standalone("solo", 4));
        let host = host.await.unwrap();
        store(&app, &pushed("alpha (nb:1)", &cluster)).await;
        let host_id = store(&app, &pushed("beta (nb:2)", &host)).await;
        Self {
            app,
            _cluster: cluster,
            host,
            host_id,
        }
    }

    /// A guest of the host.
    fn guest(&self) -> (&'static str, u32) {
        let of = |world: &World| {
            world
                .guests
                .values()
                .next()
                .map(|guest| (guest.kind.as_str(), guest.vmid))
        };
        self.host.world().read(of).unwrap()
    }

    /// Holds that `path` is the failure of the host, by name.
    async fn assert_names_the_host(&self, path: &str) {
        let (status, body) = self.app.get(path).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{path}: {body}");
        let detail = &body["detail"];
        assert_eq!(
            (&detail["reason"], &detail["endpoint_id"], &detail["endpoint"]),
            (
                &json!("proxmox_unreachable"),
                &json!(self.host_id),
                &json!("beta (nb:2)")
            ),
            "{path}: {body}"
        );
    }
}

/// The endpoints that the answer to `path` names as left out.
async fn left_out(app: &TestApp, path: &str) -> (Value, Value) {
    let response = app.request(Method::GET, path).send().await.unwrap();
    let header = response.headers().get("x-proxbox-endpoint-errors");
    let text = header
        .map(|header| header.to_str().unwrap().to_owned())
        .unwrap_or_default();
    assert!(text.len() <= 1024, "{path}: {text}");
    let (status, body) = answer(response).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    (serde_json::from_str(&text).unwrap_or_default(), body)
}

#[tokio::test]
async fn node_is_absent_only_where_every_endpoint_has_said_so() {
    let two = Two::start().await;
    let (kind, vmid) = two.guest();
    let paths = [
        "/proxmox/firewall/nodes/solo/rules".to_owned(),
        "/proxmox/firewall/nodes/solo/options".to_owned(),
        "/proxmox/nodes/solo/storage/local/content".to_owned(),
        format!("/proxmox/firewall/vms/{vmid}/rules?node=solo&vm_type={kind}"),
        format!("/proxmox/solo/{kind}/{vmid}/config"),
    ];
    for path in &paths {
        let (named, _) = left_out(&two.app, path).await;
        assert_eq!(named, Value::Null, "{path}");
    }
    two.host.faults().endpoint_down(true);
    for path in &paths {
        two.assert_names_the_host(path).await;
    }
    let (named, _) = left_out(&two.app, "/proxmox/firewall/nodes/pve1/rules").await;
    assert_eq!(
        named["ids"],
        json!([two.host_id]),
        "found elsewhere, and the other is named"
    );
}

#[tokio::test]
async fn object_is_absent_only_where_every_endpoint_has_said_so() {
    let two = Two::start().await;
    let absent = [
        "/proxmox/cluster/ha/resources/by-vm/99999",
        "/proxmox/cluster/ha/groups/absent",
    ];
    for path in absent {
        assert_eq!(left_out(&two.app, path).await, (Value::Null, Value::Null), "{path}");
    }
    two.host.faults().endpoint_down(true);
    for path in absent {
        two.assert_names_the_host(path).await;
    }
    let (_, managed) = left_out(&two.app, "/proxmox/cluster/ha/resources").await;
    let (_, vmid) = managed[0]["sid"].as_str().unwrap().split_once(':').unwrap();
    let path = format!("/proxmox/cluster/ha/resources/by-vm/{vmid}");
    let (named, found) = left_out(&two.app, &path).await;
    assert_eq!(
        (&named["ids"], &found["sid"]),
        (&json!([two.host_id]), &managed[0]["sid"])
    );
}

#[tokio::test]
async fn ids_that_no_endpoint_has_are_named_up_to_a_limit() {
    let app = TestApp::start().await;
    let (named, body) = left_out(&app, "/proxmox/cluster/status?proxmox_endpoint_ids=77").await;
    assert_eq!(
        (named, body),
        (json!({"failed": 1, "ids": [77], "truncated": false}), json!([]))
    );
    let ids: Vec<String> = (100..130).map(|id: i64| id.to_string()).collect();
    let path = format!("/proxmox/cluster/status?proxmox_endpoint_ids={}", ids.join(","));
    let (named, _) = left_out(&app, &path).await;
    assert_eq!(
        (
            &named["failed"],
            named["ids"].as_array().unwrap().len(),
            &named["truncated"]
        ),
        (&json!(30), 20, &json!(true))
    );
}

/// The read routes that select endpoints, with their variables filled in.
async fn routes(app: &TestApp) -> Vec<String> {
    let (_, document) = app.get("/openapi.json").await;
    let selects = |operation: &Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| {
            all.iter().any(|parameter| {
                let reference = parameter["$ref"].as_str().unwrap_or_default();
                parameter["name"] == "source" || reference.ends_with("/source")
            })
        })
    };
    let paths = document["paths"].as_object().unwrap().iter();
    let reads = paths.filter(|(path, operations)| {
        path.starts_with("/proxmox/") && !path.contains("stream") && selects(&operations["get"])
    });
    let filled = reads.map(|(path, _)| {
        let variables = [
            ("{node}", "pve1"),
            ("{type}", "qemu"),
            ("{vmid}", "100"),
            ("{storage}", "local"),
            ("{group}", "first"),
            ("{userid}", "root@pam"),
            ("{tokenid}", "netbox"),
            ("{cputype}", "custom-lab-cpu"),
            ("{pool_name}", "rpool"),
        ];
        let path = variables
            .iter()
            .fold(path.clone(), |path, (name, value)| path.replace(name, value));
        assert!(!path.contains('{'), "{path}");
        let guests = path.contains("/firewall/vms/");
        format!("{path}?{}", if guests { "node=pve1&" } else { "" })
    });
    filled.collect()
}

#[tokio::test]
async fn every_read_route_selects_endpoints_by_the_same_parameters() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let id = store(&app, &pushed("alpha (nb:1)", &mock)).await;
    let routes = routes(&app).await;
    assert!(routes.len() >= 53, "{}: {routes:#?}", routes.len());
    for route in &routes {
        for selector in [
            "source=foo",
            "source=",
            "name=",
            "domain=%20",
            "ip_address=",
            "proxmox_endpoint_ids=x",
            "endpoint_ids=,",
            "name=nobody",
            "domain=nowhere",
            "ip_address=192.0.2.1",
        ] {
            let path = format!("{route}{selector}");
            let (status, body) = app.get(&path).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
        }
        let (status, body) = app.get(&format!("{route}proxmox_endpoint_ids=77")).await;
        assert!(
            matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND),
            "{route}: {status} {body}"
        );
    }
    assert_eq!(mock.requests().len(), 0, "nobody else is asked");
    for route in &routes {
        for selector in [
            format!("source=database&proxmox_endpoint_ids={id}"),
            format!("endpoint_ids={id}"),
            "ip_address=127.0.0.1".to_owned(),
            "name=alpha%20%28nb%3A1%29".to_owned(),
        ] {
            let path = format!("{route}{selector}");
            let (status, body) = app.get(&path).await;
            assert_eq!(status, StatusCode::OK, "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn every_answer_of_several_endpoints_names_the_one_that_is_down() {
    let two = Two::start().await;
    two.host.faults().endpoint_down(true);
    let (mut named, mut single) = (0, Vec::new());
    for route in routes(&two.app).await {
        let response = two.app.request(Method::GET, &route).send().await.unwrap();
        let header = response.headers().get("x-proxbox-endpoint-errors").cloned();
        let (status, body) = answer(response).await;
        match (status, header) {
            (StatusCode::OK, Some(header)) => {
                let header: Value = serde_json::from_str(header.to_str().unwrap()).unwrap();
                assert_eq!(header["ids"], json!([two.host_id]), "{route}");
                named += 1;
            }
            // An object that nobody who answered has.
            (StatusCode::BAD_GATEWAY, None) if body["detail"]["endpoint_id"] == two.host_id => named += 1,
            // What is about one place needs to be told which cluster; a guest's configuration is found at one.
            (StatusCode::BAD_REQUEST | StatusCode::OK, None) => single.push(route),
            _ => panic!("{route}: {status} {body}"),
        }
    }
    assert!(named >= 42, "{named} name it");
    assert!(
        single.iter().all(|route| {
            [
                "/proxmox/nodes/pve1/",
                "/proxmox/access/tokens/",
                "/cpu-models/",
                "/pve1/qemu/100/config",
            ]
            .iter()
            .any(|part| route.contains(part))
        }),
        "{single:#?}"
    );
}

#[tokio::test]
async fn answers_that_are_shared_are_never_those_of_other_credentials() {
    let (app, mock) = (TestApp::start().await, mock().await);
    let full = pushed("alpha (nb:1)", &mock);
    let id = store(&app, &full).await;
    let (_, token) = EMPTY_TOKEN.split_once('!').unwrap();
    let limits = json!({"token_name": token});
    let limited = store(&app, &with(pushed("limited", &mock), &limits)).await;
    let guests = async |id: i64| {
        let path = format!("/proxmox/cluster/resources?type=vm&proxmox_endpoint_ids={id}");
        let (status, body) = app.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let rows = body[0].as_object().unwrap().values().next().unwrap();
        rows.as_array().unwrap().len()
    };
    assert_eq!((guests(id).await, guests(limited).await), (12, 0));
    let (status, body) = app.put(&format!("/proxmox/endpoints/{id}"), &with(full, &limits)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(guests(id).await, 0, "the same endpoint with other credentials");
}
