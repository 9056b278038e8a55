//! Made-up values: valid ones for every schema, and for parameters invalid ones too. The same seed gives the same values.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use serde_json::{Map, Value};

use super::forms;
use super::pattern::Pattern;
use super::schema::{Kind, Property, Schema};
use super::table::Operation;

/// How often a text is made up anew until its length and form fit as well.
const TRIES: usize = 200;
/// Repetitions beyond the least number.
const SPREAD: u64 = 3;

/// Makes values up.
#[derive(Debug, Clone)]
pub struct Sampler(u64);

impl Sampler {
    /// A sampler that gives the same values for the same `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let index = self.below(u64::try_from(choices.len()).unwrap_or(u64::MAX));
        choices.get(usize::try_from(index).unwrap_or(0))
    }

    /// Parameters that `operation` takes: those it requires, and some of the others.
    pub fn parameters(&mut self, operation: &Operation) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        for property in &operation.parameters.properties {
            if property.is_required || self.below(4) == 0 {
                parameters.extend(self.parameter(property));
            }
        }
        parameters
    }

    /// A name and value for `property`; `None` where no valid value is found.
    pub fn parameter(&mut self, property: &Property) -> Option<(String, String)> {
        let number = self.below(2).to_string();
        let name = property.name.replace("[n]", &number);
        Some((name, self.text(&property.schema)?))
    }

    /// A value as it is sent; one of the values where it is a list.
    pub fn text(&mut self, schema: &Schema) -> Option<String> {
        if let Some(one) = self.pick(&schema.one_of).cloned() {
            return self.text(&one);
        }
        match schema.kind {
            Kind::Boolean => Some(self.below(2).to_string()),
            Kind::Integer | Kind::Number => Some(match self.pick(&schema.words) {
                Some(word) => word.to_string(),
                None => self.number(schema).to_string(),
            }),
            Kind::List => schema
                .items
                .as_ref()
                .map_or_else(|| Some("sample".to_owned()), |items| self.text(items)),
            Kind::Text => self.words(schema),
            Kind::Any | Kind::Null | Kind::Object => Some("sample".to_owned()),
        }
    }

    fn number(&mut self, schema: &Schema) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "bounds are whole and small")]
        let whole = |bound: f64| bound as i64;
        let least = schema.minimum.map_or(0, |bound| whole(bound.ceil()));
        let most = schema
            .maximum
            .map_or(least.saturating_add(100), |bound| whole(bound.floor()));
        let span = u64::try_from(most.saturating_sub(least)).unwrap_or(0);
        least.saturating_add_unsigned(self.below(span.saturating_add(1)))
    }

    fn words(&mut self, schema: &Schema) -> Option<String> {
        if let Some(word) = self.pick(&schema.words) {
            return Some(word.to_string());
        }
        let expression = schema.pattern.as_ref().map(parse);
        let known = schema.format.as_deref().and_then(forms::samples);
        let made = (0..TRIES).map(|_| match (&expression, known, &schema.keys) {
            (Some(Some(hir)), _, _) => self.matching(hir),
            (_, Some(samples), _) => self.pick(samples).map(|&sample| sample.to_owned()).unwrap_or_default(),
            (_, None, Some(keys)) => self.property_string(keys),
            (_, None, None) => self.letters(schema),
        });
        made.into_iter().find(|text| schema.fits_text(text))
    }

    fn letters(&mut self, schema: &Schema) -> String {
        let least = schema.min_length.unwrap_or(1).max(1);
        let most = schema.max_length.unwrap_or(usize::MAX).min(least + 8);
        let text: String = (0..most)
            .map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0)))
            .collect();
        text
    }

    fn property_string(&mut self, keys: &Schema) -> String {
        let mut parts = Vec::new();
        for property in &keys.properties {
            let is_bare = keys.bare_key.as_deref() == Some(&*property.name);
            if !property.is_required && !is_bare && self.below(6) != 0 {
                continue;
            }
            let Some(value) = self.text(&property.schema).filter(|value| !value.contains(',')) else {
                continue;
            };
            if is_bare {
                parts.insert(0, value);
            } else {
                parts.push(format!("{}={value}", property.name));
            }
        }
        parts.join(",")
    }

    fn matching(&mut self, hir: &Hir) -> String {
        let mut bytes = Vec::new();
        self.append(hir, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn append(&mut self, hir: &Hir, bytes: &mut Vec<u8>) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => bytes.extend_from_slice(&literal.0),
            HirKind::Class(class) => bytes.extend(self.member(class)),
            HirKind::Repetition(repetition) => {
                for _ in 0..self.count(repetition) {
                    self.append(&repetition.sub, bytes);
                }
            }
            HirKind::Capture(capture) => self.append(&capture.sub, bytes),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.append(part, bytes)),
            HirKind::Alternation(choices) => {
                if let Some(choice) = self.pick(choices) {
                    self.append(choice, bytes);
                }
            }
        }
    }

    fn count(&mut self, repetition: &Repetition) -> u32 {
        let more = u32::try_from(self.below(SPREAD)).unwrap_or(0);
        repetition
            .min
            .saturating_add(more)
            .min(repetition.max.unwrap_or(u32::MAX))
    }

    /// A character of `class` that can be printed, a letter or digit where there is one.
    fn member(&mut self, class: &Class) -> Option<u8> {
        let contains = |byte: u8| match class {
            Class::Bytes(bytes) => bytes.iter().any(|range| (range.start()..=range.end()).contains(&byte)),
            Class::Unicode(characters) => characters
                .iter()
                .any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
        };
        let plain: Vec<u8> = (b'0'..=b'z')
            .filter(u8::is_ascii_alphanumeric)
            .filter(|byte| contains(*byte))
            .collect();
        let printed: Vec<u8> = (b' '..=b'~').filter(|byte| contains(*byte)).collect();
        let choices = if plain.is_empty() { printed } else { plain };
        self.pick(&choices).copied()
    }

    /// An answer of the shape of `schema`.
    pub fn answer(&mut self, schema: &Schema) -> Value {
        if let Some(one) = self.pick(&schema.one_of).cloned() {
            return self.answer(&one);
        }
        match schema.kind {
            Kind::Null => Value::Null,
            Kind::Any => Value::Object(Map::new()),
            Kind::List => schema
                .items
                .as_ref()
                .map(|items| self.answer(items))
                .into_iter()
                .collect(),
            Kind::Object => Value::Object(self.members(&schema.properties)),
            Kind::Boolean => self.below(2).into(),
            Kind::Integer | Kind::Number if schema.words.is_empty() => self.number(schema).into(),
            Kind::Integer | Kind::Number | Kind::Text => self.text(schema).unwrap_or_default().into(),
        }
    }

    fn members(&mut self, properties: &[Property]) -> Map<String, Value> {
        let mut members = Map::new();
        for property in properties {
            if property.is_required || self.below(2) == 0 {
                members.insert(property.name.replace("[n]", "0"), self.answer(&property.schema));
            }
        }
        members
    }
}

impl Schema {
    /// Values that this does not admit, each wrong in another way; empty where it admits everything.
    pub fn misfits(&self) -> Vec<String> {
        let beyond = |bound: f64, step: f64| (bound + step).to_string();
        let mut wrong = match self.kind {
            Kind::Boolean => vec!["maybe".to_owned(), "2".to_owned(), String::new()],
            Kind::Integer => vec!["many".to_owned(), "1.5".to_owned(), String::new()],
            Kind::Number => vec!["many".to_owned(), "NaN".to_owned()],
            Kind::Text => vec![
                "no such word\u{1}".to_owned(),
                String::new(),
                "a b/c:d,e=f\u{7}".to_owned(),
            ],
            Kind::List => self.items.as_ref().map(|items| items.misfits()).unwrap_or_default(),
            Kind::Any | Kind::Null | Kind::Object => Vec::new(),
        };
        wrong.extend(self.minimum.map(|least| beyond(least, -1.0)));
        wrong.extend(self.maximum.map(|most| beyond(most, 1.0)));
        wrong.extend(self.max_length.map(|most| "x".repeat(most + 1)));
        wrong.retain(|text| !self.fits_text(text));
        wrong
    }
}

fn parse(pattern: &Pattern) -> Option<Hir> {
    ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(&pattern.translated())
        .ok()
}
