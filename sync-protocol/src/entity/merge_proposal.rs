use uuid::Uuid;

use super::{EntityKind, HeldContent, entity};
use crate::code::MergeState;
use crate::id::{MergeProposalId, UserId};
use crate::time::Timestamp;

entity! {
    /// Two rows that may be one, registered by people who did not know of each other. A person decides. Once they are
    /// merged, this is the alias: `alias_id` stands for `survivor_id`, also in changes that come later.
    MergeProposal("merge_proposal", MergeProposalId) scope(Scope("subject_scope_id")) from(Server) {
        /// The scope of the two rows.
        subject_scope_id: Uuid [indexed immutable],
        /// The kind of the two rows.
        subject_kind: String [max(40) immutable],
        /// The row with the smaller identifier: mostly the one that was registered first.
        first_id: Uuid [indexed immutable],
        /// The other row.
        second_id: Uuid [indexed immutable],
        /// The fields in which they agree.
        matched_fields: Vec<String>,
        /// When the server noticed.
        detected_at: Timestamp [indexed immutable],
        /// The state.
        state: MergeState [indexed],
        /// The row that was merged into the other one, and is gone.
        alias_id: Option<Uuid> [indexed],
        /// The row that stays, and for which `alias_id` stands.
        survivor_id: Option<Uuid> [indexed],
        /// The values that the merged row had, without special categories.
        merged_content: Option<HeldContent>,
        /// Who decided.
        decided_by: Option<UserId> [to(EntityKind::User)],
        /// When.
        decided_at: Option<Timestamp>,
        /// What that person said about it.
        decision_note: Option<String> [max(1000)],
    }
}
