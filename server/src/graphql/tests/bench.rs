//! The edge over its own database, asked over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value as Json, json};
use sync_protocol::entity::{EntityKind, Row};
use sync_protocol::field::Field;
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::{FieldType, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::cluster;
use crate::graphql::{AuthFailure, Caller, GraphqlState, routes};
use crate::ops::metrics::SyncSignals;
use crate::store::{Db, migrate, rows};
use crate::world::FixedWorld;

pub(super) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(super) const PROGRAMME: Uuid = Uuid::from_u128(0xA);
pub(super) const OTHER_PROGRAMME: Uuid = Uuid::from_u128(0xB);
pub(super) const COORDINATOR: Uuid = Uuid::from_u128(1);
pub(super) const MENTOR: Uuid = Uuid::from_u128(2);
pub(super) const OFFICER: Uuid = Uuid::from_u128(3);
pub(super) const ADMIN: Uuid = Uuid::from_u128(4);
pub(super) const ANALYST: Uuid = Uuid::from_u128(5);
pub(super) const FOREIGNER: Uuid = Uuid::from_u128(6);

const USERS: &[(Uuid, Uuid, &str)] = &[
    (PROGRAMME, COORDINATOR, "COORDINATOR"),
    (PROGRAMME, MENTOR, "MENTOR"),
    (PROGRAMME, OFFICER, "MONITORING_OFFICER"),
    (PROGRAMME, ADMIN, "ADMIN"),
    (PROGRAMME, ANALYST, "ANALYST"),
    (OTHER_PROGRAMME, FOREIGNER, "COORDINATOR"),
];

/// Returns the identifier of the `n`th row of a kind.
pub(super) fn id(kind: EntityKind, n: u128) -> Uuid {
    Uuid::from_u128(u128::from(kind.number()) << 32 | n)
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// The edge with its users, listening.
pub(super) struct Bench {
    pub(super) db: Db,
    pub(super) address: SocketAddr,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Json,
}

impl Answer {
    /// Returns the code of the first error.
    pub(super) fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }
}

impl Bench {
    /// Starts the edge over an empty programme with users of every kind.
    pub(super) async fn start() -> Self {
        Self::start_in(false).await
    }

    /// Starts it for development, where introspection and the page for trying queries are on.
    pub(super) async fn start_in(development: bool) -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("graphql_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = cluster::create_database(&name).await;
        migrate::migrate(&url).await.unwrap();
        let db = Db::new(&url, 4, Duration::from_secs(5)).unwrap();
        let bench = Self { address: serve(db.clone(), development).await, db };
        bench.insert_users().await;
        bench
    }

    async fn insert_users(&self) {
        for programme in [PROGRAMME, OTHER_PROGRAMME] {
            let own = USERS.iter().filter(|(of, _, _)| *of == programme);
            let users = own.map(|(_, user, role)| {
                row(
                    EntityKind::User,
                    *user,
                    &[("role", text(role)), ("is_active", Value::Bool(true)), ("locale", text("EN"))],
                )
            });
            self.insert_into(programme, EntityKind::User, users.collect()).await;
            self.insert_into(programme, EntityKind::Programme, vec![row(EntityKind::Programme, programme, &[])]).await;
        }
    }

    pub(super) async fn insert(&self, kind: EntityKind, new: Vec<Row>) {
        self.insert_into(PROGRAMME, kind, new).await;
    }

    pub(super) async fn insert_into(&self, programme: Uuid, kind: EntityKind, new: Vec<Row>) {
        let mut tx = self.db.conn().await.unwrap().write_tx().await.unwrap();
        let new: Vec<&Row> = new.iter().collect();
        rows::insert(&mut tx, programme, kind, &new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Adds `count` enterprises, numbered from 1.
    pub(super) async fn insert_enterprises(&self, count: u128) {
        let kind = EntityKind::Enterprise;
        let enterprise = |n| {
            let name = format!("Enterprise {n:03}");
            row(kind, id(kind, n), &[("code", text(&format!("ENT-{n:03}"))), ("name", text(&name))])
        };
        self.insert(kind, (1..=count).map(enterprise).collect()).await;
    }

    /// Adds `each` visits to each of `enterprises` enterprises, numbered on.
    pub(super) async fn insert_visits(&self, enterprises: u128, each: u128) {
        let visit = |n: u128| {
            let enterprise = id(EntityKind::Enterprise, n / each + 1);
            let start = Timestamp(1_750_000_000_000 + (n as i64 % 7) * 86_400_000);
            let fields = [
                ("enterprise_id", Value::Uuid(enterprise)),
                ("mentor_id", Value::Uuid(MENTOR)),
                ("actual_start_at", if n.is_multiple_of(5) { Value::Null } else { Value::Timestamp(start) }),
            ];
            row(EntityKind::Visit, id(EntityKind::Visit, n + 1), &fields)
        };
        self.insert(EntityKind::Visit, (0..enterprises * each).map(visit).collect()).await;
    }

    /// Grants an enterprise to the mentor until an instant.
    pub(super) async fn grant(&self, enterprise: Uuid, until: Option<Timestamp>) {
        let fields = [
            ("user_id", Value::Uuid(MENTOR)),
            ("scope_kind", text("ENTERPRISE")),
            ("scope_id", Value::Uuid(enterprise)),
            ("role", text("MENTOR")),
            ("valid_from_at", Value::Timestamp(Timestamp(0))),
            ("valid_until_at", until.map_or(Value::Null, Value::Timestamp)),
        ];
        let grant = row(EntityKind::ScopeGrant, Uuid::from_u128(enterprise.as_u128() + (1 << 64)), &fields);
        self.insert(EntityKind::ScopeGrant, vec![grant]).await;
    }

    /// Asks as a user and returns the data; there must be no error.
    pub(super) async fn data(&self, user: Uuid, query: &str) -> Json {
        let mut answer = self.ask(user, query, json!({})).await;
        assert_eq!(answer.body["errors"], Json::Null, "{query}");
        answer.body["data"].take()
    }

    pub(super) async fn ask(&self, user: Uuid, query: &str, variables: Json) -> Answer {
        self.post(user, &json!({ "query": query, "variables": variables }).to_string()).await
    }

    pub(super) async fn post(&self, user: Uuid, body: &str) -> Answer {
        let programme = USERS.iter().find(|(_, id, _)| *id == user).map_or(PROGRAMME, |(programme, _, _)| *programme);
        let head = format!("authorization: Bearer {programme}/{user}\r\ncontent-type: application/json");
        self.send("POST", &head, body).await
    }

    pub(super) async fn send(&self, method: &str, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} /graphql HTTP/1.1\r\nhost: teren\r\nconnection: close\r\n{head}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        // The server may answer and close before it has read a body that is too big.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let answer = String::from_utf8(bytes).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap_or(Json::Null) }
    }
}

/// A token of the bench says who it is: `programme/user`.
async fn serve(office: Db, development: bool) -> SocketAddr {
    let caller = |token: Option<String>| {
        let ids = token.as_deref().and_then(|token| token.split_once('/'));
        let (programme, user) = ids.ok_or(AuthFailure::Unauthenticated)?;
        Ok(Caller { user_id: user.parse().unwrap(), programme_id: programme.parse().unwrap() })
    };
    let state = GraphqlState {
        office,
        world: Arc::new(FixedWorld::at(NOW)),
        authenticate: Arc::new(move |token| async move { caller(token) }.boxed()),
        feed: Arc::default(),
        fleet: Arc::default(),
        device_expiry_days: 180,
        signals: SyncSignals::default(),
        block_device: Arc::new(|_| async { Ok(true) }.boxed()),
        development,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes(state)).await });
    address
}

/// Returns a row with the given values, and a plain value in every other field that may not be null.
pub(super) fn row(kind: EntityKind, id: Uuid, given: &[(&str, Value)]) -> Row {
    let value = |field: &Field| {
        let given = given.iter().find(|(name, _)| *name == field.name);
        given.map_or_else(|| plain_value(field), |(_, value)| value.clone())
    };
    Row { id, values: kind.def().fields.iter().map(value).collect() }
}

fn plain_value(field: &Field) -> Value {
    if field.nullable {
        return Value::Null;
    }
    match field.field_type {
        FieldType::Bool => Value::Bool(false),
        FieldType::Int => Value::Int(1),
        FieldType::Decimal => Value::Decimal(rust_decimal::Decimal::new(75, 2)),
        FieldType::Text => text(field.name),
        FieldType::Code => text(field.codes[0]),
        FieldType::Uuid => Value::Uuid(Uuid::from_u128(0xF00)),
        FieldType::Date => Value::Date(Date(20_000)),
        FieldType::Timestamp => Value::Timestamp(Timestamp(1_711_966_205_120)),
        FieldType::Json => Value::Json(plain_document(field).to_owned()),
    }
}

fn plain_document(field: &Field) -> &'static str {
    match field.type_name {
        "I18n" => r#"{"ro":"Vizită","en":"Visit"}"#,
        "Place" => r#"{"latitude":45.39,"longitude":22.33}"#,
        _ => r#"["a"]"#,
    }
}
