//! Typed values out of the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use super::problem::{Invalid, Problem};
use super::variables::{self, VARIABLES};

/// Takes typed values out of the environment and remembers which could not be taken.
pub(super) struct Reader {
    variables: BTreeMap<String, String>,
    read: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(variables: BTreeMap<String, String>) -> Self {
        Self {
            variables,
            read: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Refuses the value of `variable`.
    pub(super) fn refuse(&mut self, variable: &'static str, problem: impl Into<String>) {
        let example = VARIABLES.iter().find(|known| known.name == variable);
        self.problems.push(Problem {
            variable,
            problem: problem.into(),
            example: example.map_or("", |known| known.example),
        });
    }

    /// The value without white space around it; a blank one counts as not set.
    pub(super) fn text(&mut self, variable: &'static str) -> Option<String> {
        self.read.insert(variable);
        let value = self.variables.get(variable)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn parsed<T>(
        &mut self,
        variable: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(variable)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.refuse(variable, format!("must be {expected}"));
        }
        parsed
    }

    pub(super) fn secret(&mut self, variable: &'static str) -> Option<SecretString> {
        self.text(variable).map(SecretString::from)
    }

    pub(super) fn flag(&mut self, variable: &'static str) -> Option<bool> {
        self.parsed(variable, "true or false", |text| {
            match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Some(true),
                "0" | "false" | "no" | "off" => Some(false),
                _ => None,
            }
        })
    }

    pub(super) fn number<T>(&mut self, variable: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(variable, &expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// Seconds, with a fraction or without.
    pub(super) fn seconds(&mut self, variable: &'static str, range: RangeInclusive<f64>) -> Option<Duration> {
        let expected = format!("a number of seconds from {} to {}", range.start(), range.end());
        self.parsed(variable, &expected, |text| {
            let seconds = text.parse().ok().filter(|seconds| range.contains(seconds))?;
            Duration::try_from_secs_f64(seconds).ok()
        })
    }

    pub(super) fn choice<T: Copy>(&mut self, variable: &'static str, words: &[(&str, T)]) -> Option<T> {
        let listed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.parsed(variable, &format!("one of {}", listed.join(", ")), |text| {
            let known = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            known.map(|(_, meaning)| *meaning)
        })
    }

    /// An absolute path to a file.
    pub(super) fn path(&mut self, variable: &'static str) -> Option<PathBuf> {
        self.parsed(variable, "an absolute path to a file", |text| {
            let is_file = Path::new(text).is_absolute() && !text.ends_with('/');
            is_file.then(|| PathBuf::from(text))
        })
    }

    /// The parts of a list that is parted by commas.
    pub(super) fn list(&mut self, variable: &'static str) -> Vec<String> {
        let text = self.text(variable).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    pub(super) fn networks(&mut self, variable: &'static str) -> Vec<IpNet> {
        let parts = self.list(variable);
        let networks: Option<Vec<IpNet>> = parts
            .iter()
            .map(|part| {
                part.parse()
                    .ok()
                    .or_else(|| Some(IpNet::from(part.parse::<std::net::IpAddr>().ok()?)))
            })
            .collect();
        networks.unwrap_or_else(|| {
            self.refuse(variable, "must be addresses or networks (CIDR), parted by commas");
            Vec::new()
        })
    }

    /// Origins of browser pages: scheme, host and port.
    pub(super) fn origins(&mut self, variable: &'static str) -> Vec<String> {
        let parts = self.list(variable);
        let origins: Option<Vec<String>> = parts
            .iter()
            .map(|part| {
                let url = url::Url::parse(part).ok()?;
                let is_origin = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
                is_origin.then(|| part.trim_end_matches('/').to_owned())
            })
            .collect();
        origins.unwrap_or_else(|| {
            self.refuse(variable, "must be origins (scheme, host and port), parted by commas");
            Vec::new()
        })
    }

    /// What to say about variables that are set and were not read.
    pub(super) fn notices(&self) -> Vec<String> {
        let unread = self.variables.keys().filter(|name| !self.read.contains(name.as_str()));
        unread.filter_map(|name| variables::notice(name)).collect()
    }

    /// All problems, if there are any.
    pub(super) fn finish(self) -> Result<(), Invalid> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Invalid(self.problems))
        }
    }
}
