//! Registering is found to be twice whoever comes at once, and costs nobody else a step.

use std::sync::{Arc, Mutex};

use server::store::StoreError;
use server::sync::Caller;
use sync_protocol::wire::Message;
use tests::crash_points::{Hook, Point, Stepped, answer};
use tests::request_body;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_phones_that_register_it_at_once_the_second_one_sees_the_first() {
    let mut scene = Scene::new().await;
    for round in 0..20 {
        let start_on = day("2024-02-01").plus_days(round);
        let named = |id, by| Employment { start_on, holder_name: format!("Om {round}"), ..scene.job(id, by) };
        let id = 100 + 2 * round as u128;
        let (one, other) = (named(id, ANA), named(id + 1, RADU));
        let ended = |job: Employment| {
            let (end_on, end_reason) = (Some(start_on), Some(sync_protocol::code::EndReason::EndOfTerm));
            Employment { end_on, end_reason, status: EmploymentStatus::Ended, ..job }
        };
        scene.ana.create(&ended(one));
        scene.radu.create(&ended(other));
        tokio::join!(scene.ana.sync(), scene.radu.sync());
    }
    assert_eq!(number(scene.db(), "SELECT count(*) FROM employment").await, 40);
    assert_eq!(number(scene.db(), "SELECT count(*) FROM merge_proposal WHERE state = 'OPEN'").await, 20);
}

/// Counts the steps of a push.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Vec<&'static str>>>);

impl Hook for Steps {
    async fn at(&self, point: Point) -> Result<(), StoreError> {
        if let Point::Before(step) = point {
            self.0.lock().unwrap().push(step);
        }
        Ok(())
    }
}

/// Returns the steps of the store by which it takes what a device has to send.
async fn steps_of(scene: &mut Scene) -> Vec<&'static str> {
    let (device, hook) = (&mut scene.ana, Steps::default());
    let first = device.confirmed + 1;
    let push = Message::Push(device.push(first, device.outbox.len() as u64));
    let store = Stepped { store: scene.server.app.sync.clone(), hook: hook.clone() };
    let caller = Caller { programme: PROGRAMME, user: ANA.0, session: Uuid::nil() };
    answer(store, caller, &request_body(device.hello(), &[push])).await;
    device.sync().await;
    std::mem::take(&mut hook.0.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_registers_what_could_be_registered_twice_looks_for_it_and_in_two_steps_for_all() {
    let mut scene = Scene::new().await;
    let visit = sample::visit(ENTERPRISES[0], ANA);
    scene.ana.create(&visit);
    for at in 0..50 {
        scene.ana.create(&sample::finding(&visit, &format!("constatarea {at}")));
    }
    let ordinary = steps_of(&mut scene).await;
    assert!(!ordinary.iter().any(|step| ["lock_scopes", "children"].contains(step)), "{ordinary:?}");
    let named = |at: usize| Position { code: format!("P-1{at:02}"), ..sample::position(ENTERPRISES[0]) };
    for at in 0..50 {
        scene.ana.create(&named(at));
    }
    let registering = steps_of(&mut scene).await;
    let count = |step: &str| registering.iter().filter(|known| **known == step).count();
    assert_eq!((count("lock_scopes"), count("children")), (1, 1), "{registering:?}");
}
