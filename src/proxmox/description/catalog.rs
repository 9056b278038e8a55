//! The descriptions at hand: those of the releases we ship, and those that the operator put into a folder.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::import::ImportError;
use super::table::Description;
use crate::proxmox::types::Version;

/// The tag that stands for the newest release we ship.
pub const LATEST: &str = "latest";

/// Tags that clients use, and the release that describes them.
const TAGS: &[(&str, &str)] = &[
    ("8.1", "8.3"),
    ("8.2", "8.3"),
    ("8.3", "8.3"),
    ("9.1", "9.1"),
    ("9.2", "9.2"),
    (LATEST, "9.2"),
];

/// Releases with the first version that each describes, and their files, oldest first.
const SHIPPED: [(&str, (u32, u32), &str); 3] = [
    ("8.3", (0, 0), include_str!("../../../openapi/proxmox/8.3.json")),
    ("9.1", (9, 0), include_str!("../../../openapi/proxmox/9.1.json")),
    ("9.2", (9, 2), include_str!("../../../openapi/proxmox/9.2.json")),
];

/// All descriptions at hand; each is read on its first use and kept.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Where further ones lie, as `9.3.json`.
    folder: Option<PathBuf>,
    shipped: [OnceLock<Arc<Description>>; 3],
    /// A plain lock: held for look-ups only.
    added: Mutex<HashMap<String, Arc<Description>>>,
}

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be read.
    #[error("the API description {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the API description `{tag}` cannot be used")]
    Unusable {
        /// Its tag.
        tag: String,
        /// The cause.
        #[source]
        source: ImportError,
    },
    /// Reading was given up: the service stops, or the reader has panicked.
    #[error("reading the API descriptions was given up")]
    Lost,
}

impl Catalog {
    /// The shipped descriptions and those in `folder`, which need not exist.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// The tags at hand, those in the folder included, in order. Reads the folder.
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = TAGS.iter().map(|(tag, _)| (*tag).to_owned()).collect();
        let entries = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let tag = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json"))
                .filter(|tag| is_release(tag));
            tags.extend(tag.map(str::to_owned));
        }
        tags.sort();
        tags.dedup();
        tags
    }

    /// The description under `tag`; `None` where there is none. Reads and parses it on its first use.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] where there is one that cannot be used.
    pub fn find(&self, tag: &str) -> Result<Option<Arc<Description>>, CatalogError> {
        match TAGS.iter().find(|(known, _)| *known == tag) {
            Some((_, release)) => self.shipped(release),
            None if is_release(tag) => self.added(tag),
            None => Ok(None),
        }
    }

    /// As [`Catalog::find`], for callers that must not wait: what has not been read yet is read on another thread.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] where there is one that cannot be used.
    pub async fn find_aside(self: &Arc<Self>, tag: &str) -> Result<Option<Arc<Description>>, CatalogError> {
        let kept = self.kept(tag);
        if kept.is_some() || !self.may_have(tag) {
            return Ok(kept);
        }
        let tag = tag.to_owned();
        self.aside(move |catalog| catalog.find(&tag)).await?
    }

    /// The description that fits `version` best: its own release's, or the latest of those before. What has not been read
    /// yet is read on another thread.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] where it cannot be used.
    pub async fn of_version(self: &Arc<Self>, version: &Version) -> Result<Option<Arc<Description>>, CatalogError> {
        let (major, minor) = version.number();
        let own = self.find_aside(&format!("{major}.{minor}")).await?;
        let before = SHIPPED.iter().rev().find(|(_, first, _)| *first <= (major, minor));
        match (own, before) {
            (None, Some((release, ..))) => self.find_aside(release).await,
            (own, _) => Ok(own),
        }
    }

    /// Does `work` on a thread that may wait for the disk.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Lost`].
    pub async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, CatalogError> {
        let catalog = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&catalog)).await;
        done.map_err(|_| CatalogError::Lost)
    }

    /// The description under `tag`, where it has been read already.
    fn kept(&self, tag: &str) -> Option<Arc<Description>> {
        let Some((_, release)) = TAGS.iter().find(|(known, _)| *known == tag) else {
            return self.lock().get(tag).cloned();
        };
        let mut shipped = SHIPPED.iter().zip(&self.shipped);
        let (_, kept) = shipped.find(|((shipped, ..), _)| shipped == release)?;
        kept.get().cloned()
    }

    /// Whether there may be one under `tag`: whether it is worth a look.
    fn may_have(&self, tag: &str) -> bool {
        TAGS.iter().any(|(known, _)| *known == tag) || (self.folder.is_some() && is_release(tag))
    }

    fn shipped(&self, release: &str) -> Result<Option<Arc<Description>>, CatalogError> {
        let mut shipped = SHIPPED.iter().zip(&self.shipped);
        let Some(((_, _, text), kept)) = shipped.find(|((shipped, ..), _)| *shipped == release) else {
            return Ok(None);
        };
        if let Some(description) = kept.get() {
            return Ok(Some(Arc::clone(description)));
        }
        let description = parse(text, release)?;
        Ok(Some(Arc::clone(kept.get_or_init(|| description))))
    }

    fn added(&self, tag: &str) -> Result<Option<Arc<Description>>, CatalogError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let kept = self.lock().get(tag).cloned();
        if kept.is_some() {
            return Ok(kept);
        }
        let path = folder.join(format!("{tag}.json"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CatalogError::File { path, source }),
        };
        let description = parse(&text, tag)?;
        self.lock().insert(tag.to_owned(), Arc::clone(&description));
        Ok(Some(description))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Description>>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &str, tag: &str) -> Result<Arc<Description>, CatalogError> {
    let parsed = Description::parse(text, tag);
    parsed.map(Arc::new).map_err(|source| CatalogError::Unusable {
        tag: tag.to_owned(),
        source,
    })
}

/// Whether `tag` is major and minor number: anything else never becomes a file name.
fn is_release(tag: &str) -> bool {
    let is_number = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    tag.split_once('.')
        .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}
