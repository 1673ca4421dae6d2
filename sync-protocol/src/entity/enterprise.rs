use super::{EntityKind, entity};
use crate::code::{self, County, EnterpriseStatus, LegalForm};
use crate::id::{EnterpriseId, UserId};
use crate::time::Date;

entity! {
    /// A social enterprise that the programme finances.
    Enterprise("enterprise", EnterpriseId) scope(Own) from(Office) {
        /// The code that people use, such as `ENT-012`.
        code: String [max(20) indexed searched],
        /// The name.
        name: String [indexed searched],
        /// The legal form.
        legal_form: LegalForm,
        /// A social enterprise or a work-integration social enterprise.
        kind: code::EnterpriseKind [indexed],
        /// The fiscal code.
        cui: Option<String> [max(12)],
        /// When it was entered in the trade register.
        registered_on: Option<Date>,
        /// The main activity: CAEN Rev. 2, which is NACE Rev. 2.
        nace_code: String [max(6)],
        /// The county of the registered office.
        county: County [indexed],
        /// The locality of the registered office, by SIRUTA.
        siruta_code: String [max(8)],
        /// The name of that locality, for lists.
        locality_name: String [searched],
        /// The state in the programme.
        status: EnterpriseStatus [indexed],
        /// What it does for society.
        social_mission: String [max(1000) searched],
        /// Who represents it.
        representative_name: String,
        /// The mentor who visits it; `null` while nobody is assigned.
        mentor_id: Option<UserId> [to(EntityKind::User) indexed office],
    }
}
