//! That the README says what the code does.

use std::fmt::Write;

use proxbox_api::config::VARIABLES;

const README: &str = include_str!("../README.md");
const BEGIN: &str = "<!-- settings: a test keeps this table equal to the code -->\n";
const END: &str = "<!-- /settings -->";

#[test]
fn table_of_settings_is_that_of_the_code() {
    let mut expected = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
    for variable in VARIABLES {
        let default = match variable.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        writeln!(expected, "| `{}` | {default} | {} |", variable.name, variable.meaning).unwrap();
    }
    let found = README.split(BEGIN).nth(1).unwrap().split(END).next().unwrap();
    assert!(found == expected, "the table should be:\n{expected}");
}
