//! `proxbox-api` keeps NetBox true to what Proxmox VE really runs.
//!
//! It stands between NetBox, with its plugin netbox-proxbox, and any number of Proxmox VE clusters. The plugin asks for
//! a stage over HTTP; the service reads Proxmox, compares with NetBox, writes the difference in bulk, and tells its
//! progress as server-sent events. Data flows one way:
//!
//! ```text
//!  Proxmox ──collect──▶ Inventory ──map──▶ desired ──settle──┐
//!  (per endpoint,        (items + gaps)      (pure)          ▼
//!   bounded)                                              diff ──▶ Plan ──check──▶ apply ──▶ Outcome ──▶ Report
//!  NetBox ───list─────▶ actual ──────────────────────────────▲    (pure)  (pure)   (batches)
//! ```
//!
//! The rooms of the house, in import order (a room imports only what stands above it; `tests/architecture.rs` holds
//! the exact table):
//!
//! * [`error`]: the kinds of failure that callers can tell apart.
//! * [`endpoint`]: who a configured Proxmox address is, so that its numbers are never mixed with others.
//! * [`config`]: every environment variable, its unit and default, read once at start.
//! * [`telemetry`]: logs to standard output, with secrets taken out.
//! * [`reconcile`]: the engine. Compares desired with actual rows and makes a plan; knows neither side, does no I/O.
//! * [`proxmox`]: the read side. Speaks Proxmox's own words over its wire protocol; holds a mock of it too.
//! * [`blocking`]: the read side again, for callers without a runtime.
//! * [`netbox`]: the write side. Speaks NetBox's words: client, objects, and a stand-in for tests and the demo.
//! * [`store`]: saved state in one SQLite file: endpoints, API keys, lockouts, runs. Secrets are sealed.
//! * [`inventory`]: what one run has read from Proxmox, with its gaps.
//! * [`mapping`]: from Proxmox's words to NetBox's; pure, and the only room that speaks both.
//! * [`stages`]: which facts become which objects, under which rules; pure.
//! * [`sync`]: one run, from the request to the report.
//! * [`http`]: the surface: routes, authentication, errors, event streams.
//! * [`app`] and [`cli`]: wiring, start and stop; the command line.

pub mod app;
pub mod blocking;
pub mod cli;
pub mod config;
pub mod endpoint;
pub mod error;
pub mod http;
pub mod inventory;
pub mod mapping;
pub mod netbox;
pub mod proxmox;
pub mod reconcile;
pub mod stages;
pub mod store;
pub mod sync;
pub mod telemetry;
