//! What was changed on Proxmox endpoints, by whom, and what came of it.

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Error, Store};
use crate::endpoint::{EndpointId, EndpointKey, Source};

/// How many entries are kept.
const KEPT: i64 = 100_000;

/// A change that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteDraft {
    /// The endpoint.
    pub endpoint: EndpointKey,
    /// Its name at that time.
    pub endpoint_name: String,
    /// Who wants it.
    pub actor: String,
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path below `/api2/json`.
    pub path: String,
    /// The parameters as a JSON object; values that could be secrets are left out.
    pub parameters: String,
}

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteOutcome {
    /// It was sent; its outcome has not been noted.
    Sent,
    /// Proxmox took it.
    Done,
    /// It was refused, or never reached Proxmox.
    Refused,
    /// Contact was lost, or the service ended, while it was under way: Proxmox may have done it.
    Unknown,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteEnd {
    /// What is known of it.
    pub outcome: WriteOutcome,
    /// The HTTP status of Proxmox, where it answered.
    pub status: Option<u16>,
    /// The task it started, or why it was refused.
    pub answer: Option<String>,
}

/// The number of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WriteId(pub i64);

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WriteEntry {
    /// Its number.
    pub id: WriteId,
    /// The number space of the endpoint's id: `database` or `netbox`.
    pub endpoint_source: String,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Its name at that time.
    pub endpoint_name: String,
    /// Who wanted it.
    pub actor: String,
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path below `/api2/json`.
    pub path: String,
    /// The parameters as JSON text; values that could be secrets are left out.
    pub parameters: String,
    /// When it was sent, Unix seconds.
    pub sent_at: i64,
    /// When it ended, Unix seconds.
    pub ended_at: Option<i64>,
    /// What is known of it.
    pub outcome: WriteOutcome,
    /// The HTTP status of Proxmox, where it answered.
    pub status: Option<u16>,
    /// The task it started, or why it was refused.
    pub answer: Option<String>,
}

impl WriteOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    fn parse(word: &str) -> Self {
        let all = [Self::Sent, Self::Done, Self::Refused];
        all.into_iter()
            .find(|outcome| outcome.as_str() == word)
            .unwrap_or(Self::Unknown)
    }
}

fn decode(row: &SqliteRow) -> Result<WriteEntry, sqlx::Error> {
    let outcome: String = row.try_get("outcome")?;
    Ok(WriteEntry {
        id: WriteId(row.try_get("id")?),
        endpoint_source: row.try_get("endpoint_source")?,
        endpoint_id: EndpointId(row.try_get("endpoint_id")?),
        endpoint_name: row.try_get("endpoint_name")?,
        actor: row.try_get("actor")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        parameters: row.try_get("parameters")?,
        sent_at: row.try_get("sent_at")?,
        ended_at: row.try_get("ended_at")?,
        outcome: WriteOutcome::parse(&outcome),
        status: row.try_get("status")?,
        answer: row.try_get("answer")?,
    })
}

impl Store {
    /// Notes a change that is about to be sent; the oldest entries beyond a hundred thousand go.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn begin_write(&self, draft: &WriteDraft) -> Result<WriteId, Error> {
        const DOING: &str = "noting a change of Proxmox";
        let source: Source = draft.endpoint.source;
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO write_journal (endpoint_source, endpoint_id, endpoint_name, actor, method, path, parameters, \
             sent_at, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'sent') RETURNING id",
        )
        .bind(source.as_str())
        .bind(draft.endpoint.id.0)
        .bind(&draft.endpoint_name)
        .bind(&draft.actor)
        .bind(&draft.method)
        .bind(&draft.path)
        .bind(&draft.parameters)
        .bind(self.now())
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::database(DOING))?;
        let id: i64 = row.try_get("id").map_err(Error::database(DOING))?;
        sqlx::query("DELETE FROM write_journal WHERE id <= ?")
            .bind(id - KEPT)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("removing old changes"))?;
        transaction.commit().await.map_err(Error::database(DOING))?;
        Ok(WriteId(id))
    }

    /// Notes what came of a change.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn end_write(&self, id: WriteId, end: &WriteEnd) -> Result<(), Error> {
        sqlx::query("UPDATE write_journal SET ended_at = ?, outcome = ?, status = ?, answer = ? WHERE id = ?")
            .bind(self.now())
            .bind(end.outcome.as_str())
            .bind(end.status)
            .bind(&end.answer)
            .bind(id.0)
            .execute(&self.pool)
            .await
            .map_err(Error::database("noting the outcome of a change"))?;
        Ok(())
    }

    /// Notes that nobody will learn the outcome of changes that are on their way: who sent them is no more. Answers how
    /// many there are. Only a process that serves may call this, before it sends changes of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn end_lost_writes(&self) -> Result<u64, Error> {
        let ended = sqlx::query(
            "UPDATE write_journal SET ended_at = ?, outcome = 'unknown', answer = ? WHERE outcome = 'sent'",
        )
        .bind(self.now())
        .bind("the service ended while this was under way; Proxmox may have done it")
        .execute(&self.pool)
        .await
        .map_err(Error::database("noting lost changes of Proxmox"))?;
        Ok(ended.rows_affected())
    }

    /// The latest changes, newest first, `limit` of them after the first `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_writes(&self, offset: u32, limit: u32) -> Result<Vec<WriteEntry>, Error> {
        const DOING: &str = "listing changes of Proxmox";
        let rows = sqlx::query(
            "SELECT id, endpoint_source, endpoint_id, endpoint_name, actor, method, path, parameters, sent_at, ended_at, \
             outcome, status, answer FROM write_journal ORDER BY id DESC LIMIT ? OFFSET ?",
        )
        .bind(limit)
        .bind(offset)
        .fetch_all(&self.pool)
        .await
        .map_err(Error::database(DOING))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database(DOING))
    }
}
