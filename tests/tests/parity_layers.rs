//! The layers: who may know of whom. What is not allowed here is not a matter of taste but of the design.

use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Text that may stand only in some files.
struct Rule {
    /// What is looked for in code, comments and tests left out.
    texts: &'static [&'static str],
    /// Where it is looked for.
    under: &'static [&'static str],
    /// Where it may stand.
    allowed: &'static [&'static str],
    /// What to do instead.
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        texts: &["diesel"],
        under: &["sync-protocol/src", "server/src", "client-sdk/src"],
        allowed: &["server/src/store"],
        instead: "put the statement into server/src/store",
    },
    Rule {
        texts: &["async_graphql"],
        under: &["sync-protocol/src", "server/src", "client-sdk/src"],
        allowed: &["server/src/graphql"],
        instead: "keep GraphQL types in server/src/graphql",
    },
    Rule {
        texts: &["axum", "tower_http"],
        under: &["sync-protocol/src", "server/src", "client-sdk/src"],
        allowed: &[
            "server/src/router.rs",
            "server/src/listener.rs",
            "server/src/error.rs",
            "server/src/credentials.rs",
            "server/src/ops",
            "server/src/auth/routes",
            "server/src/auth/tests",
            "server/src/sync/routes",
            "server/src/graphql/http",
            "server/src/graphql/tests",
        ],
        instead: "keep HTTP at the edges: a handler unpacks the request and calls the domain",
    },
    Rule {
        texts: &["crate::graphql", "crate::sync", "crate::router"],
        under: &["server/src/domain", "server/src/store", "server/src/auth", "server/src/ops"],
        allowed: &[],
        instead: "an edge may ask the domain and the store, never the other way round",
    },
    Rule {
        texts: &["crate::graphql", "crate::auth::routes"],
        under: &["server/src/sync"],
        allowed: &[],
        instead: "edges do not know each other: move what both need into server/src/domain",
    },
    Rule {
        texts: &["crate::sync", "crate::auth::routes"],
        under: &["server/src/graphql"],
        allowed: &[],
        instead: "edges do not know each other: move what both need into server/src/domain",
    },
    Rule {
        texts: &["client_sdk"],
        under: &["sync-protocol/src", "server/src"],
        allowed: &[],
        instead: "the server and the client share sync-protocol only",
    },
    Rule {
        texts: &["server::"],
        under: &["sync-protocol/src", "client-sdk/src"],
        allowed: &[],
        instead: "the server and the client share sync-protocol only",
    },
    Rule {
        texts: &["rusqlite"],
        under: &["sync-protocol/src", "server/src", "client-sdk/src"],
        allowed: &["client-sdk/src/store", "client-sdk/src/error.rs"],
        instead: "put the statement into client-sdk/src/store",
    },
    Rule {
        texts: &["std::fs", "std::net", "tokio", "SystemTime", "reqwest"],
        under: &["sync-protocol/src"],
        allowed: &[],
        instead: "sync-protocol has no clock, no random and no I/O: let the caller pass the value in",
    },
    Rule {
        texts: &["SystemTime::now", "Instant::now", "Uuid::now_v7", "Uuid::new_v4", "rand::rng", "thread_rng", "OsRng"],
        under: &["sync-protocol/src", "server/src", "client-sdk/src"],
        allowed: &[
            "server/src/world.rs",
            "server/src/ops/observe.rs",
            "server/src/ops/metrics",
            "server/src/graphql/tests/limits.rs",
            "client-sdk/src/world.rs",
        ],
        instead: "ask the injected World, so that a test decides the time and the random",
    },
];

#[test]
fn every_layer_knows_only_what_it_may() {
    let problems: Vec<String> = RULES.iter().flat_map(broken).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_files_that_the_rules_name_exist() {
    for rule in RULES {
        for folder in rule.under {
            assert!(Path::new(ROOT).join(folder).exists(), "{folder} is gone: correct the rules of this test");
        }
    }
}

fn broken(rule: &Rule) -> Vec<String> {
    let mut problems = Vec::new();
    for file in rule.under.iter().flat_map(|folder| rust_files(&Path::new(ROOT).join(folder))) {
        let name = file.strip_prefix(ROOT).expect("the file is below the root").display().to_string();
        if rule.allowed.iter().any(|allowed| name.starts_with(allowed)) || name.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("the file can be read");
        for (number, line) in code(&text) {
            for found in rule.texts.iter().filter(|text| mentions(line, text)) {
                problems.push(format!("{name}:{number} mentions `{found}`: {}", rule.instead));
            }
        }
    }
    problems
}

/// Whether a line mentions a name and not only a longer one that ends like it.
fn mentions(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// Returns the lines of code with their numbers: no comments, no unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.take_while(|(_, line)| *line != "#[cfg(test)]").filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
