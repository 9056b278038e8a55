//! Guests and tokens that are made and changed, on a mock.

use super::topics::{root, session};
use crate::proxmox::mock::{ROOT_TOKEN, Release};
use crate::proxmox::{CloneOptions, Credential, Endpoint, Error, GuestConfig, GuestKind, GuestPlace, Session, Vmid};

#[tokio::test]
async fn guests_are_made_copied_grown_and_made_templates() {
    let (mock, session) = session(Release::V9_2).await;
    let guest = GuestPlace {
        node: "pve1",
        kind: GuestKind::Qemu,
        vmid: Vmid(7_000),
    };
    let parameters = [
        ("name", "first".into()),
        ("scsi0", "local-lvm:vm-7000-disk-0,size=8G".into()),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0".into()),
    ];
    session.create_guest(guest, &parameters).await.unwrap();
    let copy = GuestPlace {
        node: "pve2",
        vmid: Vmid(7_001),
        ..guest
    };
    let options = CloneOptions {
        vmid: copy.vmid,
        name: None,
        target: Some("pve2"),
        storage: None,
        pool: None,
        snapshot: None,
        full: None,
    };
    session.clone_guest(guest, options).await.unwrap();
    session.resize_disk(copy, "scsi0", "+512M").await.unwrap();
    session.change_guest(copy, &[("name", "second".into())]).await.unwrap();
    assert!(session.make_template(copy).await.unwrap().is_some());
    assert!(session.guest_status(copy).await.unwrap().template);
    let config = session.guest_config("pve2", GuestKind::Qemu, copy.vmid).await.unwrap();
    let GuestConfig::Qemu(config) = config else {
        panic!("a virtual machine")
    };
    assert_eq!(config.name.as_deref(), Some("second"));
    let text = |key: &str| {
        mock.world()
            .read(|world| world.guests[&7_001].config.text(key).map(str::to_owned))
    };
    assert_eq!(text("scsi0").as_deref(), Some("local-lvm:vm-7001-disk-0,size=8704M"));
    assert_eq!(text("net0").as_deref(), Some("virtio=BC:24:11:1B:59:00,bridge=vmbr0"));
    for refused in [
        session.clone_guest(guest, options).await.err(),
        session.resize_disk(copy, "scsi0", "1G").await.err(),
        session.resize_disk(copy, "scsi7", "1G").await.err(),
        session.make_template(copy).await.err(),
    ] {
        assert!(refused.is_some_and(|error| !matches!(error, Error::Decode { .. })));
    }
}

#[tokio::test]
async fn token_signs_in_with_its_new_secret_alone() {
    let (mock, session) = session(Release::V9_2).await;
    let (user, name) = ROOT_TOKEN.split_once('!').unwrap();
    let secret = session.regenerate_api_token(user, name).await.unwrap();
    assert!(matches!(session.version_info().await, Err(Error::AuthFailed { .. })));
    let renewed = Endpoint {
        credential: Credential::Token {
            name: name.to_owned(),
            secret,
        },
        ..root(&mock)
    };
    Session::new(renewed).unwrap().version_info().await.unwrap();
}
