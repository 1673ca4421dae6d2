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
