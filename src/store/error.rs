//! What can go wrong with saved state.

use std::path::PathBuf;

use crate::error::ErrorKind;

/// What went wrong with saved state. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database file cannot be used.
    #[error("the database {path:?} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The key file cannot be used.
    #[error("the encryption key file {path:?} cannot be used: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The database refused.
    #[error("the database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("the database could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row does not exist.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: i64,
    },
    /// A name is taken.
    #[error("{what} named {name:?} exists already")]
    NameTaken {
        /// What kind of row.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There may be only one.
    #[error("only one {what} is allowed")]
    OnlyOne {
        /// What kind of row.
        what: &'static str,
    },
    /// A row is not consistent.
    #[error("{message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The first key was registered before.
    #[error("an API key is already configured")]
    AlreadyClaimed,
    /// The key would be the last active one to go.
    #[error("the last active API key cannot be retired")]
    LastActiveKey,
    /// No more keys may be active.
    #[error("at most {limit} API keys may be active")]
    KeyLimit {
        /// The limit.
        limit: u32,
    },
    /// Too many keys are being verified.
    #[error("too many API keys are being verified at once")]
    Busy,
    /// There is no key to seal secrets with.
    #[error("credential encryption is not configured, so this secret cannot be stored")]
    NoKey,
    /// A secret cannot be opened.
    #[error("the secret in {place} cannot be opened: {reason}")]
    Sealed {
        /// Table, row and column.
        place: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file to import is not what it should be.
    #[error("{path:?} cannot be imported: {reason}")]
    Import {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A computation in the background was lost.
    #[error("a background computation was lost")]
    Lost,
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::NameTaken { .. }
            | Self::OnlyOne { .. }
            | Self::Invalid { .. }
            | Self::AlreadyClaimed
            | Self::LastActiveKey
            | Self::KeyLimit { .. }
            | Self::NoKey
            | Self::Import { .. } => ErrorKind::Validation,
            Self::Busy => ErrorKind::RateLimit,
            Self::File { .. }
            | Self::KeyFile { .. }
            | Self::Database { .. }
            | Self::Migration(_)
            | Self::Sealed { .. }
            | Self::Lost => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy)
    }

    /// For `map_err`: the database failed while `doing`.
    pub(super) fn database(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
