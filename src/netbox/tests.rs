//! One exchange each over HTTP with a scripted NetBox.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use wiremock::matchers::{body_json, header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::error::ErrorKind;

const TAGS: &str = "/api/extras/tags/";
const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        scheme: Some(Scheme::Http),
        verify_tls: false,
        max_retries: 2,
        retry_delay: Duration::ZERO,
        settle: Duration::ZERO,
        timeout: Duration::from_secs(5),
        ..Endpoint::new("main", "127.0.0.1", port, Token::V1(SECRET.into()))
    }
}

fn client(server: &MockServer) -> Client {
    Client::new(endpoint(server.address().port())).unwrap()
}

fn page(next: Option<&str>, ids: impl IntoIterator<Item = u64>) -> ResponseTemplate {
    let rows: Vec<Value> = ids
        .into_iter()
        .map(|id| json!({"id": id, "name": format!("tag {id}")}))
        .collect();
    ResponseTemplate::new(200)
        .insert_header("API-Version", "4.7")
        .set_body_json(json!({"count": rows.len(), "next": next, "previous": null, "results": rows}))
}

async fn answer(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn ids(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

async fn listed(server: &MockServer, query: &Query) -> Result<Vec<u64>, Error> {
    client(server).list::<Value>(TAGS, query).await.map(|rows| ids(&rows))
}

#[tokio::test]
async fn v1_token_goes_as_token_and_v2_as_bearer() {
    let server = MockServer::start().await;
    let v2 = Token::V2 {
        key: "abc".into(),
        secret: "s3cret".into(),
    };
    for (token, expected) in [
        (Token::V1(SECRET.into()), format!("Token {SECRET}")),
        (v2, "Bearer nbt_abc.s3cret".to_owned()),
    ] {
        let mock = Mock::given(header("Authorization", expected.as_str()))
            .respond_with(page(None, [1]))
            .expect(1);
        let _guard = mock.mount_as_scoped(&server).await;
        let client = Client::new(Endpoint {
            token,
            ..endpoint(server.address().port())
        })
        .unwrap();
        let rows: Vec<Value> = client.list(TAGS, &Query::new()).await.unwrap();
        assert_eq!(ids(&rows), [1], "{expected}");
    }
}

#[tokio::test]
async fn v2_token_without_key_makes_no_client() {
    let token = Token::V2 {
        key: "".into(),
        secret: "s3cret".into(),
    };
    let error = Client::new(Endpoint { token, ..endpoint(1) }).unwrap_err();
    assert_eq!(error.reason(), "netbox_endpoint_invalid");
}

fn branches(status: &str) -> ResponseTemplate {
    let row = json!({"id": 3, "schema_id": "abcd1234", "status": {"value": status, "label": status}});
    ResponseTemplate::new(200).set_body_json(json!({"count": 1, "next": null, "results": [row]}))
}

#[tokio::test]
async fn branch_header_goes_with_every_request_of_its_handle_and_no_other() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/api/plugins/branching/branches/", branches("ready")).await;
    answer(&server, "GET", TAGS, page(None, [1])).await;
    answer(&server, "DELETE", TAGS, ResponseTemplate::new(204)).await;
    let main = client(&server);
    let branch = main.on_branch("abcd1234").unwrap();
    branch.list::<Value>(TAGS, &Query::new()).await.unwrap();
    branch.delete(TAGS, &[ObjectId(1)]).await.unwrap();
    main.list::<Value>(TAGS, &Query::new()).await.unwrap();
    let sent: Vec<_> = requests(&server)
        .await
        .iter()
        .map(|request| {
            request
                .headers
                .get("X-NetBox-Branch")
                .map(|value| value.to_str().unwrap().to_owned())
        })
        .collect();
    let on_branch = Some("abcd1234".to_owned());
    assert_eq!(sent, [None, on_branch.clone(), on_branch, None]);
}

#[tokio::test]
async fn branch_that_cannot_be_trusted_gets_no_write() {
    let cases = [
        (branches("merged"), "not ready but merged"),
        (page(None, []), "no such branch"),
        (
            ResponseTemplate::new(404).set_body_raw("<html></html>", "text/html"),
            "not installed",
        ),
    ];
    for (listing, expected) in cases {
        let server = MockServer::start().await;
        answer(&server, "GET", "/api/plugins/branching/branches/", listing).await;
        let branch = client(&server).on_branch("abcd1234").unwrap();
        let error = branch.create(TAGS, &[json!({"name": "x"})]).await.unwrap_err();
        assert!(
            matches!(&error, WriteError::Failed(Error::Branch { detail, .. }) if detail.contains(expected)),
            "{error}"
        );
        assert_eq!(requests(&server).await.len(), 1, "{expected}");
    }
}

#[test]
fn schema_id_of_another_form_is_refused() {
    let client = Client::new(endpoint(1)).unwrap();
    for wrong in ["7", "my-branch", "abcd12345", "", "abcd/234"] {
        assert!(matches!(client.on_branch(wrong), Err(Error::Branch { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn list_of_one_page_costs_one_request() {
    let server = MockServer::start().await;
    answer(&server, "GET", TAGS, page(None, 1..=3)).await;
    assert_eq!(
        listed(&server, &Query::new().with("color", "aa")).await.unwrap(),
        [1, 2, 3]
    );
    let sent = requests(&server).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].url.query(), Some("color=aa&limit=1000&ordering=id"));
}

/// A server whose pages are smaller than asked for, and that gives one row twice.
#[tokio::test]
async fn smaller_pages_are_followed_and_each_row_is_returned_once() {
    let server = MockServer::start().await;
    let first = counted(Some("more"), 5, &[1, 2]).insert_header("API-Version", "4.7");
    Mock::given(query_param_is_missing("start"))
        .respond_with(first)
        .mount(&server)
        .await;
    Mock::given(query_param("start", "3"))
        .and(query_param_is_missing("ordering"))
        .and(query_param_is_missing("offset"))
        .respond_with(page(Some("more"), [3, 2, 4]))
        .mount(&server)
        .await;
    Mock::given(query_param("start", "5"))
        .respond_with(page(None, [9]))
        .mount(&server)
        .await;
    assert_eq!(listed(&server, &Query::new()).await.unwrap(), [1, 2, 3, 4, 9]);
    assert_eq!(requests(&server).await.len(), 3);
}

/// NetBox says of a full page that more rows follow, even of the last.
#[tokio::test]
async fn last_page_that_is_full_is_known_to_be_the_last() {
    let server = MockServer::start().await;
    let first = counted(Some("more"), 4, &[1, 2]).insert_header("API-Version", "4.7");
    Mock::given(query_param_is_missing("start"))
        .respond_with(first)
        .mount(&server)
        .await;
    Mock::given(query_param("start", "3"))
        .respond_with(page(Some("more"), [3, 4]))
        .mount(&server)
        .await;
    assert_eq!(listed(&server, &Query::new()).await.unwrap(), [1, 2, 3, 4]);
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn older_release_is_paged_by_id_filter() {
    let server = MockServer::start().await;
    let old = |page: ResponseTemplate| page.insert_header("API-Version", "4.5");
    Mock::given(query_param_is_missing("id__gt"))
        .respond_with(old(page(Some("more"), [1, 2])))
        .mount(&server)
        .await;
    Mock::given(query_param("id__gt", "2"))
        .and(query_param("ordering", "id"))
        .respond_with(old(page(None, [3])))
        .mount(&server)
        .await;
    assert_eq!(listed(&server, &Query::new()).await.unwrap(), [1, 2, 3]);
}

fn counted(next: Option<&str>, count: u64, ids: &[u64]) -> ResponseTemplate {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    ResponseTemplate::new(200).set_body_json(json!({"count": count, "next": next, "results": rows}))
}

#[tokio::test]
async fn path_that_ignores_the_id_filter_is_paged_by_offset() {
    let server = MockServer::start().await;
    Mock::given(query_param("offset", "2"))
        .respond_with(counted(None, 3, &[3]))
        .mount(&server)
        .await;
    let first = counted(Some("more"), 3, &[1, 2]).insert_header("API-Version", "4.5");
    Mock::given(query_param_is_missing("offset"))
        .respond_with(first)
        .mount(&server)
        .await;
    assert_eq!(listed(&server, &Query::new()).await.unwrap(), [1, 2, 3]);
    assert_eq!(requests(&server).await.len(), 3);
}

/// Two pages by offset after the one that came twice.
#[tokio::test]
async fn no_row_is_skipped_after_a_page_that_came_twice() {
    let server = MockServer::start().await;
    for (offset, next, ids) in [("2", Some("more"), [3, 4]), ("4", None, [5, 6])] {
        Mock::given(query_param("offset", offset))
            .respond_with(counted(next, 6, &ids))
            .mount(&server)
            .await;
    }
    let first = counted(Some("more"), 6, &[1, 2]).insert_header("API-Version", "4.5");
    Mock::given(query_param_is_missing("offset"))
        .respond_with(first)
        .mount(&server)
        .await;
    assert_eq!(listed(&server, &Query::new()).await.unwrap(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn pages_that_contradict_each_other_are_an_error() {
    let cases = [
        (
            "count changes",
            counted(Some("more"), 3, &[1, 2]),
            counted(None, 2, &[]),
        ),
        (
            "fewer rows than counted",
            counted(Some("more"), 4, &[1, 2]),
            counted(None, 4, &[3]),
        ),
        (
            "empty page with more",
            counted(Some("more"), 3, &[1, 2]),
            counted(Some("more"), 3, &[]),
        ),
        (
            "row without id",
            ResponseTemplate::new(200).set_body_json(json!({"results": [{}]})),
            counted(None, 0, &[]),
        ),
    ];
    for (name, first, second) in cases {
        let server = MockServer::start().await;
        Mock::given(query_param("offset", "2"))
            .respond_with(second)
            .mount(&server)
            .await;
        Mock::given(query_param_is_missing("offset"))
            .respond_with(first)
            .mount(&server)
            .await;
        let error = listed(&server, &Query::new()).await.unwrap_err();
        assert!(matches!(error, Error::Paging { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn list_whose_length_changes_is_read_again_once() {
    for (changes, is_read) in [(1, true), (2, false)] {
        let server = MockServer::start().await;
        Mock::given(query_param("offset", "2"))
            .respond_with(counted(None, 4, &[4]))
            .up_to_n_times(changes)
            .mount(&server)
            .await;
        Mock::given(query_param("offset", "2"))
            .respond_with(counted(None, 3, &[3]))
            .mount(&server)
            .await;
        answer(&server, "GET", TAGS, counted(Some("more"), 3, &[1, 2])).await;
        let found = listed(&server, &Query::new()).await;
        if is_read {
            assert_eq!(found.unwrap(), [1, 2, 3]);
        } else {
            assert!(matches!(found, Err(Error::Paging { .. })), "{found:?}");
        }
        assert_eq!(requests(&server).await.len(), 4);
    }
}

#[tokio::test]
async fn failure_of_a_later_page_fails_the_whole_list() {
    let server = MockServer::start().await;
    Mock::given(query_param("start", "3"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    answer(&server, "GET", TAGS, page(Some("more"), [1, 2])).await;
    let error = listed(&server, &Query::new()).await.unwrap_err();
    assert_eq!(error.reason(), "netbox_permission_denied");
}

#[tokio::test]
async fn row_that_does_not_fit_the_filter_is_an_error() {
    let server = MockServer::start().await;
    answer(&server, "GET", TAGS, page(None, [1, 2])).await;
    let query = Query::new().with("name", "tag 1").expect("name", "tag 1");
    let error = listed(&server, &query).await.unwrap_err();
    assert!(
        matches!(&error, Error::FilterIgnored { row: ObjectId(2), .. }),
        "{error}"
    );
    let error = listed(&server, &Query::new().with("id", 2)).await.unwrap_err();
    assert!(
        matches!(&error, Error::FilterIgnored { row: ObjectId(1), .. }),
        "the first row tells that the filter was ignored: {error}"
    );
}

#[tokio::test]
async fn lookup_takes_one_request_and_a_second_row_is_ambiguous() {
    for (rows, expected) in [
        (vec![], Ok(None)),
        (vec![4], Ok(Some(4))),
        (vec![4, 5], Err("netbox_ambiguous")),
    ] {
        let server = MockServer::start().await;
        answer(&server, "GET", TAGS, page(Some("more"), rows.clone())).await;
        if rows.len() < 2 {
            server.reset().await;
            answer(&server, "GET", TAGS, page(None, rows.clone())).await;
        }
        let found = client(&server)
            .find_one::<Value>(TAGS, &Query::new().with("color", "x"))
            .await;
        let found = found
            .map(|row| row.map(|row| row["id"].as_u64().unwrap()))
            .map_err(|error| error.reason());
        assert_eq!(found, expected, "{rows:?}");
        let sent = requests(&server).await;
        assert_eq!(
            (sent.len(), sent[0].url.query()),
            (1, Some("color=x&limit=2")),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn rate_limit_is_waited_out_and_the_read_repeated() {
    let server = MockServer::start().await;
    let limited = ResponseTemplate::new(429).insert_header("Retry-After", "0");
    Mock::given(method("GET"))
        .respond_with(limited)
        .up_to_n_times(2)
        .mount(&server)
        .await;
    answer(&server, "GET", TAGS, page(None, [1])).await;
    let client = client(&server);
    assert_eq!(client.list::<Value>(TAGS, &Query::new()).await.unwrap().len(), 1);
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn repetitions_end_and_the_last_answer_is_told() {
    let cases = [
        (429, "netbox_rate_limited"),
        (502, "netbox_unavailable"),
        (503, "netbox_unavailable"),
        (504, "netbox_unavailable"),
    ];
    for (status, reason) in cases {
        let server = MockServer::start().await;
        answer(
            &server,
            "GET",
            TAGS,
            ResponseTemplate::new(status).insert_header("Retry-After", "0"),
        )
        .await;
        assert_eq!(listed(&server, &Query::new()).await.unwrap_err().reason(), reason);
        assert_eq!(requests(&server).await.len(), 3, "{status}");
    }
}

#[tokio::test]
async fn errors_of_reads_are_told_apart() {
    let html = |status| ResponseTemplate::new(status).set_body_raw("<html><title>Gone</title></html>", "text/html");
    let said = |status, text: &str| ResponseTemplate::new(status).set_body_json(json!({ "detail": text }));
    let cases = [
        (
            said(404, "No Tag matches the given query."),
            "netbox_not_found",
            ErrorKind::NotFound,
        ),
        (html(404), "netbox_route_missing", ErrorKind::NotFound),
        (
            said(403, "Invalid v1 token"),
            "netbox_auth_failed",
            ErrorKind::Authentication,
        ),
        (html(401), "netbox_auth_failed", ErrorKind::Authentication),
        (
            said(403, "You do not have permission to perform this action."),
            "netbox_permission_denied",
            ErrorKind::Permission,
        ),
        (html(400), "netbox_refused", ErrorKind::Validation),
        (html(500), "netbox_error", ErrorKind::Unknown),
        (html(200), "netbox_answer_invalid", ErrorKind::Unknown),
    ];
    for (given, reason, kind) in cases {
        let server = MockServer::start().await;
        answer(&server, "GET", "/api/extras/tags/7/", given).await;
        let error = client(&server).get::<Value>("/api/extras/tags/7/").await.unwrap_err();
        assert_eq!((error.reason(), error.kind()), (reason, kind), "{error}");
    }
}

#[tokio::test]
async fn redirect_is_refused_and_names_its_target() {
    let server = MockServer::start().await;
    let moved = ResponseTemplate::new(302).insert_header("Location", "https://other.example:8443/api/?token=x");
    answer(&server, "GET", TAGS, moved).await;
    let error = listed(&server, &Query::new()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Redirect { target, .. } if target == "https://other.example:8443"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_go_below_the_path_that_netbox_is_served_under() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/netbox/api/extras/tags/", page(None, [1, 2])).await;
    let client = Client::new(Endpoint {
        base_path: "/netbox".to_owned(),
        ..endpoint(server.address().port())
    })
    .unwrap();
    let rows = client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    assert_eq!(ids(&rows), [1, 2]);
    assert!(client.base_url().ends_with("/netbox"), "{}", client.base_url());
}

#[tokio::test]
async fn path_that_leaves_the_api_is_never_sent() {
    let server = MockServer::start().await;
    let client = client(&server);
    for path in [
        "/login/",
        "/api/../admin/",
        "/api/x",
        "/api/x/?a=b",
        "/api//x/",
        "/api/%2e%2e/",
        "api/x/",
    ] {
        let error = client.get::<Value>(path).await.unwrap_err();
        assert_eq!(error.reason(), "netbox_request_invalid", "{path}");
    }
    assert!(requests(&server).await.is_empty());
}

#[tokio::test]
async fn unknown_relation_in_a_single_filter_is_an_empty_list_but_not_among_several() {
    let server = MockServer::start().await;
    let dead = json!({"cluster_id": ["Select a valid choice. 9 is not one of the available choices."]});
    answer(&server, "GET", TAGS, ResponseTemplate::new(400).set_body_json(dead)).await;
    assert!(
        listed(&server, &Query::new().with("cluster_id", 9))
            .await
            .unwrap()
            .is_empty()
    );
    let several = Query::new().with_any("cluster_id", [8, 9]);
    assert_eq!(listed(&server, &several).await.unwrap_err().reason(), "netbox_refused");
}

/// Answers as NetBox does: 400 for the first dead value, else one row per value.
fn answer_by_values(request: &Request) -> ResponseTemplate {
    let asked: Vec<u64> = request
        .url
        .query_pairs()
        .filter(|(name, _)| name == "cluster_id")
        .map(|(_, value)| value.parse().unwrap())
        .collect();
    match asked.iter().find(|id| **id % 500 == 7) {
        Some(dead) => {
            let text = format!("Select a valid choice. {dead} is not one of the available choices.");
            ResponseTemplate::new(400).set_body_json(json!({ "cluster_id": [text] }))
        }
        None => page(None, asked),
    }
}

#[tokio::test]
async fn long_filters_are_asked_in_short_lines_and_dead_values_are_left_out() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(answer_by_values)
        .mount(&server)
        .await;
    let values: Vec<String> = (1..=1500_u32).map(|id| id.to_string()).collect();
    let query = Query::new().with("tag", "proxbox").expect_chunk("id");
    let rows: Vec<Value> = client(&server)
        .list_chunked(TAGS, &query, "cluster_id", &values)
        .await
        .unwrap();
    let expected: Vec<u64> = (1..=1500).filter(|id| id % 500 != 7).collect();
    assert_eq!(ids(&rows), expected);
    for request in requests(&server).await {
        let line = format!(
            "GET {}?{} HTTP/1.1\r\n",
            request.url.path(),
            request.url.query().unwrap()
        );
        assert!(line.len() < 3500, "{}", line.len());
    }
    let nothing: Vec<Value> = client(&server)
        .list_chunked(TAGS, &query, "cluster_id", &[])
        .await
        .unwrap();
    assert!(nothing.is_empty());
}

/// Answers `total` rows, each below the machine of twice its number, which is told as `field`: those of the machines asked
/// for, else 100 at a time.
fn answer_by_machine(request: &Request, total: u64, field: &str) -> ResponseTemplate {
    let pairs: Vec<_> = request.url.query_pairs().collect();
    let number = |(_, value): &(_, Cow<'_, str>)| value.parse::<u64>().unwrap();
    let machines: Vec<u64> = pairs
        .iter()
        .filter(|(name, _)| name == "virtual_machine_id")
        .map(number)
        .collect();
    let start = pairs.iter().find(|(name, _)| name == "start").map_or(1, number);
    let mut found: Vec<u64> = (start..=total)
        .filter(|id| machines.is_empty() || machines.contains(&(id * 2)))
        .collect();
    let count = found.len();
    found.truncate(if machines.is_empty() { 100 } else { 1_000 });
    let next = (found.len() < count).then_some("http://elsewhere/");
    let rows = found
        .iter()
        .map(|id| json!({"id": id, field: {"id": id * 2, "name": "x"}}));
    ResponseTemplate::new(200)
        .insert_header("API-Version", "4.7")
        .set_body_json(json!({"count": total, "next": next, "previous": null, "results": rows.collect::<Vec<_>>()}))
}

#[tokio::test]
async fn rows_of_many_are_read_in_the_way_that_takes_fewer_requests() {
    const MACHINE: &str = "virtual_machine";
    for (case, machines, total, field, with_filter, without) in [
        ("few machines", 5, 1_000, MACHINE, 1, 0),
        ("hardly anything else", 300, 250, MACHINE, 0, 3),
        ("much of others", 300, 1_000, MACHINE, 3, 1),
        ("rows that do not tell whose they are", 300, 250, "machine", 3, 3),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(move |request: &Request| answer_by_machine(request, total, field))
            .mount(&server)
            .await;
        let values: Vec<String> = (1..=machines).map(|id: u64| id.to_string()).collect();
        let rows: Vec<Value> = client(&server)
            .list_related(TAGS, &Query::new(), ("virtual_machine_id", MACHINE), &values)
            .await
            .unwrap();
        assert_eq!(ids(&rows), (1..=machines / 2).collect::<Vec<_>>(), "{case}");
        let requests = requests(&server).await;
        let is_filtered = |request: &&Request| request.url.query().unwrap().contains("virtual_machine_id");
        let filtered = requests.iter().filter(is_filtered).count();
        assert_eq!((filtered, requests.len() - filtered), (with_filter, without), "{case}");
    }
}

#[tokio::test]
async fn whole_list_is_read_unless_that_takes_many_more_requests() {
    const MACHINE: &str = "virtual_machine";
    for (case, machines, total, with_filter, without) in [
        ("few of many", 5, 1_000, 1, 0),
        ("a few more pages", 300, 600, 0, 6),
        ("many more pages", 300, 700, 3, 1),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(move |request: &Request| answer_by_machine(request, total, MACHINE))
            .mount(&server)
            .await;
        let values: Vec<String> = (1..=machines).map(|id: u64| id.to_string()).collect();
        let rows: Vec<Value> = client(&server)
            .list_or_whole(TAGS, &Query::new(), "virtual_machine_id", &values)
            .await
            .unwrap();
        let found = ids(&rows);
        assert!((1..=machines / 2).all(|id| found.contains(&id)), "{case}");
        let requests = requests(&server).await;
        let is_filtered = |request: &&Request| request.url.query().unwrap().contains("virtual_machine_id");
        let filtered = requests.iter().filter(is_filtered).count();
        assert_eq!((filtered, requests.len() - filtered), (with_filter, without), "{case}");
    }
}

#[tokio::test]
async fn bulk_create_is_one_list_and_answers_in_order() {
    let server = MockServer::start().await;
    let rows = [json!({"name": "a"}), json!({"name": "b"})];
    let created = json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]);
    Mock::given(method("POST"))
        .and(body_json(&rows))
        .respond_with(ResponseTemplate::new(201).set_body_json(created))
        .mount(&server)
        .await;
    let client = client(&server);
    assert_eq!(ids(&client.create(TAGS, &rows).await.unwrap()), [1, 2]);
    assert!(client.create(TAGS, &[]).await.unwrap().is_empty());
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn answers_of_an_update_come_back_in_request_order() {
    let server = MockServer::start().await;
    answer(
        &server,
        "PATCH",
        TAGS,
        ResponseTemplate::new(200).set_body_json(json!([{"id": 1}, {"id": 5}, {"id": 3}])),
    )
    .await;
    let rows = [json!({"id": 5}), json!({"id": 3}), json!({"id": 1})];
    assert_eq!(ids(&client(&server).update(TAGS, &rows).await.unwrap()), [5, 3, 1]);
    for wrong in [vec![json!({"name": "x"})], vec![json!({"id": 1}), json!({"id": 1})]] {
        let error = client(&server).update(TAGS, &wrong).await.unwrap_err();
        assert!(matches!(error, WriteError::Failed(Error::Request { .. })), "{error}");
    }
    assert_eq!(requests(&server).await.len(), 1);
}

async fn refused(verb: &str, status: u16, body: Value) -> WriteError {
    let server = MockServer::start().await;
    answer(&server, verb, TAGS, ResponseTemplate::new(status).set_body_json(body)).await;
    let client = client(&server);
    let error = match verb {
        "POST" => client
            .create(TAGS, &[json!({"name": "a"}), json!({"name": "b"})])
            .await
            .unwrap_err(),
        "PATCH" => client
            .update(TAGS, &[json!({"id": 9}), json!({"id": 7})])
            .await
            .unwrap_err(),
        _ => client.delete(TAGS, &[ObjectId(9), ObjectId(7)]).await.unwrap_err(),
    };
    assert_eq!(requests(&server).await.len(), 1, "{verb} {status} is not repeated");
    error
}

#[tokio::test]
async fn refusal_names_its_rows_in_every_release() {
    let by_index = json!({"detail": "1 of 2 objects could not be created.", "errors": [{"index": 1, "errors": {"name": ["taken"]}}]});
    let by_id =
        json!({"detail": "1 of 2 objects could not be updated.", "errors": [{"id": 7, "errors": {"name": ["taken"]}}]});
    let cases = [
        ("POST", 400, by_index.clone()),
        ("POST", 400, json!([{}, {"name": ["taken"]}])),
        ("POST", 403, by_index),
        ("PATCH", 400, by_id.clone()),
        ("DELETE", 409, by_id),
    ];
    for (verb, status, body) in cases {
        let error = refused(verb, status, body.clone()).await;
        let WriteError::Rows { status: told, refused } = &error else {
            panic!("{verb} {body}: {error}")
        };
        assert_eq!(*told, status, "{verb} {body}");
        assert_eq!(refused.len(), 1, "{verb} {body}");
        assert_eq!(
            (refused[0].row, refused[0].to_string().as_str()),
            (1, "name: taken"),
            "{verb} {body}"
        );
    }
}

#[tokio::test]
async fn refusal_without_a_row_concerns_the_batch() {
    let cases = [
        (
            409,
            json!({"virtual_machine": "This object already has a Proxbox sync-state row."}),
        ),
        (
            409,
            json!({"proxmox_endpoint_raw_id": ["endpoint_ownership_conflict"], "code": "endpoint_ownership_conflict"}),
        ),
        (
            500,
            json!({"error": "duplicate key value violates unique constraint", "exception": "IntegrityError"}),
        ),
        (400, json!({"detail": "Expected a list of objects, but got dict."})),
        (400, json!({"name": ["This field is required."]})),
    ];
    for (status, body) in cases {
        let error = refused("POST", status, body.clone()).await;
        assert!(
            matches!(error, WriteError::Batch { status: told, .. } if told == status),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn write_refused_before_it_began_is_certainly_not_written() {
    let cases = [
        (403, json!({"detail": "Invalid v1 token"}), "netbox_auth_failed"),
        (
            403,
            json!({"detail": "You do not have permission to perform this action."}),
            "netbox_permission_denied",
        ),
        (404, json!({"detail": "Not found."}), "netbox_not_found"),
    ];
    for (status, body, reason) in cases {
        let error = refused("POST", status, body).await;
        let WriteError::Failed(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.reason(), reason);
    }
}

#[tokio::test]
async fn create_with_a_proxy_error_is_uncertain_and_not_repeated() {
    for status in [500, 502, 503, 504] {
        let error = refused("POST", status, json!("<html>")).await;
        assert!(matches!(error, WriteError::Uncertain(_)), "{status}: {error}");
    }
}

#[tokio::test]
async fn create_refused_by_a_rate_limit_is_repeated_since_nothing_was_done() {
    let server = MockServer::start().await;
    let limited = ResponseTemplate::new(429).insert_header("Retry-After", "0");
    Mock::given(method("POST"))
        .respond_with(limited)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    answer(
        &server,
        "POST",
        TAGS,
        ResponseTemplate::new(201).set_body_json(json!([{"id": 1}])),
    )
    .await;
    assert_eq!(ids(&client(&server).create(TAGS, &[json!({})]).await.unwrap()), [1]);
}

#[tokio::test]
async fn create_that_runs_out_of_time_is_uncertain_and_sent_once() {
    let server = MockServer::start().await;
    answer(
        &server,
        "POST",
        TAGS,
        ResponseTemplate::new(201).set_delay(Duration::from_mins(1)),
    )
    .await;
    let endpoint = Endpoint {
        timeout: Duration::from_millis(100),
        ..endpoint(server.address().port())
    };
    let error = Client::new(endpoint)
        .unwrap()
        .create(TAGS, &[json!({})])
        .await
        .unwrap_err();
    assert!(matches!(error, WriteError::Uncertain(Error::Timeout { .. })), "{error}");
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn create_whose_connection_breaks_after_sending_is_uncertain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(endpoint(listener.local_addr().unwrap().port())).unwrap();
    let hang_up = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let read = socket.read(&mut [0; 4096]).await.unwrap();
        assert!(read > 0);
    };
    let rows = [json!({})];
    let (outcome, ()) = tokio::join!(client.create(TAGS, &rows), hang_up);
    let error = outcome.unwrap_err();
    assert!(matches!(error, WriteError::Uncertain(Error::Lost { .. })), "{error}");
}

/// Answers one bulk create on `socket` with one row, whose id is `number`.
async fn answer_create(socket: &mut tokio::net::TcpStream, number: u64) {
    let mut request = Vec::new();
    while !request.ends_with(b"]") {
        assert!(socket.read_buf(&mut request).await.unwrap() > 0);
    }
    let body = json!([{"id": number}]).to_string();
    let answer = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
}

/// Answers every request on `socket` with one row, whose id is the number of the connection.
async fn answer_with_number(mut socket: tokio::net::TcpStream, number: u64) {
    let mut request = Vec::new();
    loop {
        let (is_read, is_write) = (request.starts_with(b"GET"), request.starts_with(b"POST"));
        if is_read && request.ends_with(b"\r\n\r\n") || is_write && request.ends_with(b"]") {
            let row = json!({"id": number});
            let body = if is_read {
                json!({"results": [row]})
            } else {
                json!([row])
            }
            .to_string();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
            request.clear();
        }
        if socket.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn reads_and_writes_keep_a_connection_each() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(endpoint(listener.local_addr().unwrap().port())).unwrap();
    let serve = async {
        for number in 1.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(answer_with_number(socket, number));
        }
    };
    let talk = async {
        let (query, rows) = (Query::new(), [json!({})]);
        let read = || client.list::<Value>(TAGS, &query);
        let write = || client.create(TAGS, &rows);
        let [first, second] = [read().await.unwrap(), read().await.unwrap()];
        let [third, fourth] = [write().await.unwrap(), write().await.unwrap()];
        [first, second, third, fourth, read().await.unwrap()].map(|rows| ids(&rows)[0])
    };
    let numbers = tokio::select! {
        () = serve => unreachable!("accepts for ever"),
        numbers = talk => numbers,
    };
    assert_eq!(numbers, [1, 1, 2, 2, 1]);
}

/// A server that goes away between two requests on a connection that both sides have kept.
#[tokio::test]
async fn create_whose_kept_connection_breaks_is_uncertain_and_the_next_one_has_a_fresh_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(endpoint(listener.local_addr().unwrap().port())).unwrap();
    let serve = async {
        for number in 1..=2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            answer_create(&mut socket, number).await;
            // The second request on a connection is read and never answered.
            let read = socket.read(&mut [0; 4096]).await.unwrap();
            assert!(number == 2 || read > 0);
        }
    };
    let talk = async {
        let rows = [json!({})];
        let first = client.create(TAGS, &rows).await.unwrap();
        let error = client.create(TAGS, &rows).await.unwrap_err();
        assert!(matches!(error, WriteError::Uncertain(Error::Lost { .. })), "{error}");
        let next = client.create(TAGS, &rows).await.unwrap();
        assert_eq!([ids(&first), ids(&next)], [[1], [2]]);
        drop(client);
    };
    tokio::join!(serve, talk);
}

#[tokio::test]
async fn create_without_a_connection_is_repeated_and_certainly_not_written() {
    // Bound, so that no other test gets the port, and never listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = Client::new(endpoint(closed.local_addr().unwrap().port())).unwrap();
    let repetitions = Repetitions::default();
    let subscriber = tracing_subscriber::registry().with(repetitions.clone());
    let error = client.create(TAGS, &[json!({})]).with_subscriber(subscriber).await;
    let error = error.unwrap_err();
    assert!(matches!(error, WriteError::Failed(Error::Connect { .. })), "{error}");
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(repetitions.0.load(Ordering::Relaxed), 2);
}

/// Counts the records of requests that are repeated.
#[derive(Clone, Default)]
struct Repetitions(std::sync::Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Repetitions {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().fields().field("attempt").is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn delete_repeated_after_a_lost_answer_counts_as_done_when_the_rows_are_gone() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .respond_with(ResponseTemplate::new(502))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let gone = json!({"detail": "1 of 1 objects could not be found.",
        "errors": [{"id": 7, "errors": {"id": ["Object with ID 7 does not exist"]}}]});
    answer(
        &server,
        "DELETE",
        TAGS,
        ResponseTemplate::new(400).set_body_json(gone.clone()),
    )
    .await;
    client(&server).delete(TAGS, &[ObjectId(7)]).await.unwrap();

    let server = MockServer::start().await;
    answer(&server, "DELETE", TAGS, ResponseTemplate::new(400).set_body_json(gone)).await;
    let error = client(&server).delete(TAGS, &[ObjectId(7)]).await.unwrap_err();
    assert!(matches!(error, WriteError::Rows { .. }), "{error}");
}

#[tokio::test]
async fn change_of_several_rows_is_not_sent_again_whole_unless_netbox_asks_for_it() {
    let row = |id: u64| json!({"id": id, "name": "new"});
    for (what, rows, answered, times) in [
        ("one row", 1, ResponseTemplate::new(504), 3),
        ("several rows", 2, ResponseTemplate::new(504), 1),
        ("several rows", 2, ResponseTemplate::new(502), 1),
        ("several rows", 2, ResponseTemplate::new(503), 1),
        (
            "several rows, with a time to come again",
            2,
            ResponseTemplate::new(503).insert_header("Retry-After", "0"),
            3,
        ),
        (
            "several rows, too often",
            2,
            ResponseTemplate::new(429).insert_header("Retry-After", "0"),
            3,
        ),
        (
            "several rows, too slow",
            2,
            ResponseTemplate::new(200).set_delay(Duration::from_mins(1)),
            1,
        ),
    ] {
        let server = MockServer::start().await;
        answer(&server, "PATCH", TAGS, answered.clone()).await;
        answer(&server, "DELETE", TAGS, answered).await;
        let endpoint = Endpoint {
            timeout: Duration::from_millis(300),
            ..endpoint(server.address().port())
        };
        let client = Client::new(endpoint).unwrap();
        let bodies: Vec<Value> = (1..=rows).map(row).collect();
        let ids: Vec<ObjectId> = (1..=rows).map(ObjectId).collect();
        for error in [
            client.update(TAGS, &bodies).await.unwrap_err(),
            client.delete(TAGS, &ids).await.unwrap_err(),
        ] {
            let (WriteError::Uncertain(cause) | WriteError::Failed(cause)) = &error else {
                panic!("{what}: {error}");
            };
            assert!(cause.is_transient(), "{what}: {error}");
        }
        assert_eq!(requests(&server).await.len(), 2 * times, "{what}");
    }
}

fn status_answer() -> ResponseTemplate {
    let body = json!({"netbox-version": "4.7.3", "netbox-full-version": "4.7.3-Docker", "rq-workers-running": 1,
        "plugins": {"netbox_proxbox": "0.0.29.post6"}});
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn status_is_kept_while_its_failure_is_soon_forgotten() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(500))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    answer(&server, "GET", "/api/status/", status_answer()).await;
    let client = client(&server);
    assert_eq!(client.status().await.unwrap_err().reason(), "netbox_error");
    assert_eq!(client.status().await.unwrap_err().reason(), "netbox_error");
    assert_eq!(requests(&server).await.len(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let status = client.status().await.unwrap();
    assert_eq!(
        (status.version.to_string().as_str(), status.plugin_version()),
        ("4.7.3", Some("0.0.29.post6"))
    );
    client.status().await.unwrap();
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn write_that_is_not_sent_while_netbox_rests_is_certainly_not_written() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(502))
        .up_to_n_times(3)
        .mount(&server)
        .await;
    answer(&server, "GET", TAGS, page(None, [1])).await;
    let patient = Endpoint {
        max_retries: 0,
        ..endpoint(server.address().port())
    };
    let client = Client::new(patient).unwrap();
    for _ in 0..3 {
        client.list::<Value>(TAGS, &Query::new()).await.unwrap_err();
    }
    let error = client.create(TAGS, &[json!({"name": "x"})]).await.unwrap_err();
    assert!(matches!(error, WriteError::Failed(Error::Down { .. })), "{error}");
    assert_eq!(requests(&server).await.len(), 3);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
}

/// What may take minutes each time is not tried many times.
#[tokio::test]
async fn read_that_runs_out_of_time_is_repeated_once() {
    let server = MockServer::start().await;
    let never = page(None, [1]).set_delay(Duration::from_mins(1));
    answer(&server, "GET", TAGS, never).await;
    let hurried = Endpoint {
        timeout: Duration::from_millis(100),
        max_retries: 5,
        ..endpoint(server.address().port())
    };
    let client = Client::new(hurried).unwrap();
    client.list::<Value>(TAGS, &Query::new()).await.unwrap_err();
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn overload_lowers_the_number_of_simultaneous_requests() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    answer(&server, "GET", TAGS, page(None, [1])).await;
    let client = client(&server);
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    assert_eq!(client.read_places(), 4);
}

#[tokio::test]
async fn answer_that_comes_late_lowers_the_number_of_simultaneous_requests() {
    let server = MockServer::start().await;
    let late = page(None, [1]).set_delay(Duration::from_millis(400));
    answer(&server, "GET", TAGS, late).await;
    let hurried = Endpoint {
        timeout: Duration::from_millis(1_200),
        ..endpoint(server.address().port())
    };
    let client = Client::new(hurried).unwrap();
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    assert_eq!(client.read_places(), 4);
}

#[tokio::test]
async fn limit_of_all_requests_holds_for_reads_and_writes_together() {
    let server = MockServer::start().await;
    let late = page(None, [1]).set_delay(Duration::from_millis(300));
    answer(&server, "GET", TAGS, late).await;
    let made = ResponseTemplate::new(201).set_body_json(json!([{"id": 2}]));
    answer(&server, "POST", TAGS, made).await;
    for (total, expected) in [(None, ["write", "read"]), (Some(1), ["read", "write"])] {
        let mut limited = endpoint(server.address().port());
        limited.limits.total = total;
        let client = Client::new(limited).unwrap();
        let ended = std::sync::Mutex::new(Vec::new());
        let read = async {
            client.list::<Value>(TAGS, &Query::new()).await.unwrap();
            ended.lock().unwrap().push("read");
        };
        let write = async {
            client.create(TAGS, &[json!({"name": "x"})]).await.unwrap();
            ended.lock().unwrap().push("write");
        };
        tokio::join!(read, write);
        assert_eq!(*ended.lock().unwrap(), expected, "{total:?}");
    }
}

#[tokio::test]
async fn scheme_of_an_unusual_port_is_found_without_showing_the_token() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/status/"))
        .respond_with(ResponseTemplate::new(403).insert_header("API-Version", "4.7"))
        .mount(&server)
        .await;
    answer(&server, "GET", TAGS, page(None, [1])).await;
    let endpoint = Endpoint {
        scheme: None,
        ..endpoint(server.address().port())
    };
    let client = Client::new(endpoint).unwrap();
    assert_eq!(client.release().await.unwrap().to_string(), "4.7.0");
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    client.list::<Value>(TAGS, &Query::new()).await.unwrap();
    let sent: Vec<_> = requests(&server)
        .await
        .iter()
        .map(|request| {
            (
                request.url.path().to_owned(),
                request.headers.contains_key("Authorization"),
            )
        })
        .collect();
    let list = (TAGS.to_owned(), true);
    assert_eq!(sent, [("/api/status/".to_owned(), false), list.clone(), list]);
    assert!(client.base_url().starts_with("http://"));
}

/// Rows are asked for once more than that.
#[tokio::test]
async fn permissions_that_do_not_come_are_asked_for_twice() {
    let server = MockServer::start().await;
    let user = json!({"id": 2, "groups": [], "permissions": [{"id": 4}]});
    answer(
        &server,
        "GET",
        "/api/authentication-check/",
        ResponseTemplate::new(200).set_body_json(user),
    )
    .await;
    answer(&server, "GET", "/api/users/permissions/", ResponseTemplate::new(503)).await;
    assert_eq!(*client(&server).rights().await, Rights::default());
    let asked = requests(&server).await.into_iter();
    let asked = asked.filter(|request| request.url.path() == "/api/users/permissions/");
    assert_eq!(asked.count(), 2);
}

#[tokio::test]
async fn search_for_the_scheme_that_fails_is_made_once_more_at_most() {
    for (max_retries, searches) in [(0, 1), (2, 2)] {
        let server = MockServer::start().await;
        answer(&server, "GET", "/api/status/", ResponseTemplate::new(403)).await;
        let client = Client::new(Endpoint {
            scheme: None,
            max_retries,
            ..endpoint(server.address().port())
        })
        .unwrap();
        client.release().await.unwrap_err();
        assert_eq!(requests(&server).await.len(), searches);
    }
}

#[tokio::test]
async fn release_is_asked_for_only_where_nothing_has_answered_for_a_while() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/api/status/", status_answer()).await;
    answer(
        &server,
        "GET",
        TAGS,
        page(None, [1]).insert_header("API-Version", "4.6"),
    )
    .await;
    let silent = Client::new(endpoint(server.address().port())).unwrap();
    assert_eq!(silent.release().await.unwrap().to_string(), "4.7.3");
    let spoken = Client::new(endpoint(server.address().port())).unwrap();
    spoken.list::<Value>(TAGS, &Query::new()).await.unwrap();
    assert_eq!(spoken.release().await.unwrap().to_string(), "4.6.0");
    let asked = async || {
        let asked = requests(&server).await.into_iter();
        asked.filter(|request| request.url.path() == "/api/status/").count()
    };
    assert_eq!(asked().await, 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(6)).await;
    tokio::time::resume();
    assert_eq!(spoken.release().await.unwrap().to_string(), "4.7.3");
    assert_eq!(asked().await, 2);
}

fn tls_acceptor() -> tokio_rustls::TlsAcceptor {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config))
}

/// Answers one request on `socket` and says whether it had a token.
async fn answer_once(socket: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), status: &str, body: &str) -> bool {
    let mut request = [0; 4096];
    let length = socket.read(&mut request).await.unwrap();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
    request.contains("authorization")
}

/// A server like nginx, whose TLS does not come about at first.
#[tokio::test]
async fn token_is_not_sent_to_what_only_says_in_plain_text_that_it_wants_tls() {
    let acceptor = tls_acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(Endpoint {
        scheme: None,
        ..endpoint(listener.local_addr().unwrap().port())
    })
    .unwrap();
    let is_up = AtomicBool::new(false);
    let serve = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut first = [0];
            if socket.peek(&mut first).await.unwrap_or_default() == 0 {
                continue;
            }
            // What a TLS greeting begins with.
            if first != [0x16] {
                let refusal = "The plain HTTP request was sent to HTTPS port";
                assert!(!answer_once(&mut socket, "400 Bad Request", refusal).await, "the token");
            } else if is_up.load(Ordering::Relaxed)
                && let Ok(mut socket) = acceptor.accept(socket).await
            {
                answer_once(&mut socket, "200 OK", r#"{"results": []}"#).await;
            }
        }
    };
    let talk = async {
        let query = Query::new();
        let error = client.list::<Value>(TAGS, &query).await.unwrap_err();
        is_up.store(true, Ordering::Relaxed);
        let rows = client.list::<Value>(TAGS, &query).await.unwrap();
        (error, rows)
    };
    let (error, rows) = tokio::select! {
        () = serve => unreachable!("accepts for ever"),
        told = talk => told,
    };
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    assert!(rows.is_empty() && client.base_url().starts_with("https://"));
}

#[tokio::test]
async fn port_that_speaks_tls_is_found_by_its_answer_to_plain_text() {
    let acceptor = tls_acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(Endpoint {
        scheme: None,
        ..endpoint(listener.local_addr().unwrap().port())
    })
    .unwrap();
    let serve = async {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            if answer_once(&mut socket, "200 OK", r#"{"results": []}"#).await {
                return;
            }
        }
    };
    let query = Query::new();
    let (rows, ()) = tokio::join!(client.list::<Value>(TAGS, &query), serve);
    assert!(rows.unwrap().is_empty());
    assert!(client.base_url().starts_with("https://"));
}

#[tokio::test]
async fn settings_route_falls_back_only_when_it_is_missing() {
    let cases = [(404, true), (403, false), (500, false)];
    for (status, falls_back) in cases {
        let server = MockServer::start().await;
        answer(
            &server,
            "GET",
            "/api/plugins/proxbox/settings/runtime/",
            ResponseTemplate::new(status),
        )
        .await;
        let settings = json!({"count": 1, "next": null, "results": [{"id": 1, "netbox_timeout": 7}]});
        answer(
            &server,
            "GET",
            "/api/plugins/proxbox/settings/",
            ResponseTemplate::new(200).set_body_json(settings),
        )
        .await;
        let settings = fetch_settings(&client(&server)).await;
        assert_eq!(settings.is_ok(), falls_back, "{status}");
        let timeout = settings.ok().and_then(|settings| settings.netbox.timeout);
        assert_eq!(timeout, falls_back.then_some(Duration::from_secs(7)), "{status}");
    }
}

#[tokio::test]
async fn preflight_tells_a_read_only_token_from_a_missing_right() {
    for (render, expected) in [(403, "ReadOnlyToken"), (404, "NoRight")] {
        let server = MockServer::start().await;
        let denied = json!({"detail": "You do not have permission to perform this action."});
        answer(&server, "GET", "/api/status/", status_answer()).await;
        answer(
            &server,
            "GET",
            "/api/plugins/proxbox/settings/runtime/",
            ResponseTemplate::new(403).set_body_json(&denied),
        )
        .await;
        answer(
            &server,
            "GET",
            "/api/authentication-check/",
            ResponseTemplate::new(200).set_body_json(json!({"id": 1})),
        )
        .await;
        Mock::given(method("PATCH"))
            .respond_with(ResponseTemplate::new(403).set_body_json(&denied))
            .mount(&server)
            .await;
        answer(
            &server,
            "POST",
            "/api/extras/config-templates/0/render/",
            ResponseTemplate::new(render).set_body_json(&denied),
        )
        .await;
        let found = preflight(&client(&server)).await;
        assert!(matches!(found.authentication, Authentication::Accepted), "{found:?}");
        assert!(matches!(found.settings, SettingsAccess::Denied), "{found:?}");
        assert_eq!(format!("{:?}", found.write), expected);
        assert_eq!(found.plugin_version(), Some("0.0.29.post6"));
    }
}

#[tokio::test]
async fn preflight_names_the_problem_of_a_refused_token() {
    let cases = [
        ("Invalid v1 token", TokenProblem::Unknown),
        ("Token disabled", TokenProblem::Disabled),
        ("Token expired", TokenProblem::Expired),
        (
            "Source IP 10.0.0.1 is not permitted to authenticate using this token.",
            TokenProblem::WrongAddress,
        ),
    ];
    for (text, expected) in cases {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(403).set_body_json(json!({ "detail": text })))
            .mount(&server)
            .await;
        let found = preflight(&client(&server)).await;
        assert!(
            matches!(&found.authentication, Authentication::Refused { problem, .. } if *problem == expected),
            "{text}: {found:?}"
        );
        assert!(matches!(found.write, WriteAccess::Unknown(_)), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn token_shows_in_no_debug_form_and_no_error() {
    let server = MockServer::start().await;
    answer(&server, "GET", TAGS, ResponseTemplate::new(403)).await;
    let client = client(&server);
    let error = client.list::<Value>(TAGS, &Query::new()).await.unwrap_err();
    let unreachable = Client::new(endpoint(1)).unwrap().get::<Value>(TAGS).await.unwrap_err();
    let found = preflight(&client).await;
    let shown = format!(
        "{client:?} {error:?} {error} {unreachable:?} {unreachable} {found:?} {:?}",
        endpoint(1)
    );
    assert!(!shown.contains(SECRET), "{shown}");
}

const WHO_AM_I: &str = "/api/authentication-check/";
const PERMISSIONS: &str = "/api/users/permissions/";
const MACHINE: &str = "virtualization.virtualmachine";

fn user(permissions: &[u64]) -> ResponseTemplate {
    let permissions: Vec<Value> = permissions
        .iter()
        .map(|id| json!({"id": id, "enabled": true}))
        .collect();
    ResponseTemplate::new(200).set_body_json(json!({"id": 2, "groups": [], "permissions": permissions}))
}

/// The user's permissions: to see some virtual machines, and all permissions.
async fn limited_user(server: &MockServer) {
    let row = |id: u64, model: &str, constraints: Value| {
        json!({
            "id": id, "enabled": true, "object_types": [model], "actions": ["view"], "constraints": constraints,
            "users": [{"id": 2}], "groups": [],
        })
    };
    let rows = json!([
        row(1, MACHINE, json!({"name": "a"})),
        row(2, "users.objectpermission", Value::Null)
    ]);
    answer(server, "GET", WHO_AM_I, user(&[1, 2])).await;
    let page = json!({"count": 2, "next": null, "previous": null, "results": rows});
    answer(
        server,
        "GET",
        PERMISSIONS,
        ResponseTemplate::new(200).set_body_json(page),
    )
    .await;
}

fn is_limited(rights: &Rights) -> bool {
    rights.is_constrained(MACHINE, Action::View)
}

#[tokio::test]
async fn rights_are_asked_for_once_in_ten_minutes() {
    let server = MockServer::start().await;
    answer(&server, "GET", WHO_AM_I, user(&[])).await;
    let client = client(&server);
    for _ in 0..3 {
        assert!(!is_limited(&*client.rights().await));
    }
    let on_branch = client.on_branch("abcd1234").unwrap();
    assert!(!is_limited(&*on_branch.rights().await));
    assert_eq!(requests(&server).await.len(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(11)).await;
    tokio::time::resume();
    client.rights().await;
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn rights_that_are_not_told_are_not_asked_for_again() {
    let denied = || ResponseTemplate::new(403).set_body_json(json!({"detail": "You do not have permission."}));
    let no_route = || ResponseTemplate::new(404).set_body_raw("<html></html>", "text/html");
    for (what, who, permissions, expected) in [
        ("a release without it", no_route(), no_route(), 1),
        ("a user who may not see permissions", user(&[1]), denied(), 2),
        ("an answer that says nothing", ResponseTemplate::new(200), no_route(), 1),
    ] {
        let server = MockServer::start().await;
        answer(&server, "GET", WHO_AM_I, who).await;
        answer(&server, "GET", PERMISSIONS, permissions).await;
        let client = client(&server);
        for _ in 0..2 {
            assert_eq!(*client.rights().await, Rights::default(), "{what}");
        }
        assert_eq!(requests(&server).await.len(), expected, "{what}");
    }
}

#[tokio::test]
async fn constraints_are_told_unless_the_user_is_a_superuser() {
    let page = |ids: &[u64]| page(None, ids.iter().copied());
    let denied = ResponseTemplate::new(403).set_body_json(json!({"detail": "You do not have permission."}));
    for (what, users, expected) in [
        ("a superuser", page(&[2]), false),
        ("none", page(&[]), true),
        ("one who may not see users", denied, true),
    ] {
        let server = MockServer::start().await;
        limited_user(&server).await;
        Mock::given(path("/api/users/users/"))
            .and(query_param("id", "2"))
            .and(query_param("is_superuser", "true"))
            .respond_with(users)
            .mount(&server)
            .await;
        assert_eq!(is_limited(&*client(&server).rights().await), expected, "{what}");
        assert_eq!(requests(&server).await.len(), 3, "{what}");
    }
}
