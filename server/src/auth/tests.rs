//! Accounts and sessions against a real Postgres.

mod bench;
mod http;

use std::sync::Arc;

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{AuthError, AuthLimits, AuthService, DeviceStatus, NewAccount, PasswordCost, Secret, StatusChange};
use bench::{Bench, EMAIL, PASSWORD, PROGRAMME, USER, new_account, phone};

const DAY_MS: i64 = super::DAY_MS;

/// A status as someone in the office sets it.
fn set(status: DeviceStatus) -> StatusChange {
    StatusChange { status, by: USER, reason: "lost".to_owned() }
}

#[tokio::test]
async fn a_right_password_signs_in_whatever_the_case_of_the_email() {
    let bench = Bench::start().await;
    let signed_in = bench.auth.login("  Ana@Example.ORG ", &Secret::new(PASSWORD)).await.unwrap();
    assert_eq!(signed_in.identity.user_id, USER);
    assert_eq!(signed_in.identity.programme_id, PROGRAMME);
    let asked = bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap();
    assert_eq!(asked, signed_in.identity);
}

#[tokio::test]
async fn a_known_and_an_unknown_email_are_refused_and_locked_alike() {
    let bench = Bench::start().await;
    for email in [EMAIL, "nobody@example.org"] {
        for _ in 0..10 {
            let error = bench.auth.login(email, &Secret::new("wrong password")).await.unwrap_err();
            assert!(matches!(error, AuthError::WrongCredentials), "{email}: {error:?}");
        }
        let error = bench.auth.login(email, &Secret::new(PASSWORD)).await.unwrap_err();
        assert!(matches!(error, AuthError::AccountLocked { retry_after_s: 60 }), "{email}: {error:?}");
    }
}

#[tokio::test]
async fn a_lock_ends_doubles_with_the_next_failure_and_is_forgotten_after_a_success() {
    let bench = Bench::start().await;
    for _ in 0..10 {
        bench.login("wrong password").await.unwrap_err();
    }
    bench.world.advance_ms(60_000);
    bench.login("wrong password").await.unwrap_err();
    let error = bench.login(PASSWORD).await.unwrap_err();
    assert!(matches!(error, AuthError::AccountLocked { retry_after_s: 120 }), "{error:?}");

    bench.world.advance_ms(120_000);
    bench.login(PASSWORD).await.unwrap();
    bench.login("wrong password").await.unwrap_err();
    bench.login(PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_password_is_hashed_again_at_sign_in_when_the_cost_has_changed() {
    let bench = Bench::start().await;
    let dearer = AuthLimits { password_cost: PasswordCost { passes: 3, ..bench::CHEAP }, ..AuthLimits::default() };
    let auth = AuthService::new(bench.db.clone(), bench.world.clone(), dearer);
    let statements = |before: u64| bench.db.statements() - before;

    let start = bench.db.statements();
    auth.login(EMAIL, &Secret::new(PASSWORD)).await.unwrap();
    let first = statements(start);
    let start = bench.db.statements();
    auth.login(EMAIL, &Secret::new(PASSWORD)).await.unwrap();
    assert_eq!(statements(start), first - 1, "the second sign-in has no hash to replace");
}

#[tokio::test]
async fn an_access_token_expires_by_the_clock_and_a_refresh_gives_a_new_pair() {
    let bench = Bench::start().await;
    let first = bench.enrol().await;
    bench.world.advance_ms(599_999);
    bench.auth.authenticate(first.access_token.expose()).await.unwrap();
    bench.world.advance_ms(1);
    let error = bench.auth.authenticate(first.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::Unauthenticated), "{error:?}");

    let second = bench.refresh(&first.refresh_token).await.unwrap();
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(second.identity, first.identity);
    bench.auth.authenticate(second.access_token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_is_repeated_at_once_and_weeks_later_with_the_same_refresh_token() {
    let bench = Bench::start().await;
    let first = bench.enrol().await;
    let lost = bench.refresh(&first.refresh_token).await.unwrap();
    for wait_ms in [1_000, 120_000, 5 * DAY_MS, 80 * DAY_MS, 80 * DAY_MS] {
        bench.world.advance_ms(wait_ms);
        let again = bench.refresh(&first.refresh_token).await.unwrap();
        assert_eq!(again.refresh_token, lost.refresh_token, "after {wait_ms} ms");
        bench.auth.authenticate(again.access_token.expose()).await.unwrap();
    }
    bench.refresh(&lost.refresh_token).await.unwrap();
}

#[tokio::test]
async fn refreshes_at_once_with_one_token_get_the_same_successor() {
    let bench = Bench::start().await;
    // With every connection open beforehand, the refreshes really meet.
    let open = futures::future::join_all((0..4).map(|_| bench.db.conn())).await;
    drop(open);
    for _ in 0..10 {
        let first = bench.enrol().await;
        let tries = (0..4).map(|_| bench.refresh(&first.refresh_token));
        let answers = futures::future::try_join_all(tries).await.unwrap();
        assert!(answers.iter().all(|answer| answer.refresh_token == answers[0].refresh_token));
    }
}

#[tokio::test]
async fn two_hundred_lost_replies_force_no_logout() {
    let bench = Bench::start().await;
    let mut held = bench.enrol().await.refresh_token;
    for round in 0..200 {
        // Every reply but the last of a round is lost; the phone is off line in between.
        bench.refresh(&held).await.unwrap();
        bench.world.advance_ms(if round % 50 == 0 { DAY_MS } else { 30_000 });
        held = bench.refresh(&held).await.unwrap().refresh_token;
    }
    bench.refresh(&held).await.unwrap();
}

#[tokio::test]
async fn an_old_token_after_its_successor_was_used_ends_the_session_for_both_holders() {
    let bench = Bench::start().await;
    let stolen = bench.enrol().await.refresh_token;
    let second = bench.refresh(&stolen).await.unwrap();
    let third = bench.refresh(&second.refresh_token).await.unwrap();
    bench.auth.authenticate(third.access_token.expose()).await.unwrap();

    let error = bench.refresh(&stolen).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    let error = bench.auth.authenticate(third.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    let error = bench.refresh(&third.refresh_token).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
}

#[tokio::test]
async fn a_refresh_token_from_another_device_ends_the_session() {
    let bench = Bench::start().await;
    let first = bench.enrol().await;
    for device_id in [None, Some(Uuid::from_u128(99))] {
        let error = bench.auth.refresh(first.refresh_token.expose(), device_id).await.unwrap_err();
        assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    }
    assert!(bench.refresh(&first.refresh_token).await.is_err());
}

#[tokio::test]
async fn an_unused_refresh_token_expires_after_90_days_and_any_session_after_180() {
    let bench = Bench::start().await;
    let idle = bench.enrol().await.refresh_token;
    let mut busy = bench.login(PASSWORD).await.unwrap().refresh_token;
    for _ in 0..3 {
        bench.world.advance_ms(45 * DAY_MS);
        busy = bench.auth.refresh(busy.expose(), None).await.unwrap().refresh_token;
    }
    assert!(matches!(bench.refresh(&idle).await.unwrap_err(), AuthError::Unauthenticated));
    bench.world.advance_ms(45 * DAY_MS);
    assert!(matches!(bench.auth.refresh(busy.expose(), None).await.unwrap_err(), AuthError::Unauthenticated));
    bench.world.advance_ms(1);
    assert_eq!(bench.auth.purge().await.unwrap(), 2);
}

#[tokio::test]
async fn logout_ends_the_session_and_no_other() {
    let bench = Bench::start().await;
    let (phone, browser) = (bench.enrol().await, bench.login(PASSWORD).await.unwrap());
    bench.auth.authenticate(phone.access_token.expose()).await.unwrap();
    bench.auth.logout(phone.refresh_token.expose()).await.unwrap();
    bench.auth.logout(phone.refresh_token.expose()).await.unwrap();

    let error = bench.auth.authenticate(phone.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    assert!(matches!(bench.refresh(&phone.refresh_token).await.unwrap_err(), AuthError::SessionRevoked));
    bench.auth.authenticate(browser.access_token.expose()).await.unwrap();
}

#[tokio::test]
async fn a_blocked_device_is_refused_at_its_next_request_on_every_path() {
    let bench = Bench::start().await;
    let signed_in = bench.enrol().await;
    let device_id = phone().id;
    bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap();
    assert!(!bench.auth.set_device_status(Uuid::nil(), device_id, set(DeviceStatus::Revoked)).await.unwrap());
    bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap();

    for blocked in [DeviceStatus::Suspended, DeviceStatus::Revoked, DeviceStatus::WipeRequested, DeviceStatus::Wiped] {
        assert!(bench.auth.set_device_status(PROGRAMME, device_id, set(blocked)).await.unwrap());
        let refusals = [
            bench.auth.authenticate(signed_in.access_token.expose()).await.map(drop).unwrap_err(),
            bench.refresh(&signed_in.refresh_token).await.map(drop).unwrap_err(),
            bench.auth.enrol(EMAIL, &Secret::new(PASSWORD), &phone()).await.map(drop).unwrap_err(),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, AuthError::DeviceRevoked { status } if status == blocked), "{refusal:?}");
        }
    }

    bench.auth.set_device_status(PROGRAMME, device_id, set(DeviceStatus::Active)).await.unwrap();
    let error = bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "an old session stays ended: {error:?}");
    bench.enrol().await;
}

#[tokio::test]
async fn a_device_is_blocked_by_another_server_within_the_cache_time() {
    let bench = Bench::start().await;
    let other_server = AuthService::new(bench.db.clone(), bench.world.clone(), bench::limits());
    let signed_in = bench.enrol().await;
    bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap();
    other_server.set_device_status(PROGRAMME, phone().id, set(DeviceStatus::Revoked)).await.unwrap();
    bench.world.advance_ms(10_000);
    let error = bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::DeviceRevoked { .. }), "{error:?}");
}

#[tokio::test]
async fn enrolling_again_ends_the_older_session_of_the_phone_and_another_user_may_not() {
    let bench = Bench::start().await;
    let (old, browser) = (bench.enrol().await, bench.login(PASSWORD).await.unwrap());
    bench.auth.authenticate(old.access_token.expose()).await.unwrap();
    let new = bench.enrol().await;
    let error = bench.auth.authenticate(old.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    bench.auth.authenticate(new.access_token.expose()).await.unwrap();

    bench.auth.create_account(&new_account(2, "ben@example.org")).await.unwrap();
    let error = bench.auth.enrol("ben@example.org", &Secret::new(PASSWORD), &phone()).await.unwrap_err();
    assert_eq!(error.field(), Some("device.id"), "{error:?}");
    bench.auth.authenticate(new.access_token.expose()).await.unwrap();
    bench.auth.authenticate(browser.access_token.expose()).await.unwrap();
}

#[tokio::test]
async fn authenticate_is_one_statement_and_none_when_it_was_just_asked() {
    let bench = Bench::start().await;
    let token = bench.enrol().await.access_token;
    let statements_of = async |token: &str| {
        let before = bench.db.statements();
        let _ = bench.auth.authenticate(token).await;
        bench.db.statements() - before
    };
    assert_eq!(statements_of(token.expose()).await, 1);
    assert_eq!(statements_of(token.expose()).await, 0);
    bench.world.advance_ms(10_000);
    assert_eq!(statements_of(token.expose()).await, 1);
    assert_eq!(statements_of("not a token").await, 0);
}

#[tokio::test]
async fn a_disabled_account_is_refused_with_its_tokens_and_with_its_password() {
    let bench = Bench::start().await;
    let signed_in = bench.login(PASSWORD).await.unwrap();
    bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap();
    assert!(!bench.auth.disable_account(Uuid::nil(), USER).await.unwrap());
    assert!(bench.auth.disable_account(PROGRAMME, USER).await.unwrap());
    let error = bench.auth.authenticate(signed_in.access_token.expose()).await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRevoked), "{error:?}");
    assert!(matches!(bench.login(PASSWORD).await.unwrap_err(), AuthError::WrongCredentials));
}

#[tokio::test]
async fn accounts_are_ensured_once_and_an_email_is_taken_once() {
    let bench = Bench::start().await;
    let mut wanted: Vec<NewAccount> = (1..50).map(|n| new_account(n, &format!("user{n}@example.org"))).collect();
    bench.auth.ensure_accounts(&wanted).await.unwrap();
    for account in &mut wanted {
        account.password = Secret::new("another password");
    }
    bench.auth.ensure_accounts(&wanted).await.unwrap();

    bench.login(PASSWORD).await.expect("user 1 had an account already, with another e-mail");
    bench.auth.login("user49@example.org", &Secret::new(PASSWORD)).await.expect("the first password stays");
    let error = bench.auth.create_account(&new_account(99, "USER7@example.org")).await.unwrap_err();
    assert_eq!(error.field(), Some("email"), "{error:?}");
    let weak = NewAccount { password: Secret::new("short"), ..new_account(98, "cy@example.org") };
    assert_eq!(bench.auth.create_account(&weak).await.unwrap_err().field(), Some("password"));
}

#[tokio::test]
async fn refusals_cost_no_connection() {
    let bench = Bench::start().await;
    let made_up = "A".repeat(43);
    for _ in 0..3 {
        assert!(matches!(bench.auth.refresh(&made_up, None).await.unwrap_err(), AuthError::Unauthenticated));
        assert!(matches!(bench.auth.logout(&made_up).await.unwrap_err(), AuthError::Unauthenticated));
    }
    assert_eq!(bench.db.usage(), (1, 1), "after made-up refresh tokens");

    bench.enrol().await;
    bench.auth.set_device_status(PROGRAMME, phone().id, set(DeviceStatus::Revoked)).await.unwrap();
    bench.auth.enrol(EMAIL, &Secret::new(PASSWORD), &phone()).await.unwrap_err();
    assert_eq!(bench.db.usage(), (1, 1), "after the enrolment of a blocked phone");
}
