//! That the committed contract is what is served.

use proxbox_api::http::openapi_document;

#[test]
fn committed_openapi_document_is_that_of_the_code() {
    let committed = include_str!("../openapi/proxbox-api.json");
    let served = openapi_document().to_pretty_json().unwrap();
    assert!(
        committed.trim_end() == served,
        "openapi/proxbox-api.json is out of date; this writes it anew:\n\
         cargo run -- openapi print > openapi/proxbox-api.json"
    );
}
