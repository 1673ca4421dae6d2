//! Identifiers that are the same on every run: a name, not a counter, decides them.

use uuid::Uuid;

/// Makes the identifiers of one programme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    namespace: Uuid,
}

impl Ids {
    /// Returns the identifiers of the programme with this number under this seed.
    pub(super) fn of(seed: u64, project: u32) -> Self {
        Self { namespace: Uuid::new_v5(&Uuid::nil(), format!("teren-demo/{seed}/{project}").as_bytes()) }
    }

    /// Returns the identifier of the thing at `path`, such as `enterprise/012/visit/04-1`.
    ///
    /// Paths count months from the start instead of naming dates, so that they do not depend on the day of the
    /// demo.
    pub(super) fn at<I: From<Uuid>>(&self, path: &str) -> I {
        I::from(Uuid::new_v5(&self.namespace, path.as_bytes()))
    }
}
