//! Something between the phone and the server changes bytes of the bodies: what is damaged is refused whole.

use client_sdk::error::ApiErrorKind;
use tests::{Harm, Way};

use super::{Field, Office};

const ROUNDS: u64 = 40;
/// A body has some hundred bytes: about every other one is damaged.
const PER_BYTE: f64 = 1.0 / 600.0;

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bodies_are_refused_whole() {
    let office = Office::open().await;
    let mut field = Field::open(office.server.address).await;
    let (mut requests, mut replies) = (0, 0);
    for round in 0..ROUNDS {
        field.record(4);
        let way = if round % 2 == 0 { Way::Up } else { Way::Down };
        field.network.set(round, &[Harm::Corrupt { way, per_byte: PER_BYTE }.into()]);
        field.network.drop_connections().await;
        let before = office.mutations_of(&field.phone).await;
        if let Err(error) = field.phone.try_sync().await {
            assert!(error.retryable(), "{way:?}: the person is told to do something: {error}");
            let arrived = office.mutations_of(&field.phone).await;
            assert!(way == Way::Down || arrived == before, "a part of a damaged request was taken");
            assert!(way == Way::Up || error.kind != ApiErrorKind::NeedsUpdate, "{error}");
            *(if way == Way::Up { &mut requests } else { &mut replies }) += 1;
        }
    }
    assert!(requests > ROUNDS / 8 && replies > ROUNDS / 8, "{requests} requests and {replies} replies were damaged");
    field.network.heal();
    field.network.drop_connections().await;
    field.phone.sync().await;
    office.assert_has_all_of(&field).await;
}
