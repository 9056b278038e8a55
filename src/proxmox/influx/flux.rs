//! A query, and the Flux that it becomes.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The units of a [`Period`].
const UNITS: &[&str] = &["ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "mo", "y"];

/// A moment: `now()`, a time in RFC 3339, or a period before or after now such as `-1h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(String);

impl Moment {
    /// Reads `text`; `None` where it is no moment.
    pub fn parse(text: &str) -> Option<Self> {
        let is_time = || OffsetDateTime::parse(text, &Rfc3339).is_ok();
        let is_period = || Period::parse(text.strip_prefix('-').unwrap_or(text)).is_some();
        (text == "now()" || is_period() || is_time()).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A period such as `5m` or `1h30m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period(String);

impl Period {
    /// Reads `text`; `None` where it is no period.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        while !rest.is_empty() {
            let unit = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let length = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
            let (unit, after) = unit.split_at_checked(length)?;
            if after.len() + unit.len() == rest.len() || !UNITS.contains(&unit) {
                return None;
            }
            rest = after;
        }
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

/// What the figures of a period become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// How many there are.
    Count,
    /// The first.
    First,
    /// The last.
    Last,
    /// The largest.
    Max,
    /// Their mean.
    Mean,
    /// The smallest.
    Min,
    /// Their sum.
    Sum,
}

impl Function {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::First => "first",
            Self::Last => "last",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Sum => "sum",
        }
    }
}

/// One figure for each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    /// The period.
    pub every: Period,
    /// What its figures become.
    pub function: Function,
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A tag, such as `host`.
    Tag,
    /// The value of a field.
    Field,
}

/// Which figures are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What is looked at.
    pub scope: Scope,
    /// The name of the tag or field.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether figures with the value stay, or those without.
    pub is_equal: bool,
}

/// Which figures are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where they lie.
    pub bucket: String,
    /// From when.
    pub start: Moment,
    /// Until when; until now where that is not said.
    pub stop: Option<Moment>,
    /// Of what, such as `system`.
    pub measurement: String,
    /// Only these; all where none is named.
    pub fields: Vec<String>,
    /// All of these hold.
    pub filters: Vec<Filter>,
    /// Whether they are put together.
    pub aggregation: Option<Aggregation>,
    /// How many rows are told at most.
    pub max_rows: usize,
}

impl Query {
    /// The query in Flux.
    pub(super) fn to_flux(&self) -> String {
        let mut flux = format!("from(bucket: {})", quoted(&self.bucket));
        let stop = self.stop.as_ref().map_or("now()", Moment::as_str);
        let mut pipe = |step: String| {
            // Writing to a text never fails.
            let _ = write!(flux, "\n  |> {step}");
        };
        pipe(format!("range(start: {}, stop: {stop})", self.start.as_str()));
        pipe(filter(&format!("r[\"_measurement\"] == {}", quoted(&self.measurement))));
        if !self.fields.is_empty() {
            let fields = self
                .fields
                .iter()
                .map(|field| format!("r[\"_field\"] == {}", quoted(field)));
            pipe(filter(&fields.collect::<Vec<_>>().join(" or ")));
        }
        for wanted in &self.filters {
            pipe(filter(&wanted.condition()));
        }
        if let Some(Aggregation { every, function }) = &self.aggregation {
            let function = function.as_str();
            pipe(format!(
                "aggregateWindow(every: {}, fn: {function}, createEmpty: false)",
                every.0
            ));
        }
        // One more, to see that there are more.
        pipe(format!("limit(n: {})", self.max_rows.saturating_add(1)));
        flux
    }
}

impl Filter {
    fn condition(&self) -> String {
        let (key, value) = (quoted(&self.key), quoted(&self.value));
        match (self.scope, self.is_equal) {
            (Scope::Tag, true) => format!("r[{key}] == {value}"),
            (Scope::Tag, false) => format!("r[{key}] != {value}"),
            (Scope::Field, true) => format!("r[\"_field\"] == {key} and string(v: r[\"_value\"]) == {value}"),
            (Scope::Field, false) => format!("r[\"_field\"] != {key} or string(v: r[\"_value\"]) != {value}"),
        }
    }
}

fn filter(condition: &str) -> String {
    format!("filter(fn: (r) => {condition})")
}

/// `text` as a literal of Flux, out of which nothing in it leads.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // `${` would begin an expression.
            '$' => quoted.push_str("\\x24"),
            control if control.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_periods_are_told_from_anything_else() {
        for (text, is_moment, is_period) in [
            ("-1h", true, false),
            ("1h30m", true, true),
            ("5m", true, true),
            ("1mo", true, true),
            ("now()", true, false),
            ("2026-07-01T00:00:00Z", true, false),
            ("2026-07-01T00:00:00.5+02:00", true, false),
            ("2026-07-01", false, false),
            ("-", false, false),
            ("", false, false),
            ("1", false, false),
            ("h", false, false),
            ("5 m", false, false),
            ("-1h, stop: now()) |> yield()", false, false),
        ] {
            let told = (Moment::parse(text).is_some(), Period::parse(text).is_some());
            assert_eq!(told, (is_moment, is_period), "{text}");
        }
    }

    #[test]
    fn query_becomes_one_pipe() {
        let query = Query {
            bucket: "proxmox".to_owned(),
            start: Moment::parse("-1h").unwrap(),
            stop: None,
            measurement: "system".to_owned(),
            fields: vec!["cpu".to_owned(), "mem".to_owned()],
            filters: vec![
                Filter {
                    scope: Scope::Tag,
                    key: "object".to_owned(),
                    value: "qemu".to_owned(),
                    is_equal: true,
                },
                Filter {
                    scope: Scope::Field,
                    key: "cpu".to_owned(),
                    value: "0".to_owned(),
                    is_equal: false,
                },
            ],
            aggregation: Some(Aggregation {
                every: Period::parse("5m").unwrap(),
                function: Function::Mean,
            }),
            max_rows: 10,
        };
        insta::assert_snapshot!(query.to_flux(), @r#"
        from(bucket: "proxmox")
          |> range(start: -1h, stop: now())
          |> filter(fn: (r) => r["_measurement"] == "system")
          |> filter(fn: (r) => r["_field"] == "cpu" or r["_field"] == "mem")
          |> filter(fn: (r) => r["object"] == "qemu")
          |> filter(fn: (r) => r["_field"] != "cpu" or string(v: r["_value"]) != "0")
          |> aggregateWindow(every: 5m, fn: mean, createEmpty: false)
          |> limit(n: 11)
        "#);
    }

    #[test]
    fn text_cannot_leave_its_literal() {
        for (text, literal) in [
            ("plain", "\"plain\""),
            ("\") |> drop(", "\"\\\") |> drop(\""),
            ("\\\"", "\"\\\\\\\"\""),
            ("${1+1}", "\"\\x24{1+1}\""),
            ("a\nb", "\"a b\""),
        ] {
            assert_eq!(quoted(text), literal, "{text}");
        }
    }
}
