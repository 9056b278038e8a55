//! What a full update costs for so many guests, and that this grows with their number and no faster.
//!
//! `cargo bench --bench sync`, or `cargo bench --bench sync -- 100 500` for other numbers of guests. The service is a
//! process of its own, so that its memory is nobody else's; the mock and the stand-in share this one. Fails where a guest
//! costs more than twice as much among ten times as many, where the service needs too much memory, or where a run over an
//! unchanged estate writes anything.

#![expect(clippy::unwrap_used, reason = "a measurement stops where its surroundings fail")]
#![expect(clippy::print_stdout, reason = "the figures are the outcome")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use proxbox_api::netbox::standin::{Standin, StandinOptions, TOKEN};
use proxbox_api::proxmox::mock::{MockOptions, MockProxmox, TOKEN_SECRET, World};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIZES: [usize; 4] = [100, 1_000, 2_000, 10_000];
/// The numbers of guests that are compared, and how much dearer a guest may be among more of them.
const COMPARED: (usize, usize) = (1_000, 10_000);
const GROWTH: f64 = 2.0;
/// The number of guests whose memory is limited, and the limit in KiB.
const LIMITED: (usize, u64) = (2_000, 150 * 1024);
const KEY: &str = "bench-key-of-at-least-thirty-two-characters";
const PLUGIN: &str = "plugins/proxbox";

/// The service in a process of its own, killed when dropped.
struct Service {
    child: Child,
    base_url: String,
    http: Client,
    _folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whatever becomes of it: the folder goes next.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_proxbox-api"))
            .env_clear()
            .env("PORT", "0")
            .env("PROXBOX_BIND_HOST", "127.0.0.1")
            .env("PROXBOX_DATABASE_PATH", folder.path().join("database.db"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.find_map(|line| Some(line.unwrap().rsplit_once("127.0.0.1:")?.1.to_owned()));
        let port: String = listening.unwrap().chars().take_while(char::is_ascii_digit).collect();
        // Its log has to go somewhere.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            base_url: format!("http://127.0.0.1:{port}"),
            http: Client::builder().no_proxy().build().unwrap(),
            _folder: folder,
        }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.base_url));
        let answer = request
            .header("X-Proxbox-API-Key", KEY)
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A file of the kernel's about the process.
    fn about(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }

    /// The largest resident memory since the last reset, in KiB.
    fn peak_kib(&self) -> u64 {
        let status = self.about("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// User and system time so far.
    fn cpu_time(&self) -> Duration {
        let stat = self.about("stat");
        // The second field, a name in parentheses, can hold anything; the times are the 14th and the 15th.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(10) * ticks.map(|ticks| ticks.parse::<u32>().unwrap()).sum::<u32>()
    }
}

/// A Proxmox of so many guests, an empty NetBox, and the service between them.
struct Trio {
    guests: usize,
    proxmox: MockProxmox,
    netbox: Standin,
    service: Service,
}

/// What one run cost.
struct Cost {
    wall: Duration,
    cpu: Duration,
    reads: usize,
    writes: usize,
    /// Bodies to and from NetBox.
    bytes: usize,
    proxmox: usize,
    peak_kib: u64,
}

impl Trio {
    async fn start(guests: usize) -> Self {
        let options = MockOptions {
            // What a wedged agent costs is not what is measured.
            agent_limit: Duration::from_millis(50),
            ..MockOptions::default()
        };
        let world = World::estate((guests / 100).clamp(3, 32), guests);
        let trio = Self {
            guests,
            proxmox: MockProxmox::start(options, world).await.unwrap(),
            netbox: Standin::start(StandinOptions::default()).await.unwrap(),
            service: Service::start(),
        };
        trio.introduce().await;
        trio
    }

    /// Makes the plugin's rows and tells the service what the plugin tells it.
    async fn introduce(&self) {
        let seed = |path: &str, row: Value| self.netbox.seed(path, &row).unwrap();
        let port = self.proxmox.address().port();
        let address = seed("ipam/ip-addresses", json!({"address": "127.0.0.1/32"}));
        let row = json!({"name": "lab", "ip_address": address, "port": port, "mode": "cluster", "enabled": true});
        let endpoint = seed(&format!("{PLUGIN}/endpoints/proxmox"), row);
        let row = json!({"endpoint": endpoint, "name": "lab", "mode": "cluster"});
        let cluster = seed(&format!("{PLUGIN}/proxmox-clusters"), row);
        let nodes = self.proxmox.world().read(|world| world.nodes.clone());
        for node in nodes {
            let row = json!({
                "endpoint": endpoint, "proxmox_cluster": cluster, "name": node.name, "ip_address": "127.0.0.1",
            });
            seed(&format!("{PLUGIN}/proxmox-nodes"), row);
        }
        let key = json!({"api_key": KEY, "label": "bench"});
        self.service.call(Method::POST, "/auth/register-key", &key).await;
        let netbox = json!({
            "name": "netbox", "ip_address": "127.0.0.1", "domain": "", "port": self.netbox.port(), "verify_ssl": false,
            "token_version": "v1", "token": TOKEN,
        });
        self.service.call(Method::POST, "/netbox/endpoint", &netbox).await;
        let proxmox = json!({
            "name": format!("lab (nb:{endpoint})"), "ip_address": "127.0.0.1", "port": port, "username": "root@pam",
            "token_name": "netbox", "token_value": TOKEN_SECRET, "verify_ssl": false,
        });
        self.service.call(Method::POST, "/proxmox/endpoints", &proxmox).await;
    }

    async fn full_update(&self, name: &str) -> Cost {
        self.netbox.clear_requests();
        self.proxmox.clear_requests();
        self.service.reset_peak();
        let (begun, cpu) = (Instant::now(), self.service.cpu_time());
        self.service.call(Method::GET, "/full-update", &Value::Null).await;
        let (wall, cpu) = (begun.elapsed(), self.service.cpu_time().saturating_sub(cpu));
        let requests = self.netbox.requests();
        let writes = requests.iter().filter(|request| request.is_write()).count();
        let cost = Cost {
            wall,
            cpu,
            reads: requests.len() - writes,
            writes,
            bytes: requests.iter().map(|request| request.bytes + request.body_bytes).sum(),
            proxmox: self.proxmox.requests().len(),
            peak_kib: self.service.peak_kib(),
        };
        cost.tell(self.guests, name);
        cost
    }
}

impl Cost {
    fn tell(&self, guests: usize, name: &str) {
        println!(
            "{guests:>7} {name:<10} {:>8.2} s {:>8.2} s {:>7} {:>7} {:>9.2} {:>9} {:>8}",
            self.wall.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.reads,
            self.writes,
            mebi(self.bytes as u64),
            self.proxmox,
            self.peak_kib / 1024,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1024 * 1024)
}

/// A first run and one over the unchanged estate, by number of guests.
type Measured = Vec<(usize, [Cost; 2])>;

fn problems(measured: &Measured) -> Vec<String> {
    let mut problems = Vec::new();
    let of = |guests: usize| measured.iter().find(|(own, _)| *own == guests).map(|(_, costs)| costs);
    for (guests, [_, unchanged]) in measured {
        if unchanged.writes > 0 {
            problems.push(format!("{guests} guests, unchanged: {} writes", unchanged.writes));
        }
    }
    let (limited, limit) = LIMITED;
    for cost in of(limited).into_iter().flatten() {
        if cost.peak_kib > limit {
            problems.push(format!("{limited} guests need {} KiB, over {limit}", cost.peak_kib));
        }
    }
    let (few, many) = COMPARED;
    if let (Some(before), Some(after)) = (of(few), of(many)) {
        for (name, (before, after)) in ["first", "unchanged"].into_iter().zip(before.iter().zip(after)) {
            let share =
                |cost: &Cost, guests: usize| cost.wall.as_secs_f64() / f64::from(u32::try_from(guests).unwrap());
            let growth = share(after, many) / share(before, few);
            println!("{name}: among {many} guests one costs {growth:.2} times what it costs among {few}");
            if growth > GROWTH {
                problems.push(format!("{name}: a guest costs {growth:.2} times as much"));
            }
        }
    }
    problems
}

async fn measure(sizes: &[usize]) -> Measured {
    println!(" guests run            wall        cpu   reads  writes  MiB both   Proxmox peak MiB");
    let mut measured = Measured::new();
    for &guests in sizes {
        let trio = Trio::start(guests).await;
        let costs = [trio.full_update("first").await, trio.full_update("unchanged").await];
        measured.push((guests, costs));
    }
    measured
}

fn main() -> ExitCode {
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let given: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if given.is_empty() { SIZES.to_vec() } else { given };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let problems = problems(&runtime.block_on(measure(&sizes)));
    for problem in &problems {
        println!("FAILED: {problem}");
    }
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
