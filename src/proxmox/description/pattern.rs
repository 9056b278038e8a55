//! Perl's expressions, read by an engine that never takes longer than the text is long.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// An expression as Proxmox writes it; the whole text must match.
#[derive(Debug)]
pub struct Pattern {
    source: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Keeps `source`; it is compiled on its first use.
    pub fn new(source: &str) -> Self {
        Self {
            source: source.into(),
            compiled: OnceLock::new(),
        }
    }

    /// The expression as Proxmox writes it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches. What we cannot read is left to Proxmox to judge.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| compile(&self.source))
            .as_ref()
            .is_none_or(|regex| regex.is_match(text.as_bytes()))
    }

    /// The expression in our engine's spelling, for the whole text.
    pub(super) fn translated(&self) -> String {
        translate(&self.source)
    }
}

fn compile(source: &str) -> Option<Regex> {
    RegexBuilder::new(&translate(source)).unicode(false).build().ok()
}

/// Perl prints compiled expressions as `(?^i:…)`: only the flags named hold inside. NUL is `\0` there,
/// a count
/// without a least number starts at 0, and groups that never give back are what every group is to our engine.
fn translate(source: &str) -> String {
    let mut text = String::from("^(?:");
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let taken = if let Some((flags, length)) = group(rest) {
            text.push_str(if flags.contains('i') { "(?i:" } else { "(?-i:" });
            length
        } else if rest.starts_with("\\0") {
            text.push_str("\\x00");
            2
        } else if rest.starts_with("(?>") {
            text.push_str("(?:");
            3
        } else if rest.starts_with("{,") {
            text.push_str("{0,");
            2
        } else if character == '\\' {
            let escaped = rest.chars().take(2).collect::<String>();
            text.push_str(&escaped);
            escaped.len()
        } else {
            text.push(character);
            character.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    text.push_str(")$");
    text
}

/// The flags of a group that `text` opens with, and the length of its opening.
fn group(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix("(?^")?;
    let flags = after.split(':').next()?;
    let is_group = flags.len() < after.len() && flags.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_group.then_some((flags, "(?^".len() + flags.len() + ":".len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perl_expression_matches_whole_texts_only() {
        let table: &[(&str, &str, bool)] = &[
            ("[a-z]+", "abc", true),
            ("[a-z]+", "abc1", false),
            ("a|b", "ab", false),
            (r"(?^:[A-Za-z][A-Za-z0-9\.\-_]+)", "pve-1", true),
            ("(?^i:[a-z]+)", "ABC", true),
            ("(?i:a(?^:b))", "Ab", true),
            ("(?i:a(?^:b))", "AB", false),
            (r"(?:\w+=x)(?:\0\w+=x)*", "a=x\0b=x", true),
            (r"a\\0", "a\\0", true),
            (r"[\(\)-_.\w\d\s]{0,256}", "a (b)", true),
            ("[a-z]{,3}", "abcd", false),
            (r"\S+", "é", true),
            ("(?>[a-z],?)+", "a,b", true),
        ];
        for (source, text, wanted) in table {
            let pattern = Pattern::new(source);
            assert_eq!(pattern.is_match(text), *wanted, "{source} on {text:?}");
            assert!(compile(source).is_some(), "{source}");
        }
    }

    #[test]
    fn unreadable_expression_admits_everything() {
        assert!(Pattern::new("(?!x)y").is_match("z"));
    }
}
