use super::{EntityKind, Place, entity};
use crate::code::{County, SitePurpose};
use crate::id::{EnterpriseId, SiteId};

entity! {
    /// A place where an enterprise works.
    Site("site", SiteId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// What the site is used for.
        purpose: SitePurpose,
        /// The county; must be in the programme's region (I12).
        county: County,
        /// The locality, by SIRUTA.
        siruta_code: String [max(8)],
        /// The name of the locality.
        locality_name: String [searched],
        /// Street and number, or how to find it.
        address: Option<String> [max(300)],
        /// Where it is.
        place: Option<Place>,
        /// Whether the locality is rural.
        is_rural: bool,
    }
}
