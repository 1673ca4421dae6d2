//! What happens to a refresh token that is presented: a decision without side effects.
//!
//! A phone that loses signal while it refreshes does not know whether the server heard it. It has token N, the
//! server has issued N+1, and it comes back with N after seconds or after weeks without a network. So long as
//! N+1 has never been used, nobody but the holder of N can have it, and N gives N+1 again: no user is logged out
//! because a reply was lost. Once N+1 has been used, its holder has moved on; whoever still presents N then holds
//! a copy, and the server cannot tell who of the two is the thief. Both lose the session, and the user signs in again.
//!
//! A time limit on the retry would add no safety: inside it a used successor already means a copy, and outside it
//! an unused one means a phone that was off line.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{AuthError, AuthLimits};
use crate::store::accounts::device::DeviceStatus;
use crate::store::accounts::session::{RefreshState, RevokeReason, Session};

/// What to do with a refresh token.
#[derive(Debug)]
pub(super) enum Decision {
    /// First use: issue the successor.
    Rotate,
    /// The first reply was lost: hand out the same successor again.
    Repeat,
    /// The token is in two hands: end the session.
    Revoke(RevokeReason),
    /// Refuse, and change nothing.
    Refuse(AuthError),
}

/// Decides about a refresh token that `device_id` presents at `now`.
pub(super) fn decide(state: &RefreshState, device_id: Option<Uuid>, now: Timestamp, limits: &AuthLimits) -> Decision {
    if let Err(refused) = check_open(&state.session) {
        return Decision::Refuse(refused);
    }
    if state.session.device_id != device_id {
        return Decision::Revoke(RevokeReason::DeviceMismatch);
    }
    if state.successor.is_some_and(|successor| successor.is_used) {
        return Decision::Revoke(RevokeReason::ReuseDetected);
    }
    // A retry counts from the lost reply, which had begun a new period.
    let issued_at = state.successor.map_or(state.issued_at, |successor| successor.issued_at);
    if now >= expiry(issued_at, &state.session, limits) {
        return Decision::Refuse(AuthError::Unauthenticated);
    }
    if state.is_used { Decision::Repeat } else { Decision::Rotate }
}

/// Returns when a refresh token that is issued now expires.
pub(super) fn expiry(issued_at: Timestamp, session: &Session, limits: &AuthLimits) -> Timestamp {
    issued_at.plus_ms(limits.refresh_idle_ms).min(session.expires_at)
}

/// Refuses a session whose device, account or self has been shut. The device comes first: its order to wipe must
/// reach the phone whatever else is wrong.
pub(super) fn check_open(session: &Session) -> Result<(), AuthError> {
    match session.device_status {
        Some(status) if status != DeviceStatus::Active => Err(AuthError::DeviceRevoked { status }),
        _ if session.is_revoked || !session.is_account_active => Err(AuthError::SessionRevoked),
        _ => Ok(()),
    }
}
