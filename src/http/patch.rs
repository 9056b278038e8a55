//! Members of a change: absent ones leave the stored value alone.

use std::borrow::Cow;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A member that may be absent. An explicit `null` is a value, and an error where the stored value cannot be null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Patch<T> {
    /// The member is absent.
    #[default]
    Absent,
    /// The member is there.
    Given(T),
}

/// A text.
pub(super) type Text = Patch<String>;
/// A text, or none.
pub(super) type MaybeText = Patch<Option<String>>;
/// Texts.
pub(super) type Texts = Patch<Vec<String>>;
/// A secret, or none.
pub(super) type MaybeSecret = Patch<Option<SecretString>>;
/// A yes or no.
pub(super) type Switch = Patch<bool>;
/// A TCP port.
pub(super) type Port = Patch<u16>;
/// A whole number that is not negative.
pub(super) type Count = Patch<u32>;
/// A whole number, or none.
pub(super) type MaybeNumber = Patch<Option<i64>>;
/// Seconds with a fraction, or none.
pub(super) type MaybeSeconds = Patch<Option<f64>>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Given)
    }
}

impl<T: PartialSchema> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        T::schema()
    }
}

impl<T: ToSchema> ToSchema for Patch<T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }
}

impl<T> Patch<T> {
    /// Whether the member is absent.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The member's value, where it is there.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Given(value) => Some(value),
        }
    }

    /// Puts the value into `place`, where the member is there.
    pub(super) fn apply(self, place: &mut T) {
        if let Self::Given(value) = self {
            *place = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Change {
        #[serde(default)]
        port: Patch<u16>,
        #[serde(default)]
        domain: Patch<Option<String>>,
    }

    #[test]
    fn absent_null_and_value_are_told_apart() {
        let read = |value| serde_json::from_value::<Change>(value);
        let change = read(json!({})).unwrap();
        assert!(change.port.is_absent() && change.domain.is_absent());
        let change = read(json!({"port": 1, "domain": null})).unwrap();
        assert_eq!((change.port, change.domain), (Patch::Given(1), Patch::Given(None)));
        assert!(read(json!({"port": null})).is_err());
    }
}
