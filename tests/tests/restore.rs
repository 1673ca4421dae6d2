//! P12: a server that was restored from an older backup is noticed, and the devices bring back what it lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use server::config::Config;
use server::restore::{JUMP, MarkKeeper};
use server::store::Db;
use server::world::SystemWorld;
use sync_protocol::cursor::Cursor;
use sync_protocol::entity::{EntityKind, Finding};
use sync_protocol::id::FindingId;
use sync_protocol::mutation::ChainHash;
use sync_protocol::wire::{Hello, History, Outcome, Push};
use tests::programme::{ANA, ENTERPRISES, PROGRAMME, RADU};
use tests::site::{Site, assert_equal_sides, find, phone_of, start_visit};
use tests::{Device, ServerProcess, TestServer, sample, state};
use uuid::Uuid;

/// Every mutation of a device that the server keeps, by outbox and number, with its hash.
async fn mutations(db: &Db) -> BTreeMap<String, String> {
    let keys = "SELECT device_id::text || ' ' || incarnation::text || ' ' || no::text || ' ' || encode(hash, 'hex') \
                FROM mutation WHERE device_id <> '00000000-0000-0000-0000-000000000000'";
    let lines = state::texts(db, keys).await;
    let pairs = lines.iter().map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(key, hash)| (key.to_owned(), hash.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_bring_back_what_a_restored_server_lost_once_and_in_order() {
    let site = Site::new().await;
    let (mut ana, mut second, mut radu) =
        (phone_of(&site.server, ANA).await, phone_of(&site.server, ANA).await, phone_of(&site.server, RADU).await);
    let before = start_visit(&ana, 0);
    ana.sync().await;
    second.sync().await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    for phone in [&mut ana, &mut second, &mut radu] {
        phone.move_to(site.server.address);
    }
    // Lost, and acknowledged: new rows, changes of rows of the backup, changes of changes, on three phones.
    let lost = start_visit(&ana, 0);
    find(&ana, lost, "pierdută");
    ana.visits().set_gps_exception(before, "prima").unwrap();
    ana.sync().await;
    ana.visits().set_gps_exception(before, "a doua").unwrap();
    ana.sync().await;
    second.sync().await;
    second.visits().set_gps_exception(lost, "de pe al doilea telefon").unwrap();
    second.sync().await;
    let of_radu = start_visit(&radu, 2);
    radu.sync().await;
    // Lost for good: what the office did after the backup. It must vanish from the phones.
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || ' (nou)'").await;
    state::psql(&site.server.app.office, "DELETE FROM finding WHERE text = 'veche 7'").await;
    ana.sync().await;
    site.note().await;
    // After the last note, as between two ticks.
    find(&radu, of_radu, "după ultima notă");
    radu.sync().await;
    let acknowledged = mutations(&site.server.app.sync).await;
    assert!(acknowledged.len() >= 8, "{acknowledged:?}");
    // Not yet sent when the server comes back.
    find(&second, lost, "încă netrimisă");
    ana.sync().await;

    let (site, found) = site.restore(backup).await;
    let [restored] = found[..] else { panic!("{found:?}") };
    assert!(restored.programme == PROGRAMME && restored.resumed_seq >= JUMP, "{restored:?}");
    for phone in [&mut ana, &mut second, &mut radu] {
        phone.move_to(site.server.address);
    }
    for phone in [&second, &radu, &ana, &second, &radu] {
        let report = phone.sync().await;
        assert!(report.pulled_rows < 100, "a repair is no full download: {report:?}");
    }
    ana.sync().await;
    let now = mutations(&site.server.app.sync).await;
    let missing: Vec<_> = acknowledged.iter().filter(|(key, hash)| now.get(*key) != Some(*hash)).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    assert_eq!(now.len(), acknowledged.len() + 1, "one was new, and nothing came twice");
    for (phone, user) in [(&ana, ANA), (&second, ANA), (&radu, RADU)] {
        phone.sync().await;
        assert_equal_sides(&site.server, phone, user).await;
        phone.store().verify_soon().unwrap();
        assert_eq!(phone.sync().await.verified.map(|verified| verified.differing), Some(0));
    }
    let shown = ana.visits().get(before).unwrap().unwrap().data;
    assert_eq!(shown.gps_exception_reason.as_deref(), Some("a doua"), "the order of the numbers");
    let office = &site.server.app.office;
    assert_eq!(state::number(office, "SELECT count(*) FROM enterprise WHERE name LIKE '%(nou)'").await, 0);
    assert_eq!(state::number(office, "SELECT count(*) FROM finding WHERE text = 'veche 7'").await, 1);
    let conflicts = "SELECT concat_ws(' ', subject_kind, field, kept_value, other_value) FROM conflict";
    assert_eq!(state::texts(office, conflicts).await, [""; 0]);
    site.note().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_stood_before_the_backup_goes_on_as_if_nothing_had_happened() {
    let site = Site::new().await;
    let mut device = Device::enrol(site.server.address, ANA).await;
    device.sync().await;
    site.note().await;
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || '!'").await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || '?'").await;
    site.note().await;
    let (site, found) = site.restore(backup).await;
    assert_eq!(found.len(), 1);
    device.address = site.server.address;
    let earlier = vec![(Uuid::from_u128(1), 5)];
    let hello = || Hello { earlier: earlier.clone(), ..device.hello() };
    let push = Push { first_no: 1, prev_hash: ChainHash::START, mutations: vec![b"waiting".to_vec()] };
    let answer = device.exchange(hello(), &[push]).await;
    assert_eq!(answer.welcome().earlier, [(earlier[0].0, 0)], "it lost all of it");
    // What is waiting comes after that, under other numbers, and not before it.
    assert!(answer.end().unwrap().more && answer.rows().is_empty());
    let of_device = format!("SELECT count(*) FROM mutation WHERE device_id = '{}'", device.id);
    assert_eq!(state::number(&site.server.app.office, &of_device).await, 0);
    let cursor = Cursor { epoch: answer.welcome().epoch, ..device.cache.cursor };
    let answer = device.exchange(Hello { cursor, ..hello() }, &[]).await;
    assert_eq!(answer.welcome().earlier, [], "no history was left since");
    let answer = device.sync().await;
    assert_eq!((answer.welcome().history, answer.welcome().common), (History::Same, None));
    assert_eq!(device.cache.cursor.epoch, answer.welcome().epoch);
    assert_eq!(answer.rows().len(), 2, "the two enterprises that changed before the backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_cannot_repair_fetches_everything_again() {
    let site = Site::new().await;
    let mut device = Device::enrol(site.server.address, ANA).await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || '?'").await;
    device.address = site.server.address;
    device.sync().await;
    let known = device.cache.rows.len();
    site.note().await;
    let (site, _) = site.restore(backup).await;
    device.address = site.server.address;
    let first = device.sync_once().await;
    assert!(first.welcome().common.is_some() && first.rows().is_empty() && first.end().unwrap().more);
    device.sync().await;
    assert_eq!(device.cache.rows.len(), known);
}

/// The value that the person had seen is gone with the history that was left: it is not known whether it was the one
/// that is there now, so that a person has to look.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_in_a_lost_history_counts_as_concurrent() {
    let site = Site::new().await;
    let mut device = Device::enrol(site.server.address, ANA).await;
    device.sync().await;
    let finding = device.cache.all::<Finding>().remove(0);
    site.note().await;
    let (site, backup) = site.back_up().await;
    let set = format!("UPDATE finding SET text = 'de la birou, pierdut' WHERE id = '{}'", finding.id.0);
    state::psql(&site.server.app.office, &set).await;
    device.address = site.server.address;
    device.sync().await;
    let seen = device.cache.get::<Finding>(finding.id).unwrap();
    let base = device.cache.rows[&(EntityKind::Finding, finding.id.0)].seq;
    site.note().await;
    let (site, _) = site.restore(backup).await;
    device.address = site.server.address;
    let mine = Finding { text: "a mea".to_owned(), ..seen.clone() };
    let no = device.change(&seen, &mine, base);
    assert_eq!(device.send(&device.pending()).await.outcome(no), Outcome::Conflict);
    // Of her own chain the device knows what stands there.
    let again = Finding { text: "a mea, corectată".to_owned(), ..mine.clone() };
    let next = device.change(&mine, &again, base);
    assert_eq!(device.send(&device.pending()).await.outcome(next), Outcome::Applied);
    let untouched = Finding { rule_ref: Some("R1".to_owned()), ..again.clone() };
    let other = device.change(&again, &untouched, base);
    assert_eq!(device.send(&device.pending()).await.outcome(other), Outcome::Conflict);
}

/// One phone brings back a row and its later change of it in one push. Another phone had seen the row without that
/// change: both edits are kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_lost_row_meets_what_came_back_with_it() {
    let site = Site::new().await;
    let (mut ana, mut second) = (phone_of(&site.server, ANA).await, phone_of(&site.server, ANA).await);
    site.note().await;
    let (site, backup) = site.back_up().await;
    [&mut ana, &mut second].into_iter().for_each(|phone| phone.move_to(site.server.address));
    let lost = start_visit(&ana, 0);
    ana.sync().await;
    second.sync().await;
    ana.visits().set_gps_exception(lost, "prima").unwrap();
    ana.sync().await;
    second.visits().set_gps_exception(lost, "a doua").unwrap();
    second.sync().await;
    site.note().await;
    let (site, _) = site.restore(backup).await;
    for phone in [&mut ana, &mut second] {
        phone.move_to(site.server.address);
        phone.sync().await;
    }
    let values = "SELECT v.gps_exception_reason || ' ' || c.kept_value || ' ' || c.other_value FROM conflict c \
                  JOIN visit v ON v.id = c.subject_id WHERE c.field = 'gps_exception_reason'";
    let shown = state::texts(&site.server.app.office, values).await.remove(0);
    assert!(["prima", "a doua"].iter().all(|value| shown.matches(value).count() >= 1), "{shown}");
}

/// A row that its author sent and another device saw, at a server that was restored from before it.
struct Lost {
    site: Site,
    author: Device,
    other: Device,
    row: Finding,
    /// The number under which the author created it.
    put: u64,
    /// The version that the other device saw.
    base: u64,
}

impl Lost {
    async fn new() -> Self {
        let site = Site::new().await;
        let (mut author, mut other) =
            (Device::enrol(site.server.address, ANA).await, Device::enrol(site.server.address, ANA).await);
        author.sync().await;
        site.note().await;
        let (site, backup) = site.back_up().await;
        [&mut author, &mut other].into_iter().for_each(|device| device.address = site.server.address);
        let known = author.cache.all::<Finding>().remove(0);
        let row = Finding { id: FindingId(Uuid::now_v7()), text: "pierdută".to_owned(), ..known };
        let put = author.create(&row);
        author.send(&author.pending()).await;
        other.sync().await;
        let base = other.cache.rows[&(EntityKind::Finding, row.id.0)].seq;
        site.note().await;
        let (site, _) = site.restore(backup).await;
        [&mut author, &mut other].into_iter().for_each(|device| device.address = site.server.address);
        Self { site, author, other, row, put, base }
    }
}

/// The author of a row never heard that the server had it, and sends it with a later edit of it in one push to a
/// restored server. Another phone had seen the row alone: both edits are kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_lost_row_meets_what_its_author_wrote_before_the_answer_came() {
    let Lost { mut author, mut other, row, put, base, site: _site } = Lost::new().await;
    let patch = author.change(&row, &Finding { text: "a autorului".to_owned(), ..row.clone() }, 0);
    let answer = author.send(&[author.push(put, patch)]).await;
    assert_eq!([put, patch].map(|no| answer.outcome(no)), [Outcome::Applied; 2]);
    let no = other.change(&row, &Finding { text: "a altcuiva".to_owned(), ..row.clone() }, base);
    assert_eq!(other.send(&other.pending()).await.outcome(no), Outcome::Conflict);
}

/// A row and another phone's edit of it wait for the lost visit, and come up together: the edit does not count as its
/// creator's, who has not seen it.
#[tokio::test(flavor = "multi_thread")]
async fn the_creator_of_a_lost_row_has_not_seen_an_edit_that_came_up_with_it() {
    let site = Site::new().await;
    let (site, backup) = site.back_up().await;
    let (mut keeper, mut author) =
        (Device::enrol(site.server.address, ANA).await, Device::enrol(site.server.address, ANA).await);
    let mut other = Device::enrol(site.server.address, ANA).await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    let row = sample::finding(&visit, "pierdută");
    keeper.create(&visit);
    keeper.send(&keeper.pending()).await;
    author.create(&row);
    author.send(&author.pending()).await;
    other.sync().await;
    let base = other.cache.rows[&(EntityKind::Finding, row.id.0)].seq;
    site.note().await;
    let (site, _) = site.restore(backup).await;
    for device in [&mut keeper, &mut author, &mut other] {
        device.address = site.server.address;
        device.enrol_again().await;
    }
    author.send(&author.pending()).await;
    let waits = other.change(&row, &Finding { text: "a altcuiva".to_owned(), ..row.clone() }, base);
    assert_eq!(other.send(&other.pending()).await.outcome(waits), Outcome::Held);
    keeper.send(&keeper.pending()).await;
    let no = author.change(&row, &Finding { text: "a autorului".to_owned(), ..row.clone() }, 0);
    assert_eq!(author.send(&author.pending()).await.outcome(no), Outcome::Conflict);
}

/// The restored server refuses a row that it had taken before, and its author puts it right: who changes what was there
/// before has not seen that.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_lost_row_meets_the_row_as_it_was_put_right() {
    let Lost { mut author, mut other, row: lost, base, site: _site, .. } = Lost::new().await;
    author.incarnation = Uuid::now_v7();
    author.outbox.clear();
    let refused = author.create(&Finding { text: "x".repeat(2_001), ..lost.clone() });
    let put_right = author.create(&Finding { text: "corectată".to_owned(), ..lost.clone() });
    let answer = author.send(&[author.push(refused, put_right)]).await;
    assert_eq!([refused, put_right].map(|no| answer.outcome(no)), [Outcome::Rejected, Outcome::Applied]);
    let no = other.change(&lost, &Finding { text: "a altcuiva".to_owned(), ..lost.clone() }, base);
    assert_eq!(other.send(&other.pending()).await.outcome(no), Outcome::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_only_went_on_keeps_its_history_and_damaged_marks_are_refused() {
    let site = Site::new().await;
    site.note().await;
    let epoch = "SELECT epoch::text FROM programme_head";
    let before = state::texts(&site.server.app.office, epoch).await;
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || '!'").await;
    site.note().await;
    assert_eq!(state::texts(&site.server.app.office, epoch).await, before);
    // A restore that was followed by as many commits as were lost: the number is there, the history is another one.
    let rewritten = "UPDATE seal_log SET chain = decode(md5('x'), 'hex') WHERE seq = (SELECT max(seq) FROM seal_log); \
         UPDATE programme_head SET chain = decode(md5('x'), 'hex')";
    state::psql(&site.server.app.office, rewritten).await;
    let found = site.marks().check().await.unwrap();
    assert_eq!(found.len(), 1, "the chain at the mark differs");
    assert!(found[0].common_seq > 0 && found[0].common_seq < found[0].resumed_seq - JUMP, "{found:?}");
    let marks: &Path = &site.marks_path();
    std::fs::write(marks, b"not json").unwrap();
    let refused = MarkKeeper::open(&site.server.app, marks).err().unwrap().to_string();
    assert!(refused.contains("marks.json") && refused.contains("new-epoch"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_marks_an_operator_says_that_the_database_was_restored() {
    let site = Site::new().await;
    let mut ana = phone_of(&site.server, ANA).await;
    let (site, backup) = site.back_up().await;
    ana.move_to(site.server.address);
    let lost = start_visit(&ana, 0);
    ana.sync().await;
    let acknowledged = mutations(&site.server.app.sync).await;
    let mut command = ServerProcess::command(&["new-epoch"]);
    command.env("DATABASE_URL", &backup.url);
    let ended = tokio::task::spawn_blocking(move || ServerProcess::run(&mut command)).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(&PROGRAMME.to_string()), "{}", ended.stdout);
    let server = TestServer::on(backup, Config::default(), Arc::new(SystemWorld));
    let site = site.with(server);
    ana.move_to(site.server.address);
    ana.sync().await;
    assert_eq!(mutations(&site.server.app.sync).await, acknowledged);
    let visits = format!("SELECT count(*) FROM visit WHERE id = '{lost}'");
    assert_eq!(state::number(&site.server.app.office, &visits).await, 1);
    assert_equal_sides(&site.server, &ana, ANA).await;
}

/// Runs a command of the server on a database. Returns its exit code and what it printed.
async fn ran(arguments: &[&str], url: &str) -> (Option<i32>, String) {
    let mut command = ServerProcess::command(arguments);
    command.env("DATABASE_URL", url);
    let ended = tokio::task::spawn_blocking(move || ServerProcess::run(&mut command)).await.unwrap();
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_says_what_a_verified_backup_holds_and_phones_keep_only_the_rest() {
    let site = Site::new().await;
    let mut ana = phone_of(&site.server, ANA).await;
    let before = start_visit(&ana, 0);
    ana.sync().await;
    site.note().await;
    let (site, backup) = site.back_up().await;
    ana.move_to(site.server.address);
    let (code, heads) = ran(&["print-heads"], &backup.url).await;
    assert_eq!(code, Some(0), "{heads}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads.json");
    let durable = format!("SELECT durable_seq FROM programme_head WHERE programme_id = '{PROGRAMME}'");
    // Of another history: nothing is noted.
    let chain =
        state::texts(&site.server.app.office, "SELECT encode(chain, 'hex') FROM programme_head").await.remove(0);
    std::fs::write(&file, heads.replace(&chain, &"0".repeat(32))).unwrap();
    let (code, said) = ran(&["mark-durable", file.to_str().unwrap()], &site.server.db.url).await;
    assert!(code == Some(1) && said.contains("nothing is noted"), "{said}");
    assert_eq!(state::number(&site.server.app.office, &durable).await, 0);
    std::fs::write(&file, &heads).unwrap();
    let (code, said) = ran(&["mark-durable", file.to_str().unwrap()], &site.server.db.url).await;
    assert!(code == Some(0) && said.contains("safe up to"), "{said}");
    let head = state::head(&site.server.app.office).await;
    assert_eq!(state::number(&site.server.app.office, &durable).await, head);
    // The phone is told with the next news, and brings back what the backup lacks.
    state::psql(&site.server.app.office, "UPDATE enterprise SET name = name || '!'").await;
    ana.sync().await;
    let lost = start_visit(&ana, 0);
    ana.sync().await;
    let acknowledged = mutations(&site.server.app.sync).await;
    site.note().await;
    let (site, found) = site.restore(backup).await;
    assert_eq!(found.len(), 1);
    ana.move_to(site.server.address);
    ana.sync().await;
    assert_eq!(mutations(&site.server.app.sync).await, acknowledged);
    for visit in [before, lost] {
        let visits = format!("SELECT count(*) FROM visit WHERE id = '{visit}'");
        assert_eq!(state::number(&site.server.app.office, &visits).await, 1);
    }
    assert_equal_sides(&site.server, &ana, ANA).await;
}
