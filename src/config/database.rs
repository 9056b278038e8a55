//! Where the database is.

use std::path::PathBuf;

use super::reader::Reader;

const PATH: &str = "PROXBOX_DATABASE_PATH";
const URL: &str = "DATABASE_URL";
/// What a database URL may begin with.
const SCHEMES: [&str; 3] = ["sqlite:///", "sqlite+pysqlite:///", "sqlite+aiosqlite:///"];

/// The database file: named outright, else the default of the image, else below the user's data directory.
pub(super) fn path(reader: &mut Reader) -> PathBuf {
    let named = reader.path(PATH);
    let url = of_url(reader);
    if let (Some(named), Some(url)) = (&named, &url)
        && named != url
    {
        reader.refuse(PATH, format!("and {URL} must name the same file"));
    }
    let default = reader.path("PROXBOX_DEFAULT_DATABASE_PATH");
    let shared = reader
        .path("XDG_DATA_HOME")
        .map(|folder| folder.join("proxbox/database.db"));
    let home = reader
        .text("HOME")
        .map(|folder| PathBuf::from(folder).join(".local/share/proxbox/database.db"));
    let found = named.or(url).or(default).or(shared).or(home);
    found.unwrap_or_else(|| {
        reader.refuse(PATH, "must be set where there is no HOME");
        PathBuf::new()
    })
}

fn of_url(reader: &mut Reader) -> Option<PathBuf> {
    let text = reader.text(URL)?;
    let path = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    let path = path.filter(|path| path.starts_with('/') && !path.ends_with('/') && !path.contains('?'));
    if path.is_none() {
        reader.refuse(URL, "must be a SQLite URL of an absolute file");
    }
    path.map(PathBuf::from)
}
