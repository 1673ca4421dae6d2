//! Pushes: every mutation takes effect once, whatever is sent how often.

use sync_protocol::entity::{EntityKind, Finding};
use sync_protocol::mutation::{ChainHash, Op};
use sync_protocol::wire::{Demand, Hello, Outcome, Push};
use tests::programme::{self, ANA, ENTERPRISES};
use tests::{Device, TestServer, sample, state};
use uuid::Uuid;

async fn started() -> (TestServer, Device) {
    let server = TestServer::new().await;
    programme::load(&server.app).await;
    let device = Device::enrol(server.address, ANA).await;
    (server, device)
}

/// Records a visit and findings, `count` mutations in all.
fn record(device: &mut Device, count: usize) {
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    for n in 1..count {
        device.create(&sample::finding(&visit, &format!("constatarea {n}")));
    }
}

async fn findings(server: &TestServer) -> i64 {
    state::number(&server.app.office, "SELECT count(*) FROM finding").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_ten_times_takes_effect_once_and_gets_the_same_answer() {
    let (server, mut device) = started().await;
    record(&mut device, 4);
    let first = device.send(&device.pending()).await;
    assert_eq!((first.pushed().upto_no, first.pushed().upto_hash), (4, device.hash_at(4)));
    assert_eq!(first.demand(), None);
    let head = state::head(&server.app.office).await;
    for _ in 0..9 {
        let again = device.send(&device.pending()).await;
        assert_eq!(again.pushed(), first.pushed());
    }
    assert_eq!(findings(&server).await, 3);
    assert_eq!(state::head(&server.app.office).await, head, "a retry took a number");
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM mutation").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_left_for_the_request_that_follows() {
    let (server, mut device) = started().await;
    record(&mut device, 4);
    let first = device.exchange(Hello { more: true, ..device.hello() }, &[device.push(1, 2)]).await;
    assert_eq!(first.pushed().upto_no, 2);
    assert!(first.end().is_some_and(|end| end.more) && first.scopes().is_none() && first.checkpoints().is_empty());
    let last = device.send(&[device.push(3, 4)]).await;
    assert_eq!((last.welcome().last_no, last.pushed().upto_no), (2, 4));
    assert!(last.scopes().is_some() && !last.checkpoints().is_empty());
    // Without anything to push it is an ordinary request.
    let empty = device.exchange(Hello { more: true, ..device.hello() }, &[]).await;
    assert!(!empty.checkpoints().is_empty());
    assert_eq!(findings(&server).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_that_overlap_apply_what_is_new() {
    let (server, mut device) = started().await;
    record(&mut device, 4);
    assert_eq!(device.send(&[device.push(1, 3)]).await.pushed().upto_no, 3);
    let overlapping = device.send(&[device.push(2, 4)]).await;
    assert_eq!((overlapping.demand(), overlapping.pushed().upto_no), (None, 4));
    let commits = overlapping.commits();
    assert_eq!(commits.iter().map(|c| (c.first_no, c.last_no)).collect::<Vec<_>>(), [(2, 3), (4, 4)]);
    assert!(commits[0].seq < commits[1].seq, "{commits:?}");
    assert_eq!(findings(&server).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_mutations_is_kept_in_one_line_and_each_of_them_is_still_known() {
    let (server, mut device) = started().await;
    let db = &server.app.office;
    record(&mut device, 30);
    device.send(&[device.push(1, 20)]).await;
    let overlapping = device.send(&[device.push(15, 30)]).await;
    let commits = overlapping.commits();
    assert_eq!(commits.iter().map(|c| (c.first_no, c.last_no)).collect::<Vec<_>>(), [(15, 20), (21, 30)]);
    assert!(commits.iter().all(|commit| commit.verbatim && commit.seq > 0), "{commits:?}");
    assert_eq!(device.send(&[device.push(18, 24)]).await.demand(), None, "a retry across two runs");
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation_run").await, 2);
    assert_eq!(state::number(db, "SELECT count(*) FROM mutation_line").await, 0);

    let mut fork = device.clone();
    fork.outbox.truncate(16);
    record(&mut fork, 3);
    assert_eq!(fork.send(&[fork.push(15, 19)]).await.demand(), Some(Demand::NewIncarnation));

    assert_eq!(state::number(db, "SELECT count(DISTINCT no) FROM mutation WHERE outcome = 'A'").await, 30);
    let hash: String = device.hash_at(17).0.iter().map(|byte| format!("{byte:02x}")).collect();
    let found = format!("SELECT count(*) FROM mutation WHERE no = 17 AND hash = decode('{hash}', 'hex')");
    assert_eq!(state::number(db, &found).await, 1);
    let told = "SELECT count(*) FROM mutation m JOIN finding f ON f.id = m.row_id WHERE m.kind = 16 \
                AND m.captured_at IS NOT NULL AND m.author_id = (SELECT mentor_id FROM visit)";
    assert_eq!(state::number(db, told).await, 29);
}

/// A copy of a phone that was away for long has to ask up to where both are the same, while thousands of rows wait.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_demand_asks_for_does_not_wait_for_rows() {
    let (server, mut device) = started().await;
    record(&mut device, 4);
    let gap = device.send(&[device.push(3, 4)]).await;
    assert_eq!(gap.demand(), Some(Demand::ResendFrom(1)));
    device.send(&[device.push(1, 2)]).await;
    let mut clone = device.clone();
    clone.outbox.truncate(1);
    record(&mut clone, 3);
    let fork = clone.send(&[clone.push(2, 4)]).await;
    assert_eq!(fork.demand(), Some(Demand::NewIncarnation));
    for answer in [gap, fork] {
        assert!(answer.end().is_some_and(|end| end.more));
        assert!(answer.scopes().is_none() && answer.checkpoints().is_empty());
    }
    let rest = device.send(&[device.push(3, 4)]).await;
    assert!(rest.scopes().is_some() && !rest.checkpoints().is_empty());
    assert_eq!(findings(&server).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_asked_for_and_nothing_is_written() {
    let (server, mut device) = started().await;
    record(&mut device, 4);
    device.send(&[device.push(1, 1)]).await;
    let answer = device.send(&[device.push(3, 4)]).await;
    assert_eq!((answer.demand(), answer.pushed().upto_no), (Some(Demand::ResendFrom(2)), 1));
    assert_eq!(findings(&server).await, 0);
    assert_eq!(device.send(&[device.push(2, 4)]).await.demand(), None);
    assert_eq!(findings(&server).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_with_other_content_asks_for_a_new_incarnation_and_writes_nothing() {
    let (server, mut device) = started().await;
    record(&mut device, 2);
    device.send(&device.pending()).await;
    let before = state::head(&server.app.office).await;
    let mut clone = device.clone();
    clone.outbox.truncate(1);
    record(&mut clone, 3);
    for push in [clone.push(2, 4), clone.push(3, 4), Push { prev_hash: ChainHash([7; 16]), ..clone.push(3, 3) }] {
        let answer = clone.send(&[push]).await;
        assert_eq!(answer.demand(), Some(Demand::NewIncarnation));
        assert_eq!((answer.pushed().upto_no, answer.pushed().upto_hash), (2, device.hash_at(2)));
    }
    assert_eq!(state::head(&server.app.office).await, before);
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM mutation").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incarnation_counts_from_one_again() {
    let (server, mut device) = started().await;
    record(&mut device, 2);
    device.send(&device.pending()).await;
    device.incarnation = Uuid::new_v4();
    device.outbox.clear();
    record(&mut device, 3);
    assert_eq!(device.send(&device.pending()).await.pushed().upto_no, 3);
    assert_eq!(findings(&server).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_repeats_results_of_every_kind() {
    let (server, mut device) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let good = device.create(&visit);
    let rejected = device.create(&Finding { text: String::new(), ..sample::finding(&visit, "") });
    let elsewhere = device.create(&sample::visit(ENTERPRISES[2], ANA));
    let orphan = device.create(&sample::finding(&sample::visit(ENTERPRISES[0], ANA), "fără vizită"));
    let first = device.send(&device.pending()).await;
    assert_eq!(first.outcome(good), Outcome::Applied);
    let refusal = first.result(rejected).unwrap();
    assert_eq!((refusal.code.as_str(), refusal.field.as_deref()), ("REJECT_RULE", Some("text")));
    assert!(refusal.rule.is_some() && refusal.message.is_some(), "{refusal:?}");
    assert_eq!(first.code(elsewhere), "REJECT_SCOPE");
    assert_eq!((first.outcome(orphan), first.code(orphan)), (Outcome::Held, "HELD_PARENT_MISSING"));
    for _ in 0..3 {
        assert_eq!(device.send(&device.pending()).await.pushed(), first.pushed());
    }
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM held_item").await, 1);
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM visit").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_of_one_device_at_the_same_time_take_effect_once() {
    let (server, mut device) = started().await;
    record(&mut device, 32);
    // More than the server has connections: none may wait for another while it holds one.
    let pushes: Vec<Push> = (0..32).map(|n| device.push(1, n + 1)).collect();
    let sent = pushes.iter().map(|push| device.send_until_let_in(std::slice::from_ref(push)));
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.demand(), None);
    }
    let refused = &server.app.metrics.sync.refusals.with_label_values(&["device"]);
    assert!(refused.get() > 0, "one device took more than its places in the queue");
    assert_eq!(findings(&server).await, 31);
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM mutation").await, 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_that_create_one_row_at_once_end_with_one_row_and_no_lost_value() {
    let (server, mut one) = started().await;
    let mut two = Device::enrol(server.address, ANA).await;
    for round in 0..10 {
        let visit = sample::visit(ENTERPRISES[0], ANA);
        one.create(&visit);
        one.sync().await;
        let (mine, theirs) = (sample::answer(&visit, "Q1", "unu"), sample::answer(&visit, "Q1", "doi"));
        let (a, b) = (one.create(&mine), two.create(&theirs));
        let (first, second) = futures::join!(one.sync_once(), two.sync_once());
        let mut outcomes = [first.outcome(a), second.outcome(b)];
        outcomes.sort_by_key(|outcome| *outcome == Outcome::Conflict);
        assert_eq!(outcomes, [Outcome::Applied, Outcome::Conflict], "round {round}");
        let values = format!("SELECT count(*) FROM conflict WHERE subject_id = '{}'", mine.id);
        assert_eq!(state::number(&server.app.office, &values).await, 1, "round {round}");
    }
    assert_eq!(state::number(&server.app.office, "SELECT count(*) FROM checklist_answer").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pushes_of_one_request_are_answered_in_order() {
    let (server, mut device) = started().await;
    record(&mut device, 6);
    let answer = device.send(&[device.push(1, 2), device.push(3, 4), device.push(5, 6)]).await;
    assert_eq!(answer.push_results().iter().map(|push| push.upto_no).collect::<Vec<_>>(), [2, 4, 6]);
    assert_eq!(findings(&server).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_cannot_be_read_is_kept_and_does_not_block_the_others() {
    let (server, mut device) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    device.create(&visit);
    device.outbox.push(b"from the future".to_vec());
    device.create(&sample::finding(&visit, "după"));
    let answer = device.send(&device.pending()).await;
    assert_eq!((answer.outcome(2), answer.code(2)), (Outcome::Held, "HELD_DEVICE_REVIEW"));
    assert_eq!((answer.outcome(1), answer.outcome(3)), (Outcome::Applied, Outcome::Applied));
    let kept = "SELECT count(*) FROM mutation WHERE payload = 'from the future'::bytea";
    assert_eq!(state::number(&server.app.office, kept).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_device_in_several_pushes_do_not_meet_themselves() {
    let (_server, mut device) = started().await;
    device.sync().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "întâi");
    device.create(&visit);
    device.create(&finding);
    let later = Finding { text: "apoi".to_owned(), ..finding.clone() };
    // Recorded before anything was sent: the device has not seen any version yet.
    device.change(&finding, &later, 0);
    let answer = device.send(&[device.push(1, 2), device.push(3, 3)]).await;
    assert_eq!(answer.outcome(3), Outcome::Applied, "{answer:?}");
    assert!(!answer.has_row(finding.id), "the device shows this row already");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_is_gone_already_is_no_mistake() {
    let (server, mut device) = started().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let finding = sample::finding(&visit, "greșită");
    device.create(&visit);
    device.create(&finding);
    device.record(device.draft(Op::Delete, EntityKind::Finding, finding.id.0, Vec::new()));
    device.record(device.draft(Op::Delete, EntityKind::Finding, finding.id.0, Vec::new()));
    let answer = device.send(&[device.push(1, 2), device.push(3, 4)]).await;
    assert_eq!((answer.outcome(3), answer.outcome(4)), (Outcome::Applied, Outcome::Applied), "{answer:?}");
    assert_eq!(findings(&server).await, 0);
}
