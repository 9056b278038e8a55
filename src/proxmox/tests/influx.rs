//! Figures of an InfluxDB server.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::server::{Identity, Reply, Server};
use crate::proxmox::TlsPolicy;
use crate::proxmox::influx::{self, Error, Figures, Moment, PlaceError, Query};

const ROWS: &str = "#datatype,string,long,dateTime:RFC3339,double,string,string\n\
    #group,false,false,false,false,true,true\n\
    #default,_result,,,,,\n\
    ,result,table,_time,_value,_field,host\n\
    ,,0,2026-07-01T00:00:00Z,0.25,cpu,pve1\n";

fn query() -> Query {
    Query {
        bucket: "proxmox".to_owned(),
        start: Moment::parse("-1h").unwrap(),
        stop: None,
        measurement: "system".to_owned(),
        fields: Vec::new(),
        filters: Vec::new(),
        aggregation: None,
        max_rows: 10,
    }
}

fn influx(tls: TlsPolicy) -> influx::Server {
    influx::Server {
        url: Url::parse("https://influx.example/base/").unwrap(),
        organization: "a&b".to_owned(),
        token: SecretString::from("s3cret"),
        tls,
        limit: Duration::from_secs(5),
        max_bytes: 4096,
    }
}

/// The policy that trusts `identity`.
fn trusting(identity: &Identity) -> TlsPolicy {
    TlsPolicy {
        ca_pem: Some(identity.ca_pem.clone()),
        ..TlsPolicy::default()
    }
}

async fn asked(reply: Reply) -> (Server, Result<Figures, Error>) {
    let identity = Identity::new(&["influx.example"]);
    let server = Server::tls(&identity, move |_| reply.clone());
    let answer = influx(trusting(&identity)).ask_at(&[server.address], &query()).await;
    (server, answer)
}

#[tokio::test]
async fn query_is_sent_with_its_token_and_answered_in_rows() {
    let (server, answer) = asked(Reply::bytes("200 OK", "content-type: text/csv\r\n", ROWS.as_bytes())).await;
    assert_eq!(answer.unwrap().columns, ["_time", "_value", "_field", "host"]);
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.header("authorization")),
        ("POST", "/base/api/v2/query?org=a%26b", Some("Token s3cret"))
    );
    assert!(seen.body.contains("from(bucket: \\\"proxmox\\\")"), "{}", seen.body);
}

#[tokio::test]
async fn answers_that_hold_no_figures_are_told_apart() {
    let large = format!("{ROWS}{}", ",,0,2026-07-01T00:00:00Z,0.25,cpu,pve1\n".repeat(200));
    for (reply, wanted) in [
        (Reply::new("401 Unauthorized", "{}"), "influx_upstream_error"),
        (Reply::new("500 Internal Server Error", "{}"), "influx_upstream_error"),
        (
            Reply::bytes("302 Found", "location: https://elsewhere.example/\r\n", b""),
            "influx_upstream_error",
        ),
        (Reply::new("200 OK", "{\"a\": 1}"), "influx_invalid_response"),
        (Reply::new("200 OK", &large), "influx_response_too_large"),
        (Reply::hang_up(), "influx_connection_error"),
    ] {
        let (_server, answer) = asked(reply).await;
        assert_eq!(answer.unwrap_err().reason(), wanted);
    }
}

#[tokio::test]
async fn certificate_of_somebody_else_is_refused() {
    let (own, other) = (Identity::new(&["influx.example"]), Identity::new(&["influx.example"]));
    let server = Server::tls(&other, |_| Reply::new("200 OK", ROWS));
    let answer = influx(trusting(&own)).ask_at(&[server.address], &query()).await;
    assert_eq!(answer.unwrap_err().reason(), "influx_tls_error");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn server_on_this_host_is_never_asked() {
    let identity = Identity::new(&["localhost"]);
    let server = Server::tls(&identity, |_| Reply::new("200 OK", ROWS));
    let influx = influx::Server {
        url: Url::parse(&format!("https://localhost:{}/", server.address.port())).unwrap(),
        ..influx(trusting(&identity))
    };
    let answer = influx.ask(&query()).await;
    assert!(matches!(answer, Err(Error::Place(PlaceError::Address))), "{answer:?}");
    assert!(server.seen().is_empty());
}
