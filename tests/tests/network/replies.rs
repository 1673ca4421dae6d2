//! Replies that are lost after the request took effect, and requests that arrive again, now and much later.

use std::time::Duration;

use client_sdk::error::ApiError;
use client_sdk::sync::SyncReport;
use sync_protocol::entity::Finding;
use tests::{Gate, Harm, Toxic, Way};

use tokio::task::JoinHandle;

use super::{Field, Office};

const ROUNDS: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_and_repeated_requests_have_one_effect() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    field.network.keep_requests();
    let (mut swallowed, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        field.record(3);
        let harms: [Toxic; 4] = [
            Harm::SwallowReply.sometimes(0.5),
            Harm::Replay { times: 2 }.sometimes(0.5),
            Harm::TruncateReply { after_bytes: 40 * round % 900 }.sometimes(0.3),
            Harm::HalfClose { way: Way::Down, after_bytes: 30 * round % 700 }.sometimes(0.2),
        ];
        field.network.set(round, &harms);
        field.network.drop_connections().await;
        if field.phone.try_sync().await.is_err() {
            refused += 1;
            swallowed += u64::from(office.mutations_of(&field.phone).await == field.recorded);
        }
    }
    assert!(refused > ROUNDS / 4 && swallowed > ROUNDS / 8, "{refused} syncs failed, {swallowed} after the commit");
    field.network.heal();
    field.network.drop_connections().await;
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
    for _ in 0..2 {
        let statuses = field.network.replay().await;
        assert!(statuses.len() as u64 >= ROUNDS && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}

/// Where an upload is when the person changes what is being sent.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The request is on its way.
    RequestUnderWay,
    /// The server has it, and its reply is on its way.
    ReplyUnderWay,
    /// The server has it, and its reply is lost.
    ReplyLost,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_during_an_upload_is_never_marked_as_sent() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    for moment in [Moment::RequestUnderWay, Moment::ReplyUnderWay, Moment::ReplyLost] {
        let finding = field.record(20);
        let waiting = field.pending();
        let sync = start_upload(&office, &field, moment).await;
        let text = format!("Schimbată în timpul trimiterii: {moment:?}");
        field.phone.edit::<Finding>(finding, |finding| finding.text.clone_from(&text)).unwrap();
        field.recorded += 1;
        assert_eq!(field.pending(), waiting + 1, "{moment:?}");
        if matches!(moment, Moment::ReplyLost) {
            field.network.drop_connections().await;
        }
        field.network.heal();
        let outcome = sync.await.unwrap();
        assert_eq!(outcome.is_err(), matches!(moment, Moment::ReplyLost), "{moment:?}: {outcome:?}");
        field.phone.sync().await;
        let arrived = format!("SELECT count(*) FROM finding WHERE id = '{}' AND text = '{text}'", finding.0);
        assert_eq!(office.number(&arrived).await, 1, "{moment:?}: the server lacks the edit");
        office.assert_has_all_of(&field).await;
    }
}

/// Starts a sync that has come to the moment when this returns.
async fn start_upload(office: &Office, field: &Field, moment: Moment) -> JoinHandle<Result<SyncReport, ApiError>> {
    let is_request = matches!(moment, Moment::RequestUnderWay);
    let (up, down) = if is_request { (Gate::Held, Gate::Open) } else { (Gate::Open, Gate::Held) };
    field.network.set_gates(up, down);
    let phone = (*field.phone).clone();
    let sync = tokio::spawn(async move { phone.sync(None, std::future::pending()).await });
    if is_request {
        tokio::time::sleep(Duration::from_millis(300)).await;
    } else {
        while office.mutations_of(&field.phone).await < field.recorded {
            assert!(!sync.is_finished(), "the sync ended before its reply");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    sync
}
