//! The form of a visit: its questions, with what was answered now and the time before.

use sync_protocol::code::{ActionStatus, AnswerType, PositionStatus, RepeatOver};
use sync_protocol::entity::{AnswerValue, ChecklistAnswer, FollowUpAction, Position, Question, Visit};
use sync_protocol::form::{self, Progress};
use sync_protocol::id::{FollowUpActionId, VisitId};
use sync_protocol::rule::{WisePreview, wise_preview};
use sync_protocol::time::Date;
use uuid::Uuid;

use super::{Visits, no_form, starts_at};
use crate::api::error::ApiResult;
use crate::api::records::{Record, Saved};
use crate::api::write::Writer;
use crate::error::{Error, Result};
use crate::store::{Direction, Query};

/// How many earlier visits are looked into for previous answers.
const PREVIOUS_VISITS: usize = 3;

/// A question as it is put during a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitQuestion {
    /// The question.
    pub question: Question,
    /// What it is about, where it is repeated.
    pub item: Option<Item>,
    /// Whether it applies, given the answers so far.
    pub is_asked: bool,
    /// What was answered during this visit.
    pub answer: Option<Record<ChecklistAnswer>>,
    /// What was answered during an earlier visit.
    pub previous: Option<AnswerValue>,
    /// For computed questions: the share of the vulnerable; `None` when nobody is employed.
    pub computed: Option<WisePreview>,
}

/// What a repeated question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The position or the action.
    pub id: Uuid,
    /// What people call it.
    pub label: String,
}

/// What is answered to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An answer of the type that the question asks for.
    Value(AnswerValue),
    /// Why there is no answer.
    NotApplicable(String),
}

impl From<AnswerValue> for Reply {
    fn from(value: AnswerValue) -> Self {
        Self::Value(value)
    }
}

impl VisitQuestion {
    /// Returns whether there is an answer or a reason.
    pub fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// Returns whether a person is to be asked now: it applies, is not computed and has no answer yet.
    pub fn is_open(&self) -> bool {
        self.is_asked && !self.is_answered() && self.question.answer_type != AnswerType::Computed
    }
}

impl Visits<'_> {
    /// Returns the questions in order, repeated ones once for each position or open action.
    pub fn questions(&self, visit: VisitId) -> ApiResult<Vec<VisitQuestion>> {
        let visit = self.0.require::<Visit>(visit)?.data;
        let given = self.0.select::<ChecklistAnswer>(&Query::new().eq("visit_id", visit.id).limit(u32::MAX))?;
        let answers: Vec<ChecklistAnswer> = given.iter().map(|answer| answer.data.clone()).collect();
        let previous = self.previous_answers(&visit)?;
        let mut sheet = Vec::new();
        for question in self.form_of(&visit)? {
            let is_asked = form::asked(&question, &answers);
            let computed = self.computed(&visit, &question)?;
            for item in self.items(&visit, &question, &answers)? {
                let about = (question.code.as_str(), item.as_ref().map(|item| item.id));
                let is_about = |answer: &ChecklistAnswer| (answer.question_code.as_str(), answer.item_id) == about;
                sheet.push(VisitQuestion {
                    answer: given.iter().find(|answer| is_about(answer)).cloned(),
                    previous: previous.iter().find(|answer| is_about(answer)).and_then(|answer| answer.value.clone()),
                    question: question.clone(),
                    item,
                    is_asked,
                    computed,
                });
            }
        }
        Ok(sheet)
    }

    /// Returns how far the form is filled in.
    pub fn progress(&self, visit: VisitId) -> ApiResult<Progress> {
        let visit = self.0.require::<Visit>(visit)?.data;
        let answers: Vec<ChecklistAnswer> = self.0.children("visit_id", visit.id)?;
        Ok(form::progress(&self.form_of(&visit)?, &answers))
    }

    /// Saves the answer to one question; an earlier answer is replaced.
    ///
    /// Saying that an open action is done marks it so.
    pub fn answer(
        &self,
        visit: VisitId,
        code: &str,
        item: Option<Uuid>,
        reply: impl Into<Reply>,
    ) -> ApiResult<Saved<ChecklistAnswer>> {
        let visit = self.0.require::<Visit>(visit)?.data;
        let question = self.question(&visit, code)?;
        let answer = self.new_answer(&visit, &question, item, reply.into())?;
        let today = self.0.today();
        self.0.record(|writer| {
            let saved = writer.put_or_replace(&answer)?;
            follow_answer(writer, &question, &saved, today)?;
            Ok(saved)
        })
    }

    /// Returns the answer as a row, if it fits the question.
    fn new_answer(
        &self,
        visit: &Visit,
        question: &Question,
        item: Option<Uuid>,
        reply: Reply,
    ) -> Result<ChecklistAnswer> {
        let (value, na_reason) = match reply {
            Reply::Value(value) => (Some(value), None),
            Reply::NotApplicable(reason) => (None, Some(reason)),
        };
        if let Some(value) = &value {
            form::check_answer(question, value).map_err(|found| Error::Refused(vec![self.0.rules.refusal(&found)]))?;
        }
        Ok(ChecklistAnswer {
            id: ChecklistAnswer::id_of(visit.id, &question.code, item),
            enterprise_id: visit.enterprise_id,
            visit_id: visit.id,
            question_code: question.code.clone(),
            item_id: item,
            value,
            na_reason,
            answered_at: self.now(),
        })
    }

    pub(super) fn form_of(&self, visit: &Visit) -> Result<Vec<Question>> {
        let form = visit.form_id.ok_or_else(no_form)?;
        let query = Query::new().eq("form_id", form).order_by("position", Direction::Ascending).limit(u32::MAX);
        Ok(self.0.select::<Question>(&query)?.into_iter().map(|question| question.data).collect())
    }

    fn question(&self, visit: &Visit, code: &str) -> Result<Question> {
        let found = self.form_of(visit)?.into_iter().find(|question| question.code == code);
        found.ok_or_else(|| Error::Usage(format!("the form of the visit has no question `{code}`")))
    }

    /// Returns what a question is repeated over; one `None` for a question that is asked once.
    fn items(&self, visit: &Visit, question: &Question, answers: &[ChecklistAnswer]) -> Result<Vec<Option<Item>>> {
        let enterprise = visit.enterprise_id;
        let items = match question.repeat_over {
            None | Some(RepeatOver::Unknown) => return Ok(vec![None]),
            Some(RepeatOver::Positions) => positions(self.0.children("enterprise_id", enterprise)?),
            Some(RepeatOver::OpenActions) => actions(visit.id, self.0.children("enterprise_id", enterprise)?, answers),
            // The things themselves are not recorded as rows: the sample is answered as a whole.
            Some(RepeatOver::Items) => return Ok(vec![None]),
        };
        Ok(items.into_iter().map(Some).collect())
    }

    fn computed(&self, visit: &Visit, question: &Question) -> Result<Option<WisePreview>> {
        if question.answer_type != AnswerType::Computed {
            return Ok(None);
        }
        let employments = self.0.children("enterprise_id", visit.enterprise_id)?;
        Ok(wise_preview(&employments, self.0.today()))
    }

    /// Returns the answers of the last visits, the newest visit first.
    fn previous_answers(&self, visit: &Visit) -> Result<Vec<ChecklistAnswer>> {
        let mut earlier: Vec<Visit> = self.0.children("enterprise_id", visit.enterprise_id)?;
        earlier.retain(|other| other.actual_start_at.is_some() && starts_at(other) < starts_at(visit));
        earlier.sort_by_key(|other| std::cmp::Reverse(starts_at(other)));
        let mut answers = Vec::new();
        for other in earlier.iter().take(PREVIOUS_VISITS) {
            answers.extend(self.0.children::<ChecklistAnswer>("visit_id", other.id)?);
        }
        Ok(answers)
    }
}

fn positions(mut positions: Vec<Position>) -> Vec<Item> {
    positions.retain(|position| position.status != PositionStatus::Closed);
    positions.sort_by(|one, other| one.code.cmp(&other.code));
    let label = |position: &Position| format!("{} {}", position.code, position.title);
    positions.iter().map(|position| Item { id: position.id.0, label: label(position) }).collect()
}

/// Returns the actions of earlier visits that are open, or that were answered during this one.
fn actions(visit: VisitId, mut actions: Vec<FollowUpAction>, answers: &[ChecklistAnswer]) -> Vec<Item> {
    let is_answered = |action: &FollowUpAction| answers.iter().any(|answer| answer.item_id == Some(action.id.0));
    actions.retain(|action| action.visit_id != visit && (action.status == ActionStatus::Open || is_answered(action)));
    actions.sort_by_key(|action| (action.due_on, action.id));
    let label = |action: &FollowUpAction| format!("{} ({})", action.text, action.due_on);
    actions.iter().map(|action| Item { id: action.id.0, label: label(action) }).collect()
}

/// Does what an answer says: an open action whose answer is the code of a state moves to it.
fn follow_answer(
    writer: &mut Writer<'_, '_>,
    question: &Question,
    answer: &ChecklistAnswer,
    today: Date,
) -> Result<()> {
    let (Some(RepeatOver::OpenActions), Some(item)) = (question.repeat_over, answer.item_id) else { return Ok(()) };
    let Some(AnswerValue::Choice(option)) = &answer.value else { return Ok(()) };
    let action: Option<FollowUpAction> = writer.find(FollowUpActionId(item))?;
    let is_open = action.is_some_and(|action| action.status == ActionStatus::Open);
    if is_open && ActionStatus::parse(option) == ActionStatus::Done {
        writer.edit(FollowUpActionId(item), |action: &mut FollowUpAction| {
            action.status = ActionStatus::Done;
            action.done_on = Some(today);
        })?;
    }
    Ok(())
}
