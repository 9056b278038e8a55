//! Journal entries: what happened to an object, for a person. They are only ever added.

use crate::reconcile::{Fields, ObjectId, Resource};

/// An entry in the journal of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The kind of object, such as `netbox_proxbox.vmbackup`.
    pub object_type: &'static str,
    /// The object.
    pub object: ObjectId,
    /// What happened.
    pub comments: String,
}

impl Resource for JournalEntry {
    const PATH: &'static str = "/api/extras/journal-entries/";
    const KIND: &'static str = "journal entry";
    const ROW_MILLIS: u32 = 18;
    type Key = String;

    fn key(&self) -> String {
        format!("{}/{}", self.object_type, self.object)
    }

    fn label(&self) -> String {
        self.comments.clone()
    }

    fn fields(&self) -> Fields {
        Fields::from([
            ("assigned_object_type", self.object_type.into()),
            ("assigned_object_id", self.object.0.into()),
            ("kind", "info".into()),
            ("comments", self.comments.clone().into()),
        ])
    }
}
