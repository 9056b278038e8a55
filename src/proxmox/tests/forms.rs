//! The forms in which real servers answer what is read less often.

use super::exchanges::session;
use super::server::{Reply, Server};
use crate::proxmox::types::NodeConfig;
use crate::proxmox::{Error, FirewallOf, GuestKind, MetricFilter, Session, TaskFilter, Vmid};

/// A session with a server that answers `data` to `call`, and 501 to everything else.
fn answering(call: &'static str, data: &'static str) -> (Server, Session) {
    let server = Server::plain(move |seen| {
        if seen.call() == format!("GET {call}") {
            return Reply::data(data);
        }
        Reply::new("501 Method not implemented", r#"{"data":null}"#)
    });
    let session = session(&server);
    (server, session)
}

#[tokio::test]
async fn join_information_has_numbers_as_text() {
    let (_server, session) = answering(
        "cluster/config/join",
        r#"{"config_digest":"11","preferred_node":"pve2","nodelist":[
            {"name":"pve1","nodeid":"1","pve_addr":"10.0.0.1","pve_fp":"00:11","quorum_votes":"1","ring0_addr":"10.0.0.1"},
            {"name":"pve2","nodeid":2,"pve_addr":"10.0.0.2","pve_fp":"00:22","quorum_votes":1}],
            "totem":{"cluster_name":"lab","config_version":"2"}}"#,
    );
    let information = session.find_join_information().await.unwrap().unwrap();
    let members: Vec<_> = information
        .nodelist
        .iter()
        .map(|node| (node.nodeid, node.quorum_votes))
        .collect();
    assert_eq!(members, [(Some(1), Some(1)), (Some(2), Some(1))]);
    assert_eq!(information.totem["cluster_name"], "lab");
}

#[tokio::test]
async fn host_outside_a_cluster_has_no_join_information() {
    let server = Server::plain(|_| {
        Reply::new(
            "424 node is not in a cluster, no join info available!",
            r#"{"data":null}"#,
        )
    });
    assert_eq!(session(&server).find_join_information().await.unwrap(), None);
}

#[tokio::test]
async fn manager_of_an_idle_cluster_has_no_master_and_its_quorum_is_text() {
    let (_server, session) = answering(
        "cluster/ha/status/manager_status",
        r#"{"manager_status":{"node_status":{}},"quorum":{"quorate":"1","node":"pve"}}"#,
    );
    let status = session.ha_manager_status().await.unwrap();
    assert_eq!(
        (status.manager_status.master_node, status.quorum.quorate),
        (None, Some(true))
    );
}

#[tokio::test]
async fn manager_that_leads_tells_nodes_and_services() {
    let (_server, session) = answering(
        "cluster/ha/status/manager_status",
        r#"{"manager_status":{"master_node":"a","timestamp":1700000000,"node_status":{"a":"online","b":"fence"},
            "service_status":{"vm:100":{"state":"started"}}},"quorum":{"quorate":1,"node":"a"}}"#,
    );
    let manager = session.ha_manager_status().await.unwrap().manager_status;
    assert_eq!(manager.node_status["b"], "fence");
    assert_eq!(manager.other["service_status"]["vm:100"]["state"], "started");
}

#[tokio::test]
async fn token_has_flags_and_times_as_text_or_number() {
    let (_server, session) = answering(
        "access/users/root%40pam/token",
        r#"[{"tokenid":"a","privsep":1,"expire":0},{"tokenid":"b","comment":"test","privsep":"0","expire":"1700000000"}]"#,
    );
    let token = session.find_api_token("root@pam", "b").await.unwrap().unwrap();
    assert_eq!((token.privsep, token.expire), (false, Some(1_700_000_000)));
    assert!(session.find_api_token("root@pam", "a").await.unwrap().unwrap().privsep);
    assert_eq!(session.find_api_token("root@pam", "c").await.unwrap(), None);
}

#[tokio::test]
async fn settings_of_a_node_may_be_none_at_all() {
    let (_server, session) = answering("nodes/a/config", "{}");
    assert_eq!(session.node_config("a").await.unwrap(), NodeConfig::default());
    let (_server, session) = answering(
        "nodes/a/config",
        r#"{"description":"","digest":"99","startall-onboot-delay":"30","acme":"account=x","location":"latitude=1,longitude=2"}"#,
    );
    let config = session.node_config("a").await.unwrap();
    assert_eq!(config.startall_onboot_delay, Some(30));
    assert_eq!(config.location.as_deref(), Some("latitude=1,longitude=2"));
    assert_eq!(config.other["acme"], "account=x");
}

#[tokio::test]
async fn guests_of_a_node_have_numbers_as_text_and_blank_flags() {
    let (_server, session) = answering(
        "nodes/a/lxc",
        r#"[{"vmid":"101","status":"running","maxmem":"536870912","template":"","lock":"","tags":"db;prod"},
            {"vmid":102,"status":"stopped","maxmem":536870912,"template":1}]"#,
    );
    let rows = session.list_node_guests("a", GuestKind::Lxc).await.unwrap();
    let told: Vec<_> = rows
        .items
        .iter()
        .map(|row| (row.vmid, row.maxmem, row.template))
        .collect();
    let memory = Some(536_870_912);
    assert_eq!(
        told,
        [(Some(Vmid(101)), memory, false), (Some(Vmid(102)), memory, true)]
    );
    assert_eq!(rows.items[0].tags, ["db", "prod"]);
}

#[tokio::test]
async fn storages_of_a_node_are_asked_for_by_content_and_one_out_of_reach_has_no_sizes() {
    let (_server, session) = answering(
        "nodes/a/storage?content=backup",
        r#"[{"storage":"nas","type":"nfs","content":"backup,iso","active":1,"enabled":1,"shared":1,"total":"1000","used":250,"avail":750},
            {"storage":"gone","type":"fancy","content":"backup","active":0,"enabled":"1","shared":""}]"#,
    );
    let rows = session.list_node_storages("a", Some("backup")).await.unwrap();
    let told: Vec<_> = rows
        .items
        .iter()
        .map(|row| (row.total, row.active, row.enabled, row.shared))
        .collect();
    assert_eq!(told, [(Some(1000), true, true, true), (None, false, true, false)]);
    assert_eq!(rows.items[0].content, ["backup", "iso"]);
}

#[tokio::test]
async fn identity_of_a_storage_is_told_by_releases_that_have_it() {
    let (_server, session) = answering("nodes/a/storage/nas/identity", r#"{"id":"nas:/export","type":"nfs"}"#);
    let identity = session.find_storage_identity("a", "nas").await.unwrap().unwrap();
    assert_eq!(identity.id.as_deref(), Some("nas:/export"));
    assert_eq!(session.find_storage_identity("b", "nas").await.unwrap(), None);
}

#[tokio::test]
async fn network_interfaces_are_asked_for_by_type() {
    let (_server, session) = answering(
        "nodes/a/network?type=bridge",
        r#"[{"iface":"vmbr0","type":"bridge","active":1,"priority":"3","vlan-id":null,"exists":null}]"#,
    );
    let rows = session.list_node_interfaces("a", Some("bridge")).await.unwrap();
    assert_eq!((rows.items.len(), rows.rejected), (1, Vec::new()));
}

#[tokio::test]
async fn processor_model_is_found_with_and_without_its_prefix() {
    let (_server, session) = answering(
        "cluster/qemu/custom-cpu-models",
        r#"[{"cputype":"custom-lab","reported-model":"EPYC","flags":"+aes;-pcid","hidden":"1","level":"13","phys-bits":40}]"#,
    );
    for name in ["lab", "custom-lab"] {
        let model = session.find_cpu_model(name).await.unwrap().unwrap();
        assert_eq!((model.level, model.hidden), (Some(13), true), "{name}");
        assert_eq!(model.phys_bits.as_deref(), Some("40"));
    }
    assert_eq!(session.find_cpu_model("other").await.unwrap(), None);
    let (_server, older) = answering("version", "{}");
    assert!(
        older.list_cpu_models().await.unwrap().items.is_empty(),
        "a release without them"
    );
}

#[tokio::test]
async fn figures_may_be_unknown_and_are_asked_for_by_time() {
    let (_server, session) = answering(
        "cluster/metrics/export?history=1&start-time=1700000000",
        r#"{"data":[{"id":"node/a","metric":"cpu_current","timestamp":"1700000010","type":"gauge","value":"0.25"},
            {"id":"qemu/100","metric":"uptime","timestamp":1700000010,"type":"gauge","value":null},
            {"id":"qemu/101","metric":"uptime","type":"gauge","value":1}]}"#,
    );
    let filter = MetricFilter {
        history: true,
        start_time: Some(1_700_000_000),
        ..MetricFilter::default()
    };
    let rows = session.list_metrics(filter).await.unwrap();
    let told: Vec<_> = rows.items.iter().map(|row| (row.timestamp, row.value)).collect();
    assert_eq!(told, [(1_700_000_010, Some(0.25)), (1_700_000_010, None)]);
    assert_eq!(rows.rejected.len(), 1, "a figure without a time is none");
}

#[tokio::test]
async fn firewall_has_options_sets_groups_and_parts() {
    let guest = FirewallOf::Guest("a", GuestKind::Qemu, Vmid(100));
    let (_server, session) = answering(
        "cluster/firewall/options",
        r#"{"enable":1,"policy_in":"DROP","policy_forward":"ACCEPT","ebtables":0,"log_ratelimit":"enable=1"}"#,
    );
    let options = session.firewall_options(FirewallOf::Cluster).await.unwrap();
    assert_eq!((options.enable, options.policy_out), (Some(true), None));
    assert_eq!(options.other["log_ratelimit"], "enable=1");
    let (_server, session) = answering(
        "nodes/a/qemu/100/firewall/ipset/trusted",
        r#"[{"cidr":"10.0.0.0/24","digest":"1"},{"cidr":"10.0.0.1","nomatch":"1","comment":"not this","digest":"1"}]"#,
    );
    let entries = session.list_firewall_ipset(guest, "trusted").await.unwrap().items;
    assert_eq!((entries[0].nomatch, entries[1].nomatch), (false, true));
    let (_server, session) = answering(
        "cluster/firewall/groups/web",
        r#"[{"pos":"0","type":"in","action":"ACCEPT","enable":1,"proto":"tcp","dport":443}]"#,
    );
    let rules = session.list_firewall_group_rules("web").await.unwrap().items;
    assert_eq!((rules[0].pos, rules[0].dport.as_deref()), (Some(0), Some("443")));
    let (_server, session) = answering("nodes/a/qemu/100/firewall", r#"[{"name":"aliases"},{"name":"rules"}]"#);
    let parts = session.list_firewall_parts(guest).await.unwrap().items;
    assert_eq!(parts[1].name.as_deref(), Some("rules"));
}

#[tokio::test]
async fn failed_tasks_are_asked_for_with_a_flag_that_the_server_reads() {
    let (_server, session) = answering(
        "nodes/a/tasks?source=archive&errors=1",
        r#"[{"upid":"UPID:a:1","saved":"1"}]"#,
    );
    let failed = TaskFilter {
        only_failed: true,
        ..TaskFilter::default()
    };
    assert_eq!(session.list_tasks("a", failed).await.unwrap().items.len(), 1);
    let (_server, session) = answering("cluster/tasks", r#"[{"upid":"UPID:a:1","status":"OK"}]"#);
    assert_eq!(session.list_recent_tasks().await.unwrap().items[0].outcome(), "OK");
}

#[tokio::test]
async fn what_is_refused_is_an_error_and_never_empty() {
    let server = Server::plain(|_| Reply::new("403 Permission check failed (/, Sys.Audit)", r#"{"data":null}"#));
    let session = session(&server);
    let denied = |error: Error| matches!(error, Error::PermissionDenied { .. });
    assert!(denied(session.find_join_information().await.unwrap_err()));
    assert!(denied(session.ha_manager_status().await.unwrap_err()));
    assert!(denied(session.list_metrics(MetricFilter::default()).await.unwrap_err()));
    assert!(denied(session.find_storage_identity("a", "nas").await.unwrap_err()));
    assert!(denied(session.find_cpu_model("lab").await.unwrap_err()));
}
