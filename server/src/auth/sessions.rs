//! Sessions: opened, refreshed, checked at every request, and ended.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::rotation::{self, Decision};
use super::token::{Token, random_key};
use super::{AuthError, AuthService, DeviceStatus, Identity, Secret, SignedIn, StatusChange};
use crate::store::accounts::session::{self, RefreshState, RevokeReason, Session, SessionsOf};
use crate::store::accounts::{self, Account, device};
use crate::store::{Conn, Db, Tx};

impl AuthService {
    /// Says who holds an access token. One statement, or none when the same was asked seconds ago.
    pub async fn authenticate(&self, access_token: &str) -> Result<Identity, AuthError> {
        self.authenticate_on(&self.db, access_token).await
    }

    /// The same for the token of a phone.
    pub async fn authenticate_phone(&self, access_token: &str) -> Result<Identity, AuthError> {
        self.authenticate_on(&self.phones, access_token).await
    }

    async fn authenticate_on(&self, db: &Db, access_token: &str) -> Result<Identity, AuthError> {
        let hash = Token::parse(access_token).ok_or(AuthError::Unauthenticated)?.hash();
        let now = self.world.now();
        let asked = match self.cache.get(&hash, now) {
            Ok(identity) => return Ok(identity),
            Err(asked) => asked,
        };
        let found = session::by_access(&mut db.conn().await?, &hash).await?;
        let (session, expires_at) = found.ok_or(AuthError::Unauthenticated)?;
        rotation::check_open(&session)?;
        if now >= expires_at {
            return Err(AuthError::Unauthenticated);
        }
        let identity = identity_of(&session);
        let until = expires_at.min(now.plus_ms(self.limits.cache_ms));
        self.cache.put(asked, hash, identity.clone(), now, until);
        Ok(identity)
    }

    /// Exchanges a refresh token for its successor and a new access token. A repeated exchange gives the same
    /// successor until that has been used; a copied token ends the session (see `rotation.rs`).
    pub async fn refresh(&self, refresh_token: &str, device_id: Option<Uuid>) -> Result<SignedIn, AuthError> {
        let token = Token::parse(refresh_token).ok_or(AuthError::Unauthenticated)?;
        let db = if device_id.is_some() { &self.phones } else { &self.db };
        let (mut tx, _) = lock_session(db, &token).await?;
        let state = session::by_refresh(&mut tx, &token.hash()).await?.ok_or(AuthError::Unauthenticated)?;
        let now = self.world.now();
        match rotation::decide(&state, device_id, now, &self.limits) {
            Decision::Rotate => self.rotate(tx, &token, &state, now).await,
            Decision::Repeat => self.repeat(tx, &token, &state, now).await,
            Decision::Revoke(reason) => {
                self.end_session(tx, state.session.id, reason).await?;
                tracing::warn!(session_id = %state.session.id, reason = reason.code(), "refresh token in two hands");
                Err(AuthError::SessionRevoked)
            }
            Decision::Refuse(error) => {
                tx.rollback().await?;
                Err(error)
            }
        }
    }

    /// Ends the session of a refresh token; a session that has ended already stays so.
    pub async fn logout(&self, refresh_token: &str) -> Result<(), AuthError> {
        let token = Token::parse(refresh_token).ok_or(AuthError::Unauthenticated)?;
        let (tx, session_id) = lock_session(&self.db, &token).await?;
        self.end_session(tx, session_id, RevokeReason::Logout).await
    }

    /// Sets the status of a phone of the programme; every status but `Active` ends its sessions. Returns whether
    /// there is such a phone.
    pub async fn set_device_status(
        &self,
        programme_id: Uuid,
        device_id: Uuid,
        change: StatusChange,
    ) -> Result<bool, AuthError> {
        let now = self.world.now();
        let mut tx = self.db.conn().await?.write_tx().await?;
        let found = device::set_status(&mut tx, programme_id, device_id, &change, now).await?;
        if found && change.status != DeviceStatus::Active {
            session::revoke(&mut tx, SessionsOf::Device(device_id), RevokeReason::DeviceRevoked, now).await?;
        }
        tx.commit().await?;
        self.cache.evict(|identity| identity.device_id == Some(device_id));
        Ok(found)
    }

    /// Deletes what has no more use: expired sessions with their tokens, and forgotten failures. Returns how many
    /// rows went, not counting tokens.
    pub async fn purge(&self) -> Result<usize, AuthError> {
        let now = self.world.now();
        let mut conn = self.db.conn().await?;
        let sessions = session::delete_expired(&mut conn, now).await?;
        let forgotten_before = now.plus_ms(-self.limits.forget_failures_after_ms);
        Ok(sessions + accounts::forget_old_failures(&mut conn, forgotten_before).await?)
    }

    /// Writes a new session with its first tokens.
    pub(super) async fn open_session(
        &self,
        conn: &mut Conn,
        account: &Account,
        device_id: Option<Uuid>,
    ) -> Result<SignedIn, AuthError> {
        let now = self.world.now();
        let session = Session {
            id: self.world.new_id(),
            programme_id: account.programme_id,
            user_id: account.user_id,
            device_id,
            expires_at: now.plus_ms(self.limits.session_max_ms),
            is_revoked: false,
            is_account_active: true,
            device_status: device_id.map(|_| DeviceStatus::Active),
        };
        session::insert(conn, &session, &random_key(&*self.world), now).await?;
        let refresh_token = Token::random(&*self.world);
        session::insert_refresh(conn, session.id, 0, &refresh_token.hash(), now).await?;
        self.issue(conn, &session, refresh_token.secret(), now).await
    }

    async fn rotate(
        &self,
        mut tx: Tx,
        token: &Token,
        state: &RefreshState,
        now: Timestamp,
    ) -> Result<SignedIn, AuthError> {
        let next = token.successor(&state.rotation_key);
        session::use_refresh(&mut tx, &token.hash(), now).await?;
        session::insert_refresh(&mut tx, state.session.id, state.generation + 1, &next.hash(), now).await?;
        self.finish_refresh(tx, &state.session, next.secret(), now).await
    }

    async fn repeat(
        &self,
        mut tx: Tx,
        token: &Token,
        state: &RefreshState,
        now: Timestamp,
    ) -> Result<SignedIn, AuthError> {
        session::reissue_refresh(&mut tx, state.session.id, state.generation + 1, now).await?;
        self.finish_refresh(tx, &state.session, token.successor(&state.rotation_key).secret(), now).await
    }

    async fn finish_refresh(
        &self,
        mut tx: Tx,
        session: &Session,
        refresh_token: Secret,
        now: Timestamp,
    ) -> Result<SignedIn, AuthError> {
        if let Some(device_id) = session.device_id {
            device::seen(&mut tx, device_id, now).await?;
        }
        let signed_in = self.issue(&mut tx, session, refresh_token, now).await?;
        tx.commit().await?;
        Ok(signed_in)
    }

    /// Adds an access token to a session and returns both tokens.
    async fn issue(
        &self,
        conn: &mut Conn,
        session: &Session,
        refresh_token: Secret,
        now: Timestamp,
    ) -> Result<SignedIn, AuthError> {
        let access_token = Token::random(&*self.world);
        let access_expires_at = now.plus_ms(self.limits.access_ttl_ms).min(session.expires_at);
        session::insert_access(conn, session.id, &access_token.hash(), access_expires_at, now).await?;
        Ok(SignedIn {
            identity: identity_of(session),
            access_token: access_token.secret(),
            access_expires_at,
            refresh_token,
            refresh_expires_at: rotation::expiry(now, session, &self.limits),
        })
    }

    async fn end_session(&self, mut tx: Tx, session_id: Uuid, reason: RevokeReason) -> Result<(), AuthError> {
        session::revoke(&mut tx, SessionsOf::Session(session_id), reason, self.world.now()).await?;
        tx.commit().await?;
        self.cache.evict(|identity| identity.session_id == session_id);
        Ok(())
    }
}

/// Begins a transaction that holds the session of a refresh token.
async fn lock_session(db: &Db, token: &Token) -> Result<(Tx, Uuid), AuthError> {
    let mut tx = db.conn().await?.write_tx().await?;
    match session::lock_by_refresh(&mut tx, &token.hash()).await? {
        Some(session_id) => Ok((tx, session_id)),
        None => {
            // Dropped instead, the transaction would cost its connection: a price that any sender of made-up
            // tokens could exact.
            tx.rollback().await?;
            Err(AuthError::Unauthenticated)
        }
    }
}

fn identity_of(session: &Session) -> Identity {
    Identity {
        user_id: session.user_id,
        programme_id: session.programme_id,
        device_id: session.device_id,
        session_id: session.id,
    }
}
