//! The published schema.

use crate::graphql::sdl;

/// Run with `UPDATE_SCHEMA=1` to write the file after a change that is meant.
#[test]
fn the_published_schema_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, sdl()).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(published == sdl(), "server/schema.graphql is out of date; run the test with UPDATE_SCHEMA=1");
}

#[test]
fn every_type_is_described() {
    let sdl = sdl();
    let lines: Vec<&str> = sdl.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        let is_definition =
            ["type ", "input ", "enum ", "interface ", "scalar "].iter().any(|word| line.starts_with(word));
        if is_definition {
            assert!(lines[at - 1].ends_with('"'), "{line}");
        }
    }
}
