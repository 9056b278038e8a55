//! What the engine needs to know of a kind of row.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The id of a row on the write side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub u64);

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The comparable fields of a row: name on the write side to canonical JSON.
pub type Fields = BTreeMap<&'static str, Value>;

/// Which rows of one kind may be written side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideBySide {
    /// Any.
    All,
    /// Not those of one parent, which their keys name up to the first slash: the write side computes something of the
    /// parent from them.
    OfOtherParents,
    /// Not those with one value of this field: the write side counts them in the row that it names.
    OfOtherValues(&'static str),
    /// None: the write side would only let one request wait for the other.
    None,
}

/// A field that the write side computes itself: it takes no change of a row whose stored value is another one, and says in
/// its refusal which it has to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The field.
    pub field: &'static str,
    /// The words of the refusal; the value is the number in the brackets that follow.
    pub words: &'static str,
}

impl Told {
    /// What the field has to be, where `message` tells it.
    pub fn value(&self, message: &str) -> Option<u64> {
        let (_, rest) = message.split_once(self.words)?;
        let (_, rest) = rest.split_once('(')?;
        rest.split_once(')')?.0.trim().parse().ok()
    }
}

/// One kind of row.
///
/// The same type stands on both sides of a comparison: built from the read side it says what should be, decoded from
/// the write side it says what is.
pub trait Resource {
    /// The collection's path, with its leading and trailing slash.
    const PATH: &'static str;
    /// What one row is called in reports: `device`, `storage`.
    const KIND: &'static str;
    /// Fields that hold sets which are only ever added to, such as tags: desired members are merged into what is there.
    const UNIONS: &'static [&'static str] = &["tags"];

    /// Which rows may be written side by side.
    const SIDE_BY_SIDE: SideBySide = SideBySide::All;
    /// Whether the write side's database refuses a second row of the same key, however close together the two are made.
    const IS_UNIQUE: bool = true;
    /// How long the write side takes for one row, in ms, compared with other kinds: as measured on NetBox 4.7 with one
    /// writer.
    const ROW_MILLIS: u32 = 15;

    /// The field of which a refusal tells what it has to be, where there is one.
    const TOLD: Option<&'static Told> = None;

    /// Who the row is.
    type Key: Ord + Clone + fmt::Display;

    /// The row's natural key, unique in what is compared.
    fn key(&self) -> Self::Key;

    /// What the row is called in reports.
    fn label(&self) -> String {
        self.key().to_string()
    }

    /// What may differ. A desired row leaves out what it does not assert; JSON null asserts emptiness.
    fn fields(&self) -> Fields;

    /// Whether two values of `field` mean the same.
    fn is_same(_field: &str, before: &Value, after: &Value) -> bool {
        before == after
    }
}

/// A row as it stands on the write side.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<R> {
    /// Its id there.
    pub id: ObjectId,
    /// What it holds.
    pub object: R,
}

/// Which stored row a desired one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// The one with the same key, or a new one.
    ByKey,
    /// This one, whatever its key.
    Is(ObjectId),
    /// None of those that exist.
    New,
}

/// A desired row, and which stored row it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted<R> {
    /// What should be.
    pub object: R,
    /// Which stored row that is.
    pub row: Row,
}

impl<R> Wanted<R> {
    /// `object`, identified by its key.
    pub fn by_key(object: R) -> Self {
        Self {
            object,
            row: Row::ByKey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_field_is_read_from_the_refusal_that_tells_it() {
        let told = Told {
            field: "disk",
            words: "aggregate size",
        };
        let cases = [
            (
                "The specified disk size (81928) must match the aggregate size of assigned virtual disks (75784).",
                Some(75784),
            ),
            ("The specified disk size (31) is too large.", None),
            ("It must match the aggregate size.", None),
            ("The aggregate size of disks (many) is another.", None),
        ];
        for (message, expected) in cases {
            assert_eq!(told.value(message), expected, "{message}");
        }
    }
}
