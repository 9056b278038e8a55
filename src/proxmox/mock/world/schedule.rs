//! Replication jobs. Backup jobs are kept as rows, since their keys are free.

/// One replication job. Its source is the node of the guest.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// The guest it copies.
    pub guest: u32,
    /// Its number among the jobs of that guest; the job's id is `guest-jobnum`.
    pub jobnum: u32,
    /// The node it copies to.
    pub target: String,
    /// When it runs: `*/15`.
    pub schedule: String,
    /// Limit in MB/s.
    pub rate: Option<f64>,
    /// The operator's words.
    pub comment: Option<String>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Set to `full` or `local` while it is being removed.
    pub remove_job: Option<String>,
    /// Last success, seconds since 1970; 0 where it never ran.
    pub last_sync: i64,
    /// Last attempt, seconds since 1970; 0 where it never ran.
    pub last_try: i64,
    /// Next run, seconds since 1970; 0 at once, 1 where it is being removed.
    pub next_sync: i64,
    /// Duration of the last run in seconds; absent where it never ran.
    pub duration: Option<f64>,
    /// Failures in a row.
    pub fail_count: u32,
    /// What the last failure said; ends with a line feed.
    pub error: Option<String>,
}

impl Replication {
    /// A job that ran well at `last`.
    pub fn new(guest: u32, jobnum: u32, target: &str, last: i64) -> Self {
        Self {
            guest,
            jobnum,
            target: target.to_owned(),
            schedule: "*/15".to_owned(),
            rate: None,
            comment: None,
            disabled: false,
            remove_job: None,
            last_sync: last,
            last_try: last,
            next_sync: last + 900,
            duration: Some(1.855_912),
            fail_count: 0,
            error: None,
        }
    }

    /// The job's id: `100-0`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.guest, self.jobnum)
    }
}
