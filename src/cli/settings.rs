//! The list of settings.

use super::Failure;
use super::commands::say;
use crate::app;
use crate::config::{Config, VARIABLES};

/// Lists every variable. That `config` could be made proves that all of them can be used, but for the template of names.
pub(super) fn print(config: &Config) -> Result<(), Failure> {
    app::check_template(config)?;
    for variable in VARIABLES {
        let default = if variable.default.is_empty() {
            "-"
        } else {
            variable.default
        };
        say(&format!(
            "{}\n    {}; default {default}",
            variable.name, variable.meaning
        ))?;
    }
    for notice in &config.notices {
        say(&format!("note: {notice}"))?;
    }
    say(&format!(
        "\nThe environment can be used. Database: {}",
        config.database.display()
    ))
}
