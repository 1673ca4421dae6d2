use super::{EntityKind, Place, entity};
use crate::code::{RiskRating, VisitKind, VisitMode, VisitStatus};
use crate::field::MergePolicy;
use crate::id::{EnterpriseId, FormId, UserId, VisitId};
use crate::time::{Date, Timestamp};

entity! {
    /// A visit of a mentor to an enterprise.
    Visit("visit", VisitId) scope(Enterprise("enterprise_id")) from(Field) {
        /// The enterprise.
        enterprise_id: EnterpriseId [to(EntityKind::Enterprise) indexed immutable],
        /// The mentor who makes the visit.
        mentor_id: UserId [to(EntityKind::User) indexed],
        /// Why the visit is made.
        kind: VisitKind [indexed],
        /// How the visit is made.
        mode: VisitMode,
        /// What it is for, in words.
        purpose: Option<String> [max(500) searched],
        /// When it is planned to start.
        planned_start_at: Option<Timestamp> [indexed group("plan")],
        /// When it is planned to end.
        planned_end_at: Option<Timestamp> [group("plan")],
        /// When it started.
        actual_start_at: Option<Timestamp> [indexed group("actual")],
        /// When it ended.
        actual_end_at: Option<Timestamp> [group("actual")],
        /// The version of the form that is filled in.
        form_id: Option<FormId> [to(EntityKind::Form)],
        /// The state.
        status: VisitStatus [indexed policy(MergePolicy::State)],
        /// Where the phone was on arrival.
        arrival_place: Option<Place> [group("place")],
        /// Why there is no position; required on site without `arrival_place` (I26).
        gps_exception_reason: Option<String> [max(300) group("place")],
        /// What happened, in words.
        summary: Option<String> [max(4000) searched],
        /// The mentor's judgement.
        risk_rating: Option<RiskRating> [indexed],
        /// When the next visit is due.
        next_visit_on: Option<Date>,
        /// Kilometres driven.
        travel_km: Option<i32> [policy(MergePolicy::Max)],
        /// Who signed for the enterprise.
        signer_name: Option<String> [group("signature")],
        /// In which role.
        signer_role: Option<String> [max(100) group("signature")],
        /// When it was signed.
        signed_at: Option<Timestamp> [group("signature")],
        /// SHA-256 of the content that was signed, in hexadecimal (I27).
        signed_content_hash: Option<String> [max(64) group("signature")],
        /// Why nobody signed (I26).
        signature_refusal_note: Option<String> [max(500) group("signature")],
        /// Why the office sent the visit back.
        return_reason: Option<String> [max(1000) office group("validation")],
        /// Who validated it.
        validated_by: Option<UserId> [to(EntityKind::User) office group("validation")],
        /// When it was validated.
        validated_at: Option<Timestamp> [office group("validation")],
    }
}
