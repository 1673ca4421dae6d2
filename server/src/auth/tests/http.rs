//! The same over a real HTTP connection.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

async fn serve(bench: &Bench) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = crate::auth::routes::routes(bench.auth.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn post_raw(to: std::net::SocketAddr, path: &str, content_type: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: teren\r\nconnection: close\r\nx-request-id: r-17\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

async fn post(to: std::net::SocketAddr, path: &str, body: Value) -> Answer {
    post_raw(to, path, "application/json", &body.to_string()).await
}

#[tokio::test]
async fn a_phone_enrols_refreshes_and_logs_out() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    let id = phone().id;
    let device = json!({"id": id, "name": "Ana's phone", "model": "A-1", "appVersion": "1.0.0"});
    let enrolled = post(to, "/auth/enrol", json!({"email": EMAIL, "password": PASSWORD, "device": device})).await;
    assert_eq!(enrolled.status, 200);
    assert_eq!(enrolled.body["deviceId"], json!(id));
    assert_eq!(enrolled.body["userId"], json!(USER));
    assert_eq!(enrolled.body["accessExpiresInS"], 600);
    assert!(enrolled.head.contains("cache-control: no-store"), "{}", enrolled.head);

    let refresh = json!({"refreshToken": enrolled.body["refreshToken"], "deviceId": id});
    let refreshed = post(to, "/auth/refresh", refresh).await;
    assert_eq!(refreshed.status, 200);
    let logout = json!({"refreshToken": refreshed.body["refreshToken"]});
    assert_eq!(post(to, "/auth/logout", logout).await.status, 204);
    let refresh = json!({"refreshToken": refreshed.body["refreshToken"], "deviceId": id});
    let refused = post(to, "/auth/refresh", refresh).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("SESSION_REVOKED")));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_get_the_same_answer() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    let wrong = post(to, "/auth/login", json!({"email": EMAIL, "password": "wrong password"})).await;
    let unknown = post(to, "/auth/login", json!({"email": "no@example.org", "password": PASSWORD})).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.body["code"], "UNAUTHENTICATED");
    assert_eq!(wrong.body["requestId"], "r-17");
    assert_eq!((wrong.status, wrong.body), (unknown.status, unknown.body));
}

#[tokio::test]
async fn a_locked_account_says_when_to_come_back() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    for _ in 0..10 {
        post(to, "/auth/login", json!({"email": EMAIL, "password": "wrong password"})).await;
    }
    let locked = post(to, "/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await;
    assert_eq!((locked.status, &locked.body["code"]), (429, &json!("ACCOUNT_LOCKED")));
    assert_eq!(locked.body["retryAfterS"], 60);
    assert!(locked.head.contains("retry-after: 60"), "{}", locked.head);
}

#[tokio::test]
async fn a_device_to_be_wiped_is_told_so_when_it_refreshes() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    let token = bench.enrol().await.refresh_token;
    bench.auth.set_device_status(PROGRAMME, phone().id, set(DeviceStatus::WipeRequested)).await.unwrap();
    let refresh = json!({"refreshToken": token.expose(), "deviceId": phone().id});
    let refused = post(to, "/auth/refresh", refresh).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("DEVICE_REVOKED")));
    assert_eq!(refused.body["deviceStatus"], "WIPE_REQUESTED");
}

#[tokio::test]
async fn a_body_of_the_wrong_kind_size_or_shape_is_refused_without_repeating_it() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    let right = json!({"email": EMAIL, "password": PASSWORD}).to_string();
    assert_eq!(post_raw(to, "/auth/login", "text/plain", &right).await.status, 415);
    let large = json!({"email": EMAIL, "password": "x".repeat(17_000)});
    assert_eq!(post(to, "/auth/login", large).await.status, 413);
    let odd = post(to, "/auth/login", json!({"email": EMAIL, "password": 31_337})).await;
    assert_eq!((odd.status, &odd.body["code"]), (400, &json!("BAD_REQUEST")));
    assert!(!odd.body.to_string().contains("31337"), "{}", odd.body);
}

#[tokio::test]
async fn a_lost_database_is_unavailable_and_says_nothing_about_it() {
    let bench = Bench::start().await;
    let to = serve(&bench).await;
    bench.db.conn().await.unwrap().batch("ALTER TABLE account RENAME TO elsewhere").await.unwrap();
    let failed = post(to, "/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await;
    assert_eq!((failed.status, &failed.body["code"]), (503, &json!("UNAVAILABLE")));
    assert!(!failed.body.to_string().contains("account"), "{}", failed.body);
}
