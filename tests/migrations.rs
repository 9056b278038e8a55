//! Every migration over a database that already holds rows.

use proxbox_api::store::{Keys, Location, ProxmoxEndpoint, Store, StoreOptions};
use secrecy::SecretString;

#[tokio::test]
async fn opening_a_database_again_keeps_its_rows() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let keys = Keys {
        text: Some(SecretString::from("a key".to_owned())),
        ..Keys::default()
    };
    let location = Location::File(folder.path().join("store.db"));
    let options = StoreOptions {
        location,
        keys,
        ..StoreOptions::default()
    };
    let store = Store::open(options.clone()).await.expect("a fresh store");
    let key = "0123456789abcdef0123456789abcdef".to_owned();
    store
        .register_first_key(&SecretString::from(key), "plugin")
        .await
        .expect("the first key");
    store.close().await;
    let store = Store::open(options).await.expect("the same store");
    assert_eq!(store.list_keys().await.expect("its keys").len(), 1);
    let endpoints: Vec<ProxmoxEndpoint> = store.list_proxmox_endpoints().await.expect("its endpoints");
    assert!(endpoints.is_empty());
}
