//! Pages as they are in the file: SQLCipher 4 with a raw key, or plain.
//!
//! SQLCipher itself refuses a file whose first page is damaged, and a connection that has met a damaged page. The
//! format is fixed: AES-256-CBC, the initialisation vector and an HMAC-SHA512 over both and the number of the page
//! at its end, the salt of the HMAC's key in the first 16 bytes of the first page.

/// The size of a page, the default of SQLite and of SQLCipher.
pub(super) const PAGE_BYTES: usize = 4_096;

#[cfg(feature = "cipher")]
pub(super) use encrypted::*;
#[cfg(not(feature = "cipher"))]
pub(super) use plain::*;

#[cfg(feature = "cipher")]
mod encrypted {
    use aes::cipher::{BlockDecryptMut as _, KeyIvInit as _, block_padding::NoPadding};
    use hmac::{Hmac, Mac as _};
    use sha2::Sha512;

    use super::PAGE_BYTES;
    use crate::key::Key;

    const SALT_BYTES: usize = 16;
    const IV_BYTES: usize = 16;
    const HMAC_BYTES: usize = 64;
    /// What the cipher keeps at the end of each page.
    pub(in super::super) const RESERVED_BYTES: usize = IV_BYTES + HMAC_BYTES;
    const SALT_MASK: u8 = 0x3a;

    /// Opens the pages of one file.
    pub(in super::super) struct PageCipher {
        key: Key,
        hmac_key: [u8; 32],
    }

    impl PageCipher {
        /// Returns the cipher of the file that begins with these bytes.
        pub(in super::super) fn new(key: &Key, start: &[u8]) -> Self {
            let mut salt = [0; SALT_BYTES];
            let found = start.len().min(SALT_BYTES);
            salt[..found].copy_from_slice(&start[..found]);
            Self { key: key.clone(), hmac_key: hmac_key(key, salt.map(|byte| byte ^ SALT_MASK)) }
        }

        /// Returns a page as SQLite sees it, and whether its HMAC proves it. One that is damaged in one place is
        /// readable in the others.
        pub(in super::super) fn open(&self, number: u32, stored: &[u8]) -> (Vec<u8>, bool) {
            let from = if number == 1 { SALT_BYTES } else { 0 };
            let (text_end, iv_end) = (PAGE_BYTES - RESERVED_BYTES, PAGE_BYTES - HMAC_BYTES);
            let mut hmac = mac(&self.hmac_key);
            hmac.update(&stored[from..iv_end]);
            hmac.update(&number.to_le_bytes());
            let is_proven = hmac.verify_slice(&stored[iv_end..]).is_ok();
            let mut page = vec![0; PAGE_BYTES];
            let iv = (&stored[text_end..iv_end]).into();
            let decryptor = cbc::Decryptor::<aes::Aes256>::new((&*self.key).into(), iv);
            let text =
                decryptor.decrypt_padded_b2b_mut::<NoPadding>(&stored[from..text_end], &mut page[from..text_end]);
            let is_proven = is_proven && text.is_ok();
            (page, is_proven)
        }
    }

    /// PBKDF2 with two rounds, of which the first 32 bytes count.
    fn hmac_key(key: &Key, salt: [u8; SALT_BYTES]) -> [u8; 32] {
        let mut first = mac(&key[..]);
        first.update(&salt);
        first.update(&1_u32.to_be_bytes());
        let first = first.finalize().into_bytes();
        let mut second = mac(&key[..]);
        second.update(&first);
        let second = second.finalize().into_bytes();
        std::array::from_fn(|at| first[at] ^ second[at])
    }

    fn mac(key: &[u8]) -> Hmac<Sha512> {
        Hmac::new_from_slice(key).expect("an HMAC takes keys of any length")
    }
}

#[cfg(not(feature = "cipher"))]
mod plain {
    use crate::key::Key;

    pub(in super::super) const RESERVED_BYTES: usize = 0;

    /// Opens the pages of one file: they are as SQLite sees them, and nothing proves them.
    pub(in super::super) struct PageCipher;

    impl PageCipher {
        pub(in super::super) fn new(_: &Key, _: &[u8]) -> Self {
            Self
        }

        pub(in super::super) fn open(&self, _: u32, stored: &[u8]) -> (Vec<u8>, bool) {
            (stored.to_vec(), true)
        }
    }
}
