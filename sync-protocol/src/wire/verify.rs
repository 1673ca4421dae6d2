//! What is said when a device checks that it holds what the server holds.

use minicbor::{Decoder, Encoder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::is_false;
use crate::cbor::{Malformed, bounded, read_uuid, written};
use crate::digest::{Buckets, Digest, Version};

/// The digests of what the device should hold at the cursor of the last checkpoint. Kinds of rows that the person
/// may not read are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Each scope of the device with its digest.
    pub scopes: Vec<(Uuid, Digest)>,
}

/// The digests of a device's own buckets of a scope, for the server to say where it differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// The scope.
    pub scope: Uuid,
    /// The prefix of the buckets; empty for the whole scope.
    pub prefix: Vec<u8>,
    /// The buckets that hold rows.
    pub buckets: Buckets,
    /// The highest number of a kind that the device knows: rows of others do not count.
    pub kinds: u16,
    /// Whether a difference was to be expected: the server was restored, or the device was away for very long.
    /// Any other difference is a fault in one of the two programs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_expected: bool,
}

/// Where a device differs, as the answer to [`Sums`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The scope.
    pub scope: Uuid,
    /// The prefix of the buckets.
    pub prefix: Vec<u8>,
    /// The buckets that are listed here.
    pub listed: Vec<u8>,
    /// The buckets that are too large to be listed: the device sends the sums of each of them.
    pub deeper: Vec<u8>,
    /// Every row of the listed buckets.
    pub versions: Vec<Version>,
}

/// Rows that a device asks for one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// For each row: its kind number and its identifier.
    pub rows: Vec<(u16, Uuid)>,
}

/// The elements of an encoded listing; later versions append.
const LISTING_ELEMENTS: u64 = 7;

impl Listing {
    /// Writes the listing: what is alike stands together, which compresses better than row by row.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.versions.len() * 24);
        let mut out = Encoder::new(&mut bytes);
        written(out.array(LISTING_ELEMENTS));
        written(out.bytes(self.scope.as_bytes()));
        for part in [&self.prefix, &self.listed, &self.deeper] {
            written(out.bytes(part));
        }
        let identities: Vec<(u16, Uuid)> = self.versions.iter().map(|v| (v.kind, v.row_id)).collect();
        write_identities(&mut out, &identities);
        written(out.array(self.versions.len() as u64));
        for version in &self.versions {
            written(out.u64(version.seq));
        }
        bytes
    }

    /// Reads a listing.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        bounded(input.array()?, &input)?;
        let scope = read_uuid(&mut input)?;
        let mut part = || Ok::<_, Malformed>(input.bytes()?.to_vec());
        let (prefix, listed, deeper) = (part()?, part()?, part()?);
        let identities = read_identities(&mut input)?;
        if bounded(input.array()?, &input)? != identities.len() {
            return Err(Malformed("each row has a number".to_owned()));
        }
        let versions = identities.into_iter().map(|(kind, row_id)| Ok(Version { kind, row_id, seq: input.u64()? }));
        let versions = versions.collect::<Result<_, Malformed>>()?;
        Ok(Self { scope, prefix, listed, deeper, versions })
    }
}

impl Want {
    /// Writes the rows.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.rows.len() * 18);
        let mut out = Encoder::new(&mut bytes);
        written(out.array(2));
        write_identities(&mut out, &self.rows);
        bytes
    }

    /// Reads the rows.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        bounded(input.array()?, &input)?;
        Ok(Self { rows: read_identities(&mut input)? })
    }
}

fn write_identities(out: &mut crate::cbor::Writer<'_>, identities: &[(u16, Uuid)]) {
    written(out.array(identities.len() as u64));
    for (kind, _) in identities {
        written(out.u16(*kind));
    }
    let ids: Vec<u8> = identities.iter().flat_map(|(_, id)| *id.as_bytes()).collect();
    written(out.bytes(&ids));
}

fn read_identities(input: &mut Decoder<'_>) -> Result<Vec<(u16, Uuid)>, Malformed> {
    let count = bounded(input.array()?, input)?;
    let kinds = (0..count).map(|_| Ok(input.u16()?)).collect::<Result<Vec<_>, Malformed>>()?;
    let ids = input.bytes()?;
    if ids.len() != count * 16 {
        return Err(Malformed("as many identifiers as kinds are needed".to_owned()));
    }
    let ids = ids.chunks_exact(16).map(|id| Uuid::from_slice(id).unwrap_or_default());
    Ok(kinds.into_iter().zip(ids).collect())
}
