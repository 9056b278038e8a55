//! Sync runs that have ended.

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Error, Store};

/// How many runs are kept.
const KEPT: i64 = 1000;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Its stage.
    pub kind: String,
    /// The endpoints it worked for, as JSON text.
    pub endpoints: String,
    /// When it started, Unix seconds.
    pub started_at: i64,
    /// When it ended, Unix seconds.
    pub finished_at: i64,
    /// Whether it did all that it was asked to.
    pub is_ok: bool,
    /// What it came to, in short, as JSON text.
    pub summary: String,
}

fn decode(row: &SqliteRow) -> Result<Run, sqlx::Error> {
    Ok(Run {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        endpoints: row.try_get("endpoints")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        is_ok: row.try_get("is_ok")?,
        summary: row.try_get("summary")?,
    })
}

impl Store {
    /// Keeps a run; the oldest beyond a thousand go.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn keep_run(&self, run: &Run) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO runs (id, kind, endpoints, started_at, finished_at, is_ok, summary) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&run.id)
        .bind(&run.kind)
        .bind(&run.endpoints)
        .bind(run.started_at)
        .bind(run.finished_at)
        .bind(run.is_ok)
        .bind(&run.summary)
        .execute(&mut *transaction)
        .await
        .map_err(Error::database("keeping a run"))?;
        sqlx::query("DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY finished_at DESC LIMIT -1 OFFSET ?)")
            .bind(KEPT)
            .execute(&mut *transaction)
            .await
            .map_err(Error::database("removing old runs"))?;
        transaction.commit().await.map_err(Error::database("keeping a run"))
    }

    /// The latest runs, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn list_runs(&self, limit: u32) -> Result<Vec<Run>, Error> {
        let rows = sqlx::query(
            "SELECT id, kind, endpoints, started_at, finished_at, is_ok, summary FROM runs \
             ORDER BY finished_at DESC, id LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(Error::database("listing runs"))?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(Error::database("listing runs"))
    }
}
