//! Saved state: one SQLite file with endpoints, API keys, lockouts, ended runs and the journal of changes.
//!
//! One file per table holds the row and its queries. Secrets are sealed by [`cipher`] before they reach a query, bound
//! to their table, row and column. The room knows nothing of HTTP; settings are handed in.

mod api_keys;
pub mod cipher;
mod error;
mod import;
mod key_cache;
mod keys;
mod lockouts;
mod memo;
mod netbox_endpoints;
mod open;
mod proxmox_endpoints;
mod proxmox_rows;
mod runs;
mod secrets;
mod sister_endpoints;
mod write_journal;

pub use api_keys::{ApiKey, ApiKeyId, BootstrapStatus};
pub use error::Error;
pub use import::ImportReport;
pub use keys::{KeySource, Keys};
pub use lockouts::{Lockout, LockoutPolicy};
pub use netbox_endpoints::{NetBoxDraft, NetBoxEndpoint, NetBoxSecrets, NetBoxSettings, TokenVersion};
pub use open::{Location, Store, StoreOptions};
pub use proxmox_endpoints::{ProxmoxDraft, ProxmoxEndpoint, ProxmoxSecrets, ProxmoxSettings};
pub use runs::Run;
pub use secrets::{EncryptionStatus, SecretChange};
pub use sister_endpoints::{Sister, SisterDraft, SisterEndpoint, SisterSettings};
pub use write_journal::{WriteDraft, WriteEnd, WriteEntry, WriteId, WriteOutcome};

#[cfg(test)]
mod tests;
