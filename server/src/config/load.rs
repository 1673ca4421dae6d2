//! Reads the settings: the defaults, then a file, then the environment.

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};

use super::{Config, ConfigError};

const DEFAULTS: &str = include_str!("../../config.default.toml");
const PREFIX: &str = "TEREN__";

/// Variables with names that other tools know too, and the keys that they stand for.
const KNOWN_ELSEWHERE: [(&str, &str); 2] = [("DATABASE_URL", "database.url"), ("PG_BINDIR", "database.postgres_bin")];

impl Default for Config {
    /// Returns the documented defaults, whatever the environment says.
    fn default() -> Self {
        Figment::from(Toml::string(DEFAULTS)).extract().expect("the embedded defaults are complete; a test reads them")
    }
}

/// Reads and checks the settings. `overrides` are (key, value) pairs of the command line; they win.
pub fn load(file: Option<&Path>, overrides: &[(&str, String)]) -> Result<Config, ConfigError> {
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    if let Some(file) = file {
        figment = figment.merge(Toml::string(&read(file)?));
    }
    figment = figment.merge(Env::prefixed(PREFIX).split("__"));
    for (variable, key) in KNOWN_ELSEWHERE {
        if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
            figment = figment.merge(Serialized::default(key, value));
        }
    }
    for (key, value) in overrides {
        figment = figment.merge(Serialized::default(key, value));
    }
    let config: Config = figment.extract().map_err(|error| explain(error, file))?;
    config.validate()?;
    Ok(config)
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file)
        .map_err(|error| ConfigError(format!("cannot read the settings file `{}`: {error}", file.display())))
}

/// Names the key and where it was set. The message never repeats a value: it may be a secret.
fn explain(error: figment::Error, file: Option<&Path>) -> ConfigError {
    use figment::error::Kind;
    let key = error.path.join(".");
    let problem = match &error.kind {
        Kind::UnknownField(field, expected) => {
            format!("there is no setting `{field}` here; known are: {}", expected.join(", "))
        }
        Kind::InvalidType(_, expected) => format!("it must be {expected}"),
        Kind::InvalidValue(_, expected) => format!("it must be {expected}"),
        Kind::UnknownVariant(variant, expected) => format!("`{variant}` is none of: {}", expected.join(", ")),
        other => other.to_string(),
    };
    let from_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
    let source = match file {
        _ if from_environment => format!(" (from a {PREFIX}… variable)"),
        Some(file) => format!(" (from `{}`)", file.display()),
        None => String::new(),
    };
    let of = if key.is_empty() { String::new() } else { format!(" `{key}`") };
    ConfigError(format!("the setting{of}{source} cannot be used: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn load_text(text: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        load(Some(file.path()), &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_goes_over_the_defaults_and_the_command_line_over_both() {
        let config = load_text("[graphql]\nmax_depth = 7\n").unwrap();
        assert_eq!((config.graphql.max_depth, config.graphql.max_aliases), (7, 15));
        let config = load(None, &[("http.listen", "127.0.0.1:9".to_owned())]).unwrap();
        assert_eq!(config.http.listen.port(), 9);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let refused = load_text("[graphql]\nmax_dept = 7\n").unwrap_err();
        assert!(refused.contains("max_dept") && refused.contains("max_depth"), "{refused}");
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let refused = load_text("[graphql]\nmax_depth = \"deep\"\n").unwrap_err();
        assert!(refused.contains("graphql.max_depth"), "{refused}");
    }

    #[test]
    fn secrets_are_printed_as_stars() {
        let config = load_text("[database]\nurl = \"postgres://u:hunter2@h/d\"\n").unwrap();
        let shown = format!("{config:?}{}", config.to_toml().unwrap());
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    }
}
