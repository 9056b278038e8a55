//! Rows of NetBox, as a run asks for them.

use std::collections::BTreeSet;

use super::error::Error;
use super::pass::EndpointRun;
use super::warning::Warning;
use crate::netbox::Query;
use crate::netbox::ids::Ids;
use crate::netbox::objects::Object;
use crate::reconcile::{ObjectId, Stored};
use crate::stages::{Selection, Whole};

impl EndpointRun<'_> {
    /// Every row of kind `R` in any of `selections`, each once. Nothing is asked for where nothing can be found. A run that
    /// is asked to stop does not wait for the rest.
    pub(super) async fn list<R: Object>(&self, selections: Vec<Selection>) -> Result<Vec<Stored<R>>, Error> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            rows = self.list_all(selections) => rows,
        }
    }

    async fn list_all<R: Object>(&self, selections: Vec<Selection>) -> Result<Vec<Stored<R>>, Error> {
        let mut rows: Vec<Stored<R>> = Vec::new();
        let mut seen = BTreeSet::new();
        let before = self.place().shelf(|shelf| shelf.state_of(R::PATH));
        for selection in &selections {
            let selection = without_provisional(selection.clone());
            if selection.is_empty() || self.is_barren::<R>(&selection) {
                continue;
            }
            self.needs.view(R::MODEL);
            let mut query = Query::new();
            for (name, value) in &selection.filters {
                query = query.with(name, value);
            }
            if !R::READ_FIELDS.is_empty() {
                query = query.fields(R::READ_FIELDS);
            }
            let found: Vec<R::Read> = match (&selection.any_of, selection.whole) {
                (Some((name, ids)), Some(Whole::By(related))) => {
                    self.netbox.list_related(R::PATH, &query, (name, related), ids).await?
                }
                (Some((name, values)), Some(Whole::WithOthers)) => {
                    self.netbox.list_or_whole(R::PATH, &query, name, values).await?
                }
                (Some((name, values)), None) => self.netbox.list_chunked(R::PATH, &query, name, values).await?,
                (None, _) => self.netbox.list(R::PATH, &query).await?,
            };
            let found = found.into_iter().map(Into::into);
            rows.extend(found.filter(|stored: &Stored<R>| seen.insert(stored.id)));
        }
        if R::IS_LOOKED_UP && !self.is_dry_run {
            self.place().shelf(|shelf| shelf.put_as_of(before, &selections, &rows));
        }
        Ok(rows)
    }

    /// The rows of `selections`, as a stage has read or written them a short while ago, else as [`Self::list`] reads them.
    pub(super) async fn recall<R: Object>(&self, selections: Vec<Selection>) -> Result<Vec<Stored<R>>, Error> {
        match self.place().shelf(|shelf| shelf.find(&selections)) {
            Some(rows) => {
                self.needs.view(R::MODEL);
                Ok(rows)
            }
            None => self.list(selections).await,
        }
    }

    /// What came of reading rows of kind `R` that the stage can do without: that NetBox does not tell them is a warning, and
    /// until the stage ends no pass looks at such rows.
    pub(super) fn or_without<R: Object, T: Default>(&mut self, read: Result<T, Error>) -> Result<T, Error> {
        match read {
            Err(error) if error.is_of_one_question() => {
                let warning = Warning::from(format!("went on without {}: {error}", R::PATH));
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
                self.facts.known.unread.insert(R::PATH);
                Ok(T::default())
            }
            read => read,
        }
    }

    fn is_barren<R: Object>(&self, selection: &Selection) -> bool {
        let parents = selection.parents.as_ref();
        parents.is_some_and(|parents| self.place().shelf(|shelf| shelf.is_barren(parents, R::PATH)))
    }
}

/// The selection without values that stand for rows which do not exist yet.
fn without_provisional(mut selection: Selection) -> Selection {
    let is_real = |value: &String| value.parse().map_or(true, |id| !Ids::is_provisional(ObjectId(id)));
    if !selection.filters.iter().all(|(_, value)| is_real(value)) {
        selection.any_of = Some(("id", Vec::new()));
    } else if let Some((_, values)) = &mut selection.any_of {
        values.retain(is_real);
    }
    selection
}
