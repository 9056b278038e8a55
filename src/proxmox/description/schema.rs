//! What a parameter may hold and what an answer looks like.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::pattern::Pattern;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Anything at all.
    #[default]
    Any,
    /// Nothing: the answer of most writes.
    Null,
    /// A flag; 0 and 1 on the wire.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Text.
    Text,
    /// Several values.
    List,
    /// Named values.
    Object,
}

impl Kind {
    const WORDS: &[(Self, &str)] = &[
        (Self::Null, "null"),
        (Self::Boolean, "boolean"),
        (Self::Integer, "integer"),
        (Self::Number, "number"),
        (Self::Text, "string"),
        (Self::List, "array"),
        (Self::Object, "object"),
    ];

    /// The word of JSON Schema; `None` for [`Kind::Any`].
    pub fn word(self) -> Option<&'static str> {
        Self::WORDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map(|(_, word)| *word)
    }

    /// The kind that `word` names; [`Kind::Any`] for words that name none.
    pub fn of_word(word: &str) -> Self {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Any, |(kind, _)| *kind)
    }
}

/// What one value may be. Parts are shared: most releases say the same thing hundreds of times.
#[derive(Debug, Default)]
pub struct Schema {
    /// Its kind.
    pub kind: Kind,
    /// A named form of text, such as `pve-node` or `ip-list`.
    pub format: Option<Box<str>>,
    /// An expression that the whole text matches.
    pub pattern: Option<Pattern>,
    /// The only values; empty where any will do.
    pub words: Vec<Box<str>>,
    /// The least number.
    pub minimum: Option<f64>,
    /// The greatest number.
    pub maximum: Option<f64>,
    /// The least number of characters.
    pub min_length: Option<usize>,
    /// The greatest number of characters.
    pub max_length: Option<usize>,
    /// What holds where nothing is said.
    pub default: Option<Value>,
    /// What each value of a list is.
    pub items: Option<Arc<Schema>>,
    /// The members of an object, by name.
    pub properties: Vec<Property>,
    /// Where not empty: the value fits one of these.
    pub one_of: Vec<Arc<Schema>>,
    /// Where the text is a property string: its keys, as an object.
    pub keys: Option<Arc<Schema>>,
    /// In the keys of a property string: the key of a value without one.
    pub bare_key: Option<Box<str>>,
    /// In the keys of a property string: other spellings of keys.
    pub aliases: BTreeMap<Box<str>, Box<str>>,
}

/// A member of an object.
#[derive(Debug)]
pub struct Property {
    /// Its name; a closing `[n]` stands for any number.
    pub name: Box<str>,
    /// What it may be.
    pub schema: Arc<Schema>,
    /// Whether it must be there.
    pub is_required: bool,
}

impl Property {
    /// Whether `name` is the name, or one of a numbered family.
    pub fn is_named(&self, name: &str) -> bool {
        match self.name.strip_suffix("[n]") {
            Some(stem) => name.strip_prefix(stem).is_some_and(is_number),
            None => *self.name == *name,
        }
    }
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Schema {
    /// The member that `name` names, itself or as one of a numbered family.
    pub fn find_property(&self, name: &str) -> Option<&Property> {
        let exact = self.properties.binary_search_by(|property| (*property.name).cmp(name));
        match exact {
            Ok(index) => self.properties.get(index),
            Err(_) => self.properties.iter().find(|property| property.is_named(name)),
        }
    }
}
