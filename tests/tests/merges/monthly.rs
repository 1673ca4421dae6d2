//! The months of two records that are merged.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_each_month_of_two_merged_records_there_is_one_and_no_hour_is_lost() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    let hours = |hours, month| MonthlyJobStatus { hours_worked: Some(hours), ..month };
    for month_on in ["2024-02-01", "2024-03-01", "2024-04-01"] {
        scene.ana.create(&month(&first, month_on));
    }
    let both = month(&second, "2024-02-01");
    let differs = hours(60, month(&second, "2024-03-01"));
    let alone = hours(70, month(&second, "2024-05-01"));
    for month in [&both, &differs, &alone] {
        scene.radu.create(month);
    }
    scene.ana.sync().await;
    scene.radu.sync().await;
    // On its way while the office merges: a correction of a month that both have, and one that nobody else has.
    let seen = |id: MonthlyJobStatusId| scene.radu.cache.rows[&(EntityKind::MonthlyJobStatus, id.0)].seq;
    let (of_both, of_alone) = (seen(both.id), seen(alone.id));
    scene.radu.change(&both, &hours(50, both.clone()), of_both);
    let corrected = scene.radu.change(&alone, &hours(75, alone.clone()), of_alone);
    let late = scene.radu.create(&hours(40, month(&second, "2024-04-01")));
    let fresh = scene.radu.create(&month(&second, "2024-06-01"));
    let fresh_corrected = scene.radu.change(&month(&second, "2024-06-01"), &hours(99, month(&second, "2024-06-01")), 0);
    let merged = scene.accept(&proposal, &first).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "{merged}");
    let answer = scene.radu.sync().await;
    assert_eq!((answer.outcome(corrected), answer.outcome(late)), (Outcome::Merged, Outcome::Conflict));
    assert_eq!([fresh, fresh_corrected].map(|no| answer.result(no)), [None; 2]);
    scene.ana.sync().await;

    let of_first = |hours_worked, month_on| hours(hours_worked, month(&first, month_on));
    for device in [&scene.ana, &scene.radu] {
        let shown = months(device);
        let ids: Vec<_> = shown.iter().map(|month| (month.id, month.employment_id)).collect();
        let names = ["2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01", "2024-06-01"];
        assert_eq!(ids, names.map(|name| (month(&first, name).id, first.id)), "one row for each month");
        assert_eq!(shown[3], of_first(75, "2024-05-01"), "it goes on under the record that stays");
        assert_eq!(shown[4], of_first(99, "2024-06-01"));
        assert_eq!(shown[1], of_first(100, "2024-03-01"));
        assert_eq!(other_hours(device, &shown[1]), [Some("60".to_owned())]);
        let either = [shown[2].hours_worked.map(|hours| hours.to_string()), other_hours(device, &shown[2])[0].clone()];
        assert!(either.contains(&Some("40".to_owned())) && either.contains(&Some("100".to_owned())), "{either:?}");
        assert_eq!((shown[0].hours_worked, other_hours(device, &shown[0])), (Some(50), vec![]), "they were equal");
    }
    let open = scene.ana.cache.all::<Conflict>().into_iter().find(|conflict| conflict.subject_id == differs_in(&first));
    let input = json!({ "conflictId": open.unwrap().id, "takesOther": true });
    scene.office.perform("resolveConflict", "conflict { state }", input).await;
    scene.radu.sync().await;
    assert_eq!(months(&scene.radu)[1].hours_worked, Some(60));
    // What still names a month by its old name goes to the one that stands.
    let seen = scene.radu.cache.cursor.seq;
    let no = scene.radu.change(&differs, &MonthlyJobStatus { is_wage_paid: Some(true), ..differs.clone() }, seen);
    scene.radu.sync().await;
    assert_eq!(
        scene.radu.cache.get::<MonthlyJobStatus>(month(&first, "2024-03-01").id).unwrap().is_wage_paid,
        Some(true)
    );
    assert_eq!(number(scene.db(), &format!("SELECT count(*) FROM held_item WHERE mutation_no = {no}")).await, 0);
}

fn differs_in(first: &Employment) -> Uuid {
    month(first, "2024-03-01").id.0
}

#[tokio::test(flavor = "multi_thread")]
async fn two_months_that_come_after_the_merge_end_alike_in_either_order() {
    let mut endings = Vec::new();
    for radu_is_first in [false, true] {
        let mut scene = Scene::new().await;
        (scene.ana.id.0, scene.radu.id.0) = (scene.ana.id.0.min(scene.radu.id.0), scene.ana.id.0.max(scene.radu.id.0));
        let (first, second, proposal) = scene.registered_twice().await;
        scene.ana.create(&month(&first, "2024-03-01"));
        scene.radu.create(&MonthlyJobStatus { hours_worked: Some(60), ..month(&second, "2024-03-01") });
        scene.accept(&proposal, &first).await;
        let Scene { ana, radu, .. } = &mut scene;
        let mut order = [ana, radu];
        if radu_is_first {
            order.reverse();
        }
        for device in order {
            device.sync().await;
        }
        scene.ana.sync().await;
        scene.radu.sync().await;
        let shown = months(&scene.ana);
        assert_eq!(months(&scene.radu), shown);
        assert_eq!(shown.len(), 1, "{shown:?}");
        let names = "SELECT alias_id || ' ' || survivor_id || ' ' || decided_by FROM merge_proposal WHERE subject_kind = 'monthly_job_status'";
        let march = month(&second, "2024-03-01").id;
        assert_eq!(texts(scene.db(), names).await, [format!("{march} {} {CARMEN}", shown[0].id)]);
        endings.push((shown[0].clone(), other_hours(&scene.ana, &shown[0])));
    }
    assert_eq!(endings[0], endings[1]);
    assert_eq!(endings[0].1.len(), 1, "the other one is kept beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_was_booked_late_stays_in_its_period_and_a_later_one_waits() {
    let mut scene = Scene::new().await;
    let (first, second, proposal) = scene.registered_twice().await;
    programme::load_officer(&scene.server.app).await;
    let locked = programme::period(1, day("2024-03-01"), day("2024-03-31"));
    let open = programme::period(2, day("2024-04-01"), day("2024-06-30"));
    programme::import(scene.db(), &[locked.clone(), open]).await;
    let officer = Office::sign_in(scene.server.address, &email(OFFICER), PASSWORD).await;
    officer.perform("lockPeriod", "reportingPeriod { state }", json!({ "periodId": locked.id })).await;
    let approve = async |scene: &Scene| {
        let held =
            scene.office.ask("{ heldItems(first: 9, filter: { state: { eq: HELD } }) { nodes { id } } }", json!({}));
        let input = json!({ "heldItemId": held.await["heldItems"]["nodes"][0]["id"] });
        let approved = scene.office.perform("approveHeld", "heldItem { state }", input).await;
        assert_eq!(approved["heldItem"]["state"], "APPLIED", "{approved}");
    };
    let no = scene.radu.create(&month(&second, "2024-03-01"));
    assert_eq!(scene.radu.sync().await.code(no), "HELD_PERIOD_LOCKED");
    approve(&scene).await;
    let merged = scene.accept(&proposal, &first).await;
    assert_eq!(merged["mergeProposal"]["state"], "MERGED", "it counts in an open period: {merged}");
    let booked = "SELECT subject_id || ' ' || original_period_id FROM late_adjustment ORDER BY approved_at";
    let of_march = format!("{} {}", month(&first, "2024-03-01").id, locked.id);
    assert_eq!(texts(scene.db(), booked).await, std::slice::from_ref(&of_march));

    let locked = programme::period(3, day("2024-02-01"), day("2024-02-29"));
    programme::import(scene.db(), std::slice::from_ref(&locked)).await;
    officer.perform("lockPeriod", "reportingPeriod { state }", json!({ "periodId": locked.id })).await;
    let no = scene.radu.create(&month(&second, "2024-02-01"));
    assert_eq!(scene.radu.sync().await.code(no), "HELD_PERIOD_LOCKED");
    approve(&scene).await;
    let of_february = format!("{} {}", month(&first, "2024-02-01").id, locked.id);
    assert_eq!(texts(scene.db(), booked).await, [of_march, of_february]);
    scene.radu.sync().await;
    assert_eq!(months(&scene.radu), [month(&first, "2024-02-01"), month(&first, "2024-03-01")]);
}
