//! A visit on a disk that fails at any call of answering, signing and completing: the mentor is told what happened, what
//! was said to be recorded is, and the rest can be done once the disk works again.

use std::net::SocketAddr;

use client_sdk::client::Client;
use client_sdk::error::{ApiError, ApiErrorKind};
use sync_protocol::code::{VisitKind, VisitMode, VisitStatus};
use sync_protocol::entity::Visit;
use sync_protocol::id::VisitId;
use tempfile::TempDir;
use tests::demo::{self, ANA, DEMO_PASSWORD};
use tests::folder::copied;
use tests::parallel::in_parallel;
use tests::phone::open_on;
use tests::vfs::Fault;
use tests::visit::{Step, next_step};
use tests::{FaultDisk, Phone, TestServer};

/// Nothing answers there: none of this needs a server.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// More calls than any of these steps makes.
const MOST_CALLS: u64 = 2_000;
/// So many calls are disturbed before it is looked whether the fault still came.
const STRETCH: u64 = 16;

/// The files of a phone before a step of a visit.
struct Before {
    step: &'static str,
    visit: VisitId,
    folder: TempDir,
    pending: u64,
}

/// Makes a visit and keeps the files before an answer, before the signature and before the completion.
async fn before_each_step() -> Vec<Before> {
    let server = TestServer::new().await;
    demo::load(&server.app).await;
    let mut phone = Phone::new(server.address);
    phone.enrol(ANA, DEMO_PASSWORD).await;
    phone.sync().await;
    let enterprise = phone.enterprises().by_code("ENT-012").unwrap().expect("Ana looks after it").id;
    let visit = phone.visits().start(enterprise, VisitKind::Routine, VisitMode::OnSite).unwrap().id;
    let mut kept: Vec<Before> = Vec::new();
    loop {
        let step = name_of_next(&phone, visit);
        if step.is_some_and(|step| kept.iter().all(|before| before.step != step)) {
            let pending = pending(&phone);
            phone.close();
            kept.push(Before { step: step.unwrap(), visit, folder: copied(phone.folder()), pending });
            phone.reopen();
        }
        if next_step(&phone, visit).unwrap().is_none() {
            return kept;
        }
    }
}

fn name_of_next(client: &Client, id: VisitId) -> Option<&'static str> {
    let visit = client.visits().get(id).unwrap().expect("the visit is there").data;
    match visit {
        _ if client.visits().questions(id).unwrap().iter().any(|question| question.is_open()) => Some("answer"),
        Visit { summary: None, .. } => None,
        Visit { signed_at: None, .. } => Some("sign"),
        Visit { status: VisitStatus::InProgress, .. } => Some("complete"),
        _ => None,
    }
}

fn pending(client: &Client) -> u64 {
    client.status().expect("the store can be read").sync.pending
}

/// How the disk fails.
#[derive(Clone, Copy, Debug)]
enum Disk {
    FailsOnce,
    FailsForAWhile,
    IsFull,
}

/// Does the step while the `k`-th call fails, again once the disk works, and looks at what is there after opening the
/// files anew. Returns whether the call came.
fn disturb(before: &Before, disk_fails: Disk, k: u64) -> bool {
    let (disk, folder) = (FaultDisk::new(), copied(before.folder.path()));
    let client = open_on(&disk, folder.path(), NOWHERE).unwrap();
    match disk_fails {
        Disk::FailsOnce => disk.fail_any_once_at(k, Fault::Io),
        Disk::FailsForAWhile => disk.fail_from(k, Fault::Io),
        Disk::IsFull => disk.fail_from(k, Fault::Full),
    }
    let outcome = next_step(&client, before.visit);
    let has_failed = disk.has_failed();
    disk.heal();
    let step = match outcome {
        Ok(step) => step.expect("there is something to do"),
        Err(error) => {
            assert!(has_failed && is_clear(&error, disk_fails, k), "{error:?}");
            assert_eq!(pending(&client), before.pending, "something was recorded that was said not to be");
            next_step(&client, before.visit).unwrap().expect("there is something to do")
        }
    };
    assert_shown(&client, &step);
    let recorded = pending(&client);
    assert!(recorded > before.pending, "nothing was recorded");
    drop(client);
    let client = open_on(&disk, folder.path(), NOWHERE).unwrap();
    assert_eq!((client.open_report().salvaged, pending(&client)), (None, recorded));
    assert_shown(&client, &step);
    has_failed
}

/// Returns whether an error says what happened and what to do. The first call writes; a sync that fails does not say
/// whether room is missing.
fn is_clear(error: &ApiError, disk_fails: Disk, k: u64) -> bool {
    let is_full = error.kind == ApiErrorKind::StorageFull && error.message.starts_with("No room is left");
    let has_failed = error.kind == ApiErrorKind::Storage && error.message.contains("Free some space and restart");
    match disk_fails {
        Disk::IsFull => is_full || (has_failed && k > 1),
        Disk::FailsOnce | Disk::FailsForAWhile => has_failed,
    }
}

fn assert_shown(client: &Client, step: &Step) {
    let shown = client.store().get(step.kind, step.row.id).expect("the store can be read");
    assert_eq!(shown.map(|shown| shown.row).as_ref(), Some(&step.row));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_on_a_failing_disk_is_recorded_or_refused_and_never_half_done() {
    let steps = before_each_step().await;
    assert_eq!(steps.iter().map(|before| before.step).collect::<Vec<_>>(), ["answer", "sign", "complete"]);
    for before in &steps {
        for disk in [Disk::FailsOnce, Disk::FailsForAWhile, Disk::IsFull] {
            let mut calls = 0;
            for first in (1..MOST_CALLS).step_by(STRETCH as usize) {
                let came = in_parallel(first..first + STRETCH, |k| disturb(before, disk, k));
                calls += came.iter().filter(|came| **came).count();
                if came.contains(&false) {
                    break;
                }
            }
            eprintln!("{}, {disk:?}: {calls} calls", before.step);
            assert!(calls > 1, "{}, {disk:?}: the fault came only {calls} times", before.step);
        }
    }
}
