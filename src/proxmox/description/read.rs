//! Parameters as they were given, checked, and turned into what is sent.

use std::sync::Arc;

use secrecy::SecretString;

use super::forms;
use super::misfit::{Misfit, Problem};
use super::schema::{Kind, Schema};
use super::table::Operation;
use crate::proxmox::navigate::Param;

/// Words in the names of parameters whose values are never shown.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "ticket",
    "otp",
    "challenge",
    "cert",
];

/// Whose words are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A client's: a flag can be any word for yes or no.
    Lenient,
    /// As Proxmox reads: a flag is 0 or 1.
    Strict,
}

impl Operation {
    /// Checks all of `given`, the values of the path's placeholders included, and answers what is to be sent beside the
    /// path, in the order given. Of a value given twice the last one counts, unless it is a list.
    ///
    /// # Errors
    ///
    /// Every parameter that is unknown, missing or does not fit.
    pub fn read(&self, given: &[(String, String)], reading: Reading) -> Result<Vec<(String, Param)>, Vec<Misfit>> {
        let mut misfits = Vec::new();
        let mut sent = Vec::new();
        for name in names(given) {
            let values: Vec<&str> = given
                .iter()
                .filter(|(own, _)| own == name)
                .map(|(_, value)| value.as_str())
                .collect();
            match self.parameter(name, &values, reading) {
                Ok(_) if self.is_in_path(name) => {}
                Ok(param) => sent.push((name.to_owned(), param)),
                Err(problem) => misfits.push(misfit(name, problem)),
            }
        }
        let is_given = |name: &str| given.iter().any(|(own, _)| own == name);
        let required = self
            .parameters
            .properties
            .iter()
            .filter(|property| property.is_required);
        let missing = required.filter(|property| !is_given(&property.name));
        misfits.extend(missing.map(|property| misfit(&property.name, Problem::Missing)));
        if misfits.is_empty() { Ok(sent) } else { Err(misfits) }
    }

    fn parameter(&self, name: &str, values: &[&str], reading: Reading) -> Result<Param, Problem> {
        let property = self.parameters.find_property(name).ok_or(Problem::Unknown)?;
        let schema = &property.schema;
        if is_list(schema) {
            for value in values {
                schema.check(value, reading)?;
            }
            return Ok(Param::List(values.iter().map(|&value| value.to_owned()).collect()));
        }
        let value = values.last().copied().unwrap_or_default();
        schema.check(value, reading)?;
        if schema.kind == Kind::Boolean {
            return Ok(Param::Flag(flag(value, reading) == Some(true)));
        }
        let value = value.to_owned();
        Ok(if is_secret(name) {
            Param::Secret(SecretString::from(value))
        } else {
            Param::Text(value)
        })
    }

    /// Whether the value of `name` can be written down: it has a form that leaves no room for a secret.
    pub fn is_tellable(&self, name: &str) -> bool {
        if is_secret(name) {
            return false;
        }
        self.parameters.find_property(name).is_some_and(|property| {
            let schema = &property.schema;
            let is_closed = matches!(schema.kind, Kind::Boolean | Kind::Integer | Kind::Number);
            let is_known = schema.format.as_deref().is_some_and(forms::is_known);
            // Numbered families describe hardware: net0, scsi1, mp2.
            is_closed || is_known || !schema.words.is_empty() || property.name.ends_with("[n]")
        })
    }
}

fn names(given: &[(String, String)]) -> impl Iterator<Item = &str> {
    let is_first = |index: usize, name: &str| given.iter().position(|(own, _)| own == name) == Some(index);
    let names = given.iter().enumerate();
    names
        .filter(move |(index, (name, _))| is_first(*index, name))
        .map(|(_, (name, _))| name.as_str())
}

fn misfit(parameter: &str, problem: Problem) -> Misfit {
    Misfit {
        parameter: parameter.to_owned(),
        problem,
    }
}

/// Whether a parameter called `name` can hold a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn is_list(schema: &Schema) -> bool {
    schema.kind == Kind::List || schema.one_of.iter().any(|one| is_list(one))
}

fn flag(text: &str, reading: Reading) -> Option<bool> {
    match (text, reading) {
        ("1", _) => Some(true),
        ("0", _) => Some(false),
        (_, Reading::Strict) => None,
        (_, Reading::Lenient) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "no" | "off" | "f" | "n" => Some(false),
            _ => None,
        },
    }
}

impl Schema {
    /// Checks one value; a list is checked value by value.
    fn check(&self, text: &str, reading: Reading) -> Result<(), Problem> {
        if !self.one_of.is_empty() {
            return any_of(&self.one_of, text, reading);
        }
        match self.kind {
            Kind::Any | Kind::Null | Kind::Object => Ok(()),
            Kind::Boolean => flag(text, reading).map(drop).ok_or(Problem::NoFlag),
            Kind::Integer => match text.parse::<i64>() {
                Ok(_) => self.check_range(text).and_then(|()| self.check_words(text)),
                Err(_) => Err(Problem::NoInteger),
            },
            Kind::Number => self.check_range(text),
            Kind::Text => self.check_text(text),
            Kind::List => self.items.as_ref().map_or(Ok(()), |items| items.check(text, reading)),
        }
    }

    fn check_range(&self, text: &str) -> Result<(), Problem> {
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or(Problem::NoNumber)?;
        match (self.minimum, self.maximum) {
            (Some(least), _) if number < least => Err(Problem::Below(least)),
            (_, Some(most)) if number > most => Err(Problem::Above(most)),
            _ => Ok(()),
        }
    }

    fn check_words(&self, text: &str) -> Result<(), Problem> {
        if self.words.is_empty() || self.words.iter().any(|word| **word == *text) {
            Ok(())
        } else {
            Err(Problem::NoWord(self.words.clone()))
        }
    }

    fn check_text(&self, text: &str) -> Result<(), Problem> {
        self.check_words(text)?;
        let length = text.chars().count();
        if let Some(least) = self.min_length.filter(|least| length < *least) {
            return Err(Problem::Short(least));
        }
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            return Err(Problem::Long(most));
        }
        if let Some(name) = self.format.as_deref().filter(|name| !forms::fits(name, text)) {
            return Err(Problem::Form(name.into()));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Err(Problem::Pattern(pattern.source().into()));
        }
        match &self.keys {
            // Quoted values may hold commas; those are left to Proxmox.
            Some(keys) if !text.contains('"') => check_keys(keys, text),
            Some(_) | None => Ok(()),
        }
    }
}

fn any_of(schemas: &[Arc<Schema>], text: &str, reading: Reading) -> Result<(), Problem> {
    let mut outcomes = schemas.iter().map(|schema| schema.check(text, reading));
    let first = outcomes.next().unwrap_or(Ok(()));
    if first.is_ok() || outcomes.any(|outcome| outcome.is_ok()) {
        return Ok(());
    }
    first
}

/// Checks the parts of a property string. Which of them must be there is left to Proxmox: an alias can stand for two.
fn check_keys(keys: &Schema, text: &str) -> Result<(), Problem> {
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = match (part.split_once('='), &keys.bare_key) {
            (Some(pair), _) => pair,
            (None, Some(bare)) => (&**bare, part),
            (None, None) => return Err(Problem::NoKey),
        };
        let key = keys.aliases.get(key).map_or(key, |target| target);
        let property = keys.find_property(key);
        let outcome = property.map_or(Err(Problem::Unknown), |property| {
            property.schema.check(value, Reading::Lenient)
        });
        outcome.map_err(|problem| Problem::Key(key.into(), Box::new(problem)))?;
    }
    Ok(())
}

impl Schema {
    /// Whether `text` is a value of this.
    pub fn fits_text(&self, text: &str) -> bool {
        self.check(text, Reading::Lenient).is_ok()
    }
}
