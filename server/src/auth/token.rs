//! Tokens: 32 bytes, sent as base64url, stored as their SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Secret;
use crate::world::World;

const TOKEN_BYTES: usize = 32;

/// The SHA-256 of a token, which the database knows it by. A slow hash would add nothing: a token is not guessable.
pub(super) type TokenHash = [u8; 32];

/// An access or a refresh token.
pub(super) struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// Returns a new random token.
    pub(super) fn random(world: &dyn World) -> Self {
        Self(random_key(world))
    }

    /// Returns the token that `text` spells, or `None` when it spells none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Returns the token that follows this one in a session. It is derived, so that a retry whose first answer was
    /// lost gets the same successor although no token is stored in clear.
    pub(super) fn successor(&self, rotation_key: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(rotation_key).expect("HMAC takes a key of any length");
        mac.update(&self.0);
        Self(mac.finalize().into_bytes().into())
    }

    /// Returns the hash by which this token is stored.
    pub(super) fn hash(&self) -> TokenHash {
        Sha256::digest(self.0).into()
    }

    /// Returns the text that is sent.
    pub(super) fn secret(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Returns 32 random bytes.
pub(super) fn random_key(world: &dyn World) -> [u8; 32] {
    let mut key = [0; 32];
    world.fill_random(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_depends_on_the_key_and_on_the_token() {
        let (first, second) = (Token([1; 32]), Token([2; 32]));
        assert_eq!(first.successor(&[9; 32]).0, first.successor(&[9; 32]).0);
        assert_ne!(first.successor(&[9; 32]).0, first.successor(&[8; 32]).0);
        assert_ne!(first.successor(&[9; 32]).0, second.successor(&[9; 32]).0);
    }

    #[test]
    fn a_token_reads_back_from_its_text_and_nothing_else_reads() {
        let token = Token([7; 32]);
        assert_eq!(Token::parse(token.secret().expose()).map(|read| read.0), Some(token.0));
        for text in ["", "AAAA", "not base64!", &"A".repeat(44), &"A".repeat(100)] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
