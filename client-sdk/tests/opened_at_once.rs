//! The first stores of a process, opened at once, while the application opens files of its own: SQLite is started then,
//! and lets a second thread in before the cipher is ready. Each attempt is a process of its own.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};

use client_sdk::key::FixedKeyProvider;
use client_sdk::store::{AcceptAll, Store, StoreOptions};
use client_sdk::world::SystemWorld;

const STORES: usize = 4;
const ATTEMPTS: usize = 20;
/// Tells a process in which folder the stores are that it opens.
const FOLDER: &str = "TEREN_TEST_STORES";

fn open(folder: &Path, n: usize) -> Store {
    let options = StoreOptions {
        folder: folder.join(n.to_string()),
        keys: Arc::new(FixedKeyProvider([7; 32])),
        world: Arc::new(SystemWorld::new()),
        validator: Arc::new(AcceptAll),
        vfs: None,
        ballast_bytes: 0,
    };
    Store::open(options).expect("a store opens while others do")
}

fn open_at_once(folder: &Path) {
    let start = &Barrier::new(2 * STORES);
    std::thread::scope(|scope| {
        for n in 0..STORES {
            scope.spawn(move || {
                start.wait();
                open(folder, n);
            });
            scope.spawn(|| {
                start.wait();
                rusqlite::Connection::open_in_memory().expect("the application opens a file of its own")
            });
        }
    });
}

#[test]
fn the_first_stores_of_a_process_open_at_once() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return open_at_once(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    (0..STORES).for_each(|n| {
        std::fs::create_dir(folder.path().join(n.to_string())).unwrap();
        open(folder.path(), n);
    });
    for attempt in 1..=ATTEMPTS {
        let output = Command::new(std::env::current_exe().unwrap()).env(FOLDER, folder.path()).output().unwrap();
        assert!(output.status.success(), "attempt {attempt}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
