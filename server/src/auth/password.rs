//! Password hashing: Argon2id, off the async threads, and never more at once than the machine can bear.

use std::sync::Arc;

use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use super::{AuthError, Secret};
use crate::world::SharedWorld;

/// Hashes computed at once. Each takes a core and 19 MiB.
const RUNNING: usize = 2;
/// Callers that may wait for their turn: about half a second of work.
const WAITING: usize = 32;
const SALT_BYTES: usize = 16;

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PasswordCost {
    /// Returns OWASP's floor for Argon2id: about 30 ms on one core.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// The outcome of checking a password.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) matches: bool,
    /// A new hash to store: the password is right, and its old hash was made at another cost.
    pub(super) rehashed: Option<String>,
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub(super) struct Passwords {
    cost: PasswordCost,
    world: SharedWorld,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new(cost: PasswordCost, world: SharedWorld) -> Self {
        let (running, admitted) = (Semaphore::new(RUNNING), Semaphore::new(RUNNING + WAITING));
        Self { cost, world, running: Arc::new(running), admitted: Arc::new(admitted) }
    }

    /// Returns the hash of a new password, in PHC format.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, AuthError> {
        let (cost, salt, password) = (self.cost, self.salt()?, password.clone());
        self.run(move || hash(cost, &salt, &password)).await?
    }

    /// Checks a password. Without a hash to compare with it costs the same time and does not match, so that the
    /// time of an answer does not tell whether an account exists.
    pub(super) async fn check(&self, password: &Secret, stored: Option<String>) -> Result<Checked, AuthError> {
        let (cost, salt, password) = (self.cost, self.salt()?, password.clone());
        self.run(move || match stored {
            Some(stored) => check(cost, &salt, &password, &stored),
            None => hash(cost, &salt, &password).map(|_| Checked { matches: false, rehashed: None }),
        })
        .await?
    }

    /// Runs `work` in its turn. Both permits travel with the work, which goes on when the caller hangs up.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| AuthError::TooBusy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| AuthError::TooBusy)?;
        tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            work()
        })
        .await
        .map_err(|_| AuthError::Internal("a password hash was not finished"))
    }

    fn salt(&self) -> Result<SaltString, AuthError> {
        let mut bytes = [0; SALT_BYTES];
        self.world.fill_random(&mut bytes);
        SaltString::encode_b64(&bytes).map_err(|_| AuthError::Internal("the salt has a wrong length"))
    }
}

fn check(cost: PasswordCost, salt: &SaltString, password: &Secret, stored: &str) -> Result<Checked, AuthError> {
    let parsed = PasswordHash::new(stored).map_err(|_| AuthError::Internal("a stored password hash is damaged"))?;
    let matches = Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok();
    let rehashed = (matches && cost_of(&parsed) != Some(cost)).then(|| hash(cost, salt, password)).transpose()?;
    Ok(Checked { matches, rehashed })
}

fn hash(cost: PasswordCost, salt: &SaltString, password: &Secret) -> Result<String, AuthError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
        .map_err(|_| AuthError::Internal("the password cost is out of range"))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = hasher.hash_password(password.expose().as_bytes(), salt);
    Ok(hash.map_err(|_| AuthError::Internal("the password could not be hashed"))?.to_string())
}

fn cost_of(hash: &PasswordHash<'_>) -> Option<PasswordCost> {
    let params = Params::try_from(hash).ok()?;
    Some(PasswordCost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::FixedWorld;
    use sync_protocol::time::Timestamp;

    const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, lanes: 1 };

    fn passwords(cost: PasswordCost) -> Passwords {
        Passwords::new(cost, Arc::new(FixedWorld::at(Timestamp(0))))
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_matches_and_is_replaced() {
        let password = Secret::new("correct horse");
        let old = passwords(CHEAP).hash(&password).await.unwrap();
        let dearer = passwords(PasswordCost { passes: 2, ..CHEAP });

        let checked = dearer.check(&password, Some(old)).await.unwrap();
        assert!(checked.matches);
        let new = checked.rehashed.expect("the cost has changed");
        assert!(new.contains("m=64,t=2,p=1"), "{new}");
        assert!(dearer.check(&password, Some(new)).await.unwrap().rehashed.is_none());
    }

    #[tokio::test]
    async fn a_wrong_password_does_not_match_and_is_not_rehashed() {
        let old = passwords(CHEAP).hash(&Secret::new("correct horse")).await.unwrap();
        let checked = passwords(PasswordCost::default()).check(&Secret::new("wrong"), Some(old)).await.unwrap();
        assert!(!checked.matches && checked.rehashed.is_none());
    }

    #[tokio::test]
    async fn beyond_the_queue_callers_are_refused_at_once() {
        let passwords = passwords(PasswordCost::default());
        let secret = Secret::new("correct horse");
        let tries = (0..RUNNING + WAITING + 5).map(|_| passwords.check(&secret, None));
        let refused = futures::future::join_all(tries).await.into_iter().filter(Result::is_err).count();
        assert_eq!(refused, 5);
    }
}
