//! The tags of NetBox that guests' own may be.

use crate::inventory::ClusterOptions;
use crate::netbox::objects::Tag;
use crate::stages::machines::{GuestTags, missing_tag_names};
use crate::stages::{Pass as _, Selection};
use crate::sync::error::Error;
use crate::sync::pass::EndpointRun;

impl EndpointRun<'_> {
    /// Reads the tags that guests bear, by their slugs and else by their names, and what colours they have. Without those that
    /// cannot be read virtual machines bear what they do.
    pub(super) async fn read_guest_tags(&mut self) -> Result<(), Error> {
        if missing_tag_names(&self.facts).is_empty() {
            return Ok(());
        }
        self.read::<ClusterOptions>().await?;
        let by_slug = self.list::<Tag>(GuestTags::scope(&self.facts)).await;
        self.facts.known.tags = self.or_without::<Tag, _>(by_slug)?;
        if self.facts.known.is_unread::<Tag>() {
            return Ok(());
        }
        let by_name = Selection::any_of("name__ie", missing_tag_names(&self.facts));
        let more = self.list::<Tag>(vec![by_name]).await;
        let more = self.or_without::<Tag, Vec<_>>(more)?;
        self.facts.known.tags.extend(more);
        Ok(())
    }
}
