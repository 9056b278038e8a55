//! Parts of lists.

use serde::Deserialize;
use utoipa::IntoParams;

/// Which part of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many rows are left out at the beginning.
    #[serde(default)]
    offset: usize,
    /// How many rows are answered; all where it is absent, since the plugin does not turn pages.
    limit: Option<usize>,
}

impl Page {
    /// That part of `rows`.
    pub(super) fn of<T>(self, rows: Vec<T>) -> impl Iterator<Item = T> {
        rows.into_iter()
            .skip(self.offset)
            .take(self.limit.unwrap_or(usize::MAX))
    }
}
