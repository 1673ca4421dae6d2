//! Enrolment, the one thing that needs the network, and the tokens.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use sync_protocol::id::UserId;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::{Account, Store, Tokens};
use crate::sync::{Failure, TokenKeeper};

/// Signs the device in and keeps its tokens.
pub struct AccountClient {
    client: Client,
    config: Config,
    store: Arc<Store>,
}

/// What the person gives, and what the office sees of the device.
#[derive(Clone)]
pub struct Enrolment {
    /// The address used to sign in.
    pub email: String,
    /// The password. It is sent once and not kept.
    pub password: Zeroizing<String>,
    /// The name of the device: `Telefonul Mariei`.
    pub device_name: String,
    /// The model of the device.
    pub device_model: String,
}

#[derive(Serialize)]
struct EnrolBody<'b> {
    email: &'b str,
    password: &'b str,
    device: DeviceBody<'b>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceBody<'b> {
    id: Uuid,
    name: &'b str,
    model: &'b str,
    app_version: &'b str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefreshBody<'b> {
    refresh_token: &'b str,
    device_id: Uuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn {
    access_token: String,
    refresh_token: String,
    user_id: Uuid,
    programme_id: Uuid,
}

impl AccountClient {
    /// Returns a client for the accounts of a server.
    pub fn new(config: &Config, store: Arc<Store>) -> Result<Self> {
        Ok(Self { client: crate::sync::http_client(config)?, config: config.clone(), store })
    }

    /// Enrols the device for a person, or signs the person in again.
    ///
    /// A device belongs to one person: another one is refused while changes of the first are not on the server.
    pub async fn enrol(&self, enrolment: &Enrolment) -> Result<Account> {
        let body = EnrolBody {
            email: &enrolment.email,
            password: &enrolment.password,
            device: DeviceBody {
                id: self.store.device_id(),
                name: &enrolment.device_name,
                model: &enrolment.device_model,
                app_version: &self.config.app,
            },
        };
        let signed_in = match self.post("/auth/enrol", &body).await {
            Ok(signed_in) => signed_in,
            Err(Failure::Unauthorised) => return Err(Error::WrongPassword),
            Err(failure) => return Err(failure.into()),
        };
        let account = Account { user: UserId(signed_in.user_id), programme: signed_in.programme_id };
        self.check_owner(account)?;
        self.store.set_account(account, &tokens(signed_in))?;
        Ok(account)
    }

    fn check_owner(&self, account: Account) -> Result<()> {
        let owner = self.store.account()?;
        match owner {
            Some(owner) if owner != account => {
                let waiting = self.store.status()?.pending;
                let message = format!("this device belongs to another person; {waiting} changes wait to be sent");
                Err(Error::Usage(message))
            }
            _ => Ok(()),
        }
    }

    async fn refreshed(&self) -> Result<bool, Failure> {
        let storage = |error: Error| Failure::Storage(error.to_string());
        let Some(old) = self.store.tokens().map_err(storage)? else { return Ok(false) };
        let body = RefreshBody { refresh_token: &old.refresh, device_id: self.store.device_id() };
        // After a lost reply the same token is sent again: the server answers it with the same new ones.
        match self.post("/auth/refresh", &body).await {
            Ok(signed_in) => self.store.set_tokens(Some(&tokens(signed_in))).map(|()| true).map_err(storage),
            Err(Failure::Unauthorised) => self.store.set_tokens(None).map(|()| false).map_err(storage),
            Err(failure) => Err(failure),
        }
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<SignedIn, Failure> {
        let request = self.client.post(self.config.url(path)).json(body);
        let response = request.send().await.map_err(crate::sync::offline)?;
        if !response.status().is_success() {
            return Err(crate::sync::refusal(response).await);
        }
        let parsed = response.json::<SignedIn>().await;
        parsed.map_err(|error| Failure::NotOurServer(error.without_url().to_string()))
    }
}

fn tokens(signed_in: SignedIn) -> Tokens {
    Tokens { access: Zeroizing::new(signed_in.access_token), refresh: Zeroizing::new(signed_in.refresh_token) }
}

impl TokenKeeper for AccountClient {
    fn refresh(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        self.refreshed().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::FixedKeyProvider;
    use crate::store::{AcceptAll, StoreOptions};
    use crate::world::SystemWorld;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Starts a server that gives these answers, one for each connection, and returns its address.
    async fn server(answers: Vec<(&'static str, String)>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4_096];
                let mut length = 0;
                while !request[..length].ends_with(b"}") {
                    length += stream.read(&mut request[length..]).await.unwrap();
                }
                let head = "content-type: application/json\r\nconnection: close\r\n";
                let answer = format!("HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn signed_in(user: u128, token: &str) -> (&'static str, String) {
        let body = serde_json::json!({
            "accessToken": token, "refreshToken": format!("{token}-refresh"), "accessExpiresInS": 900,
            "userId": Uuid::from_u128(user), "programmeId": Uuid::from_u128(2), "deviceId": Uuid::from_u128(3),
        });
        ("200 OK", body.to_string())
    }

    fn refused() -> (&'static str, String) {
        ("401 Unauthorized", r#"{"code":"UNAUTHENTICATED","message":"no","hint":""}"#.to_owned())
    }

    async fn client(folder: &std::path::Path, answers: Vec<(&'static str, String)>) -> AccountClient {
        let store = Store::open(StoreOptions {
            folder: folder.to_owned(),
            keys: Arc::new(FixedKeyProvider([7; 32])),
            world: Arc::new(SystemWorld::new()),
            validator: Arc::new(AcceptAll),
            vfs: None,
            ballast_bytes: 0,
        });
        let config = Config::new(server(answers).await, folder);
        AccountClient::new(&config, Arc::new(store.unwrap())).unwrap()
    }

    fn enrolment() -> Enrolment {
        Enrolment {
            email: "maria@example.org".to_owned(),
            password: Zeroizing::new("parola".to_owned()),
            device_name: "Telefonul Mariei".to_owned(),
            device_model: "A54".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_enrolled_device_gets_new_tokens_until_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let answers = vec![signed_in(1, "first"), signed_in(1, "second"), refused()];
        let client = client(folder.path(), answers).await;
        let account = client.enrol(&enrolment()).await.unwrap();
        assert_eq!(account.user, UserId(Uuid::from_u128(1)));
        assert_eq!(client.refresh().await, Ok(true));
        assert_eq!(client.store.tokens().unwrap().unwrap().access.as_str(), "second");
        assert_eq!(client.refresh().await, Ok(false));
        assert!(client.store.tokens().unwrap().is_none());
        assert_eq!(client.store.account().unwrap(), Some(account), "local work stopped");
    }

    #[tokio::test]
    async fn a_wrong_password_and_another_person_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let client = client(folder.path(), vec![refused(), signed_in(1, "first"), signed_in(9, "other")]).await;
        assert!(matches!(client.enrol(&enrolment()).await, Err(Error::WrongPassword)));
        assert!(client.store.account().unwrap().is_none());
        client.enrol(&enrolment()).await.unwrap();
        assert!(matches!(client.enrol(&enrolment()).await, Err(Error::Usage(_))));
        assert_eq!(client.store.tokens().unwrap().unwrap().access.as_str(), "first");
    }
}
