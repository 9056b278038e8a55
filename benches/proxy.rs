//! What passing a read on to Proxmox costs: requests per second, CPU time per request, and the time added to the mock's own.
//!
//! `cargo bench --bench proxy`. Client, service and mock share the machine and this process; the CPU time is that of all
//! of them, and the one figure that other work on the machine leaves alone.

#![expect(clippy::unwrap_used, reason = "a measurement stops where its surroundings fail")]
#![expect(clippy::print_stdout, reason = "the figures are the outcome")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, ROOT_TOKEN, TOKEN_SECRET, World};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests, which need more of it")]
mod support;

use support::{KEY, TestApp};

/// Requests in flight at once.
const CLIENTS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(5);
const PATH: &str = "nodes/pve1/qemu/100/config";
/// The unit of the times in `/proc/self/stat`.
const TICK: Duration = Duration::from_millis(10);

/// How a kind of request did.
struct Figures {
    per_second: f64,
    median: Duration,
    p99: Duration,
    /// CPU time per request.
    cpu: Duration,
}

/// The CPU time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field, a name in parentheses, can hold anything; user and system time are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    TICK * times.map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>()
}

/// Sends what `request` makes from `clients` clients side by side.
async fn measure<F>(clients: usize, request: F) -> Figures
where
    F: Fn() -> RequestBuilder + Send + Sync + 'static,
{
    let request = Arc::new(request);
    let (begun, cpu) = (Instant::now(), cpu_time());
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let request = Arc::clone(&request);
        tasks.spawn(async move {
            let (mut times, mut count) = (Vec::new(), 0);
            while begun.elapsed() < WARM_UP + MEASURE {
                let sent = Instant::now();
                let response = request().send().await.unwrap().error_for_status().unwrap();
                response.bytes().await.unwrap();
                count += 1;
                if begun.elapsed() > WARM_UP {
                    times.push(sent.elapsed());
                }
            }
            (times, count)
        });
    }
    let (times, counts): (Vec<_>, Vec<u32>) = tasks.join_all().await.into_iter().unzip();
    let cpu = cpu_time().saturating_sub(cpu) / counts.iter().sum::<u32>().max(1);
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    Figures {
        per_second: f64::from(count) / MEASURE.as_secs_f64(),
        median: at(50),
        p99: at(99),
        cpu,
    }
}

fn tell(name: &str, figures: &Figures) {
    let Figures {
        per_second,
        median,
        p99,
        cpu,
    } = figures;
    println!("{name:<32} {per_second:>8.0}/s   median {median:>9.2?}   p99 {p99:>9.2?}   cpu {cpu:>9.2?}");
}

async fn compare() {
    let options = MockOptions {
        workers: 64,
        keep_alive_requests: u32::MAX,
        ..MockOptions::default()
    };
    let mock = MockProxmox::start(options, World::estate(3, 55)).await.unwrap();
    let app = TestApp::with(&[("PROXBOX_RATE_LIMIT", "1000000")]).await;
    let endpoint = json!({
        "name": "bench (nb:1)", "ip_address": "127.0.0.1", "port": mock.address().port(), "username": "root@pam",
        "token_name": "netbox", "token_value": TOKEN_SECRET, "verify_ssl": false, "max_parallel": 64,
    });
    let (status, body) = app.post("/proxmox/endpoints", &endpoint).await;
    assert!(status.is_success(), "{body}");
    let client = Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap();
    let straight = format!("https://{}/api2/json/{PATH}", mock.address());
    let through = app.url(&format!("/proxmox/api2/latest/{PATH}"));
    let token = format!("PVEAPIToken={ROOT_TOKEN}={TOKEN_SECRET}");
    let (one, other) = (client.clone(), client);
    let direct = move || one.get(&straight).header("Authorization", &token);
    let passed = move || other.get(&through).header("X-Proxbox-API-Key", KEY);
    let lone = measure(1, direct.clone()).await;
    tell("mock, 1 client", &lone);
    let lone_through = measure(1, passed.clone()).await;
    tell("through the service, 1 client", &lone_through);
    println!("added median {:.2?}", lone_through.median.saturating_sub(lone.median));
    tell(&format!("mock, {CLIENTS} clients"), &measure(CLIENTS, direct).await);
    tell(
        &format!("through the service, {CLIENTS} clients"),
        &measure(CLIENTS, passed).await,
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(compare());
}
