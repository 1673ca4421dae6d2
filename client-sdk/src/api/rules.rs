//! The rules of the domain, run before a change is recorded.

use parking_lot::Mutex;
use sync_protocol::code::Locale;
use sync_protocol::rule::{self, Need, Related, RuleContext, Violation};

use crate::error::{Refusal, Result};
use crate::store::{Lookup, Proposal, Validator};

/// What the rules say about a change that they accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule, such as `I20`.
    pub rule: String,
    /// The field that it is about.
    pub field: String,
    /// What to tell the person, in the person's language.
    pub message: String,
}

/// Checks changes by the shared rules and keeps the warnings of the batch that is being recorded.
pub struct Rules {
    locale: Mutex<Locale>,
    warnings: Mutex<Vec<Warning>>,
}

impl Rules {
    /// Returns the rules, whose texts are in a language.
    pub fn new(locale: Locale) -> Self {
        Self { locale: Mutex::new(locale), warnings: Mutex::default() }
    }

    pub(crate) fn locale(&self) -> Locale {
        *self.locale.lock()
    }

    pub(crate) fn set_locale(&self, locale: Locale) {
        *self.locale.lock() = locale;
    }

    /// Returns the warnings since the last call. Only to be called within a batch: batches run one at a time.
    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings.lock())
    }

    /// Returns the violation as it is shown.
    pub(crate) fn refusal(&self, violation: &Violation) -> Refusal {
        Refusal {
            rule: violation.rule.to_owned(),
            field: violation.field.to_owned(),
            message: violation.text(self.locale()),
        }
    }

    fn warning(&self, violation: &Violation) -> Warning {
        let Refusal { rule, field, message } = self.refusal(violation);
        Warning { rule, field, message }
    }
}

impl Validator for Rules {
    fn check(&self, proposal: Proposal<'_>, lookup: &dyn Lookup) -> Result<Vec<Refusal>> {
        let (hard, soft): (Vec<_>, Vec<_>) = violations(proposal, lookup)?.into_iter().partition(Violation::is_hard);
        self.warnings.lock().extend(soft.iter().map(|violation| self.warning(violation)));
        Ok(hard.iter().map(|violation| self.refusal(violation)).collect())
    }
}

/// Returns every rule that a change breaks; completes the computed fields.
pub(super) fn violations(proposal: Proposal<'_>, lookup: &dyn Lookup) -> Result<Vec<Violation>> {
    let Proposal { kind, before, after, author, now } = proposal;
    let mut related = Related::new();
    for need in rule::needs(kind, before, after) {
        match need {
            Need::Row { kind, id } => {
                if let Some(row) = lookup.row(kind, id)? {
                    related.add_row(kind, row);
                }
            }
            Need::Children { kind, field, parent } => {
                related.add_children(kind, field, parent, lookup.children(kind, field, parent)?);
            }
        }
    }
    let context = RuleContext { now, actor: author, in_office: false, related: &related };
    Ok(rule::check(kind, before, after, &context))
}
