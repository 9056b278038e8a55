//! Frames that fit into the plugin's job log. It cuts each at 600 characters, and the page that shows a job cannot read what
//! is cut.

use serde_json::{Map, Value};

/// How many characters of a frame the log keeps.
const LONGEST: usize = 600;

/// How many characters the log writes for `value`: a blank follows each comma and colon, and only ASCII is not escaped.
fn length(value: &Value) -> usize {
    let letters = value.to_string();
    let widths = letters.chars().map(|letter| match letter {
        ',' | ':' => 2,
        letter if letter.is_ascii() => 1,
        letter => 6 * letter.len_utf16(),
    });
    widths.sum()
}

/// Leaves out the last of `data.items` where not all of them fit. How many there are, `data.count` tells.
pub(super) fn fit_items(data: &mut Value) {
    let whole = length(data);
    let Some(items) = data.get_mut("items").and_then(Value::as_array_mut) else {
        return;
    };
    let lengths: Vec<usize> = items.iter().map(|item| length(item) + 2).collect();
    let mut left = (whole - lengths.iter().sum::<usize>().min(whole)) + 2;
    let fitting = lengths.iter().take_while(|length| {
        left += **length;
        left <= LONGEST
    });
    let fitting = fitting.count();
    items.truncate(fitting);
}

/// Shortens the texts of `data` with these names, each to an equal share, where they do not fit. The log of the service and
/// the frame that closes the stream have them whole.
pub(super) fn fit_texts(data: &mut Value, names: &[&'static str]) {
    let texts = names.iter().filter_map(|name| data.get(*name)?.as_str());
    let widths: Vec<usize> = texts.map(width).collect();
    let whole = length(data);
    if whole <= LONGEST || widths.is_empty() {
        return;
    }
    let rest = whole.saturating_sub(widths.iter().sum());
    let mut left = LONGEST.saturating_sub(rest);
    let mut others = widths.len();
    for name in names {
        if let Some(Value::String(text)) = data.get_mut(*name) {
            *text = shortened(text, left / others);
            left = left.saturating_sub(width(text));
            others -= 1;
        }
    }
}

/// How many characters the log writes for a text, its quotation marks aside.
fn width(text: &str) -> usize {
    length(&text.into()) - 2
}

/// The beginning of a text, and dots where that is not all.
fn shortened(text: &str, most: usize) -> String {
    const DOTS: &str = "...";
    if width(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(DOTS.len());
    let fitting = text.chars().take_while(|letter| {
        let width = width(letter.encode_utf8(&mut [0; 4]));
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    fitting.collect::<String>() + DOTS
}

/// `data` with `result`, without what a count does not tell where not all of it fits. The frame that closes the stream has it.
pub(super) fn with_brief(mut data: Value, result: &Value) -> Value {
    // What is that long does not fit whatever it is, and is not copied to find out.
    let is_short = |member: &Value| member.as_array().is_none_or(|rows| rows.len() < LONGEST / 10);
    if let (Value::Object(data), Value::Object(result)) = (&mut data, result) {
        let short = result.iter().filter(|(_, member)| is_short(member));
        let short: Map<String, Value> = short.map(|(name, member)| (name.clone(), member.clone())).collect();
        data.insert("result".to_owned(), short.into());
    }
    fit_result(&mut data);
    data
}

fn fit_result(data: &mut Value) {
    for is_long in [Value::is_array, Value::is_object] {
        if length(data) <= LONGEST {
            return;
        }
        if let Some(Value::Object(result)) = data.get_mut("result") {
            result.retain(|_, member| !is_long(member));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn list_is_cut_where_the_frame_would_be() {
        let frame = |count: usize| {
            let items: Vec<Value> = (0..count)
                .map(|id| json!({"name": format!("gäst-{id}"), "item_type": "vm"}))
                .collect();
            let mut data = json!({"event": "discovery", "count": count, "items": items, "progress": {"current": 0}});
            fit_items(&mut data);
            (data["items"].as_array().unwrap().len(), length(&data))
        };
        assert_eq!(frame(0).0, 0);
        assert_eq!(frame(5).0, 5);
        let (kept, long) = frame(2000);
        assert!(
            long <= LONGEST && long > LONGEST - 60,
            "{kept} items make {long} characters"
        );
    }

    #[test]
    fn long_texts_share_what_is_left() {
        let long = "a \"quoted\" cause, with: colons, and gäste ".repeat(30);
        let frame = |error: &str, detail: &str| {
            let mut data = json!({"step": "devices", "status": "failed", "error": error, "detail": detail});
            fit_texts(&mut data, &["error", "detail"]);
            data
        };
        let both = frame(&long, &long);
        let size = length(&both);
        assert!(size <= LONGEST && size > LONGEST - 20, "{size}");
        for name in ["error", "detail"] {
            let text = both[name].as_str().unwrap();
            let begun = text.strip_suffix("...").unwrap();
            assert!(long.starts_with(begun) && begun.len() > 150, "{name}: {text}");
        }
        assert_eq!(frame("short", &long)["error"], "short");
        assert!(length(&frame("short", &long)) > LONGEST - 20);
        assert_eq!(
            frame("short", "short"),
            json!({"step": "devices", "status": "failed", "error": "short", "detail": "short"})
        );
    }

    #[test]
    fn result_keeps_its_counts_whatever_else_there_is() {
        let warnings: Vec<Value> = (0..30)
            .map(|id| json!({"message": format!("guest {id}: its agent is silent")}))
            .collect();
        let step = json!({"step": "virtual-machines"});
        let whole = json!({"count": 3, "degraded": true, "warnings": warnings, "counters": {"zones": 1}});
        let brief = json!({"count": 3, "degraded": true, "counters": {"zones": 1}});
        assert_eq!(with_brief(step.clone(), &whole)["result"], brief);
        assert_eq!(with_brief(step, &brief)["result"], brief);
    }
}
