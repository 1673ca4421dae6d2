//! Messages on their way between phones and the server.

use bytes::Bytes;
use client_sdk::sync::Failure;
use client_sdk::sync::machine::Event;
use sync_protocol::entity::EntityKind;
use sync_protocol::mutation::{Mutation, Op};
use uuid::Uuid;

use super::{History, Waiting};
use crate::simulator::check;
use crate::simulator::queue::Coming;
use crate::simulator::talk;
use crate::simulator::tally::Met;

impl History<'_> {
    pub(super) fn send(&mut self, at: usize, body: Bytes, wait_ms: u32) {
        let now = self.now_ms();
        let request = self.request_of(at);
        if self.expired.contains(&at) {
            let event = Event::Failed(Failure::Unauthorised);
            return self.queue.push(now + 100, Coming::End { phone: at, request, event });
        }
        let sending = self.network.request(at, now, wait_ms);
        self.say(format_args!("phone {at} sends {} bytes, request {request}, {sending:?}", body.len()));
        if let Some(after) = sending.arrives_after_ms {
            let arrival = Coming::Arrival { phone: at, request: Some(request), body: body.clone(), wait_ms };
            self.queue.push(now + after, arrival);
        }
        if let Some(after) = sending.copy_after_ms {
            self.queue.push(now + after, Coming::Arrival { phone: at, request: None, body, wait_ms: 0 });
        }
        if let Some((after, failure)) = sending.failure {
            self.queue.push(now + after, Coming::End { phone: at, request, event: Event::Failed(failure) });
        }
    }

    pub(super) fn request_of(&self, at: usize) -> u64 {
        self.phones[at].as_ref().map_or_else(|| self.foreign.get(&at).map_or(0, |f| f.request), |phone| phone.request)
    }

    pub(super) fn tokens(&mut self, at: usize, request: u64) {
        let is_current = self.request_of(at) == request;
        if !is_current || self.phone(at).is_none() {
            return;
        }
        let user = self.plan.cast.phones[at].user;
        let is_lost = !self.is_healed && self.dice.per_mille(50);
        let is_barred = self.server.is_barred(user);
        self.tally.count_if(is_barred, Met::SignedOut);
        self.tally.count_if(is_lost && !is_barred, Met::TokensLost);
        let event = if is_barred {
            Event::TokenRefused
        } else if is_lost {
            Event::Failed(Failure::Offline("the tokens did not arrive".to_owned()))
        } else {
            self.expired.remove(&at);
            Event::TokenRefreshed
        };
        self.let_handle(at, event);
    }

    pub(super) fn arrive(&mut self, at: usize, request: Option<u64>, body: Bytes, wait_ms: u32) {
        let programme = self.plan.cast.phones[at].programme;
        if let Some(request) = request.filter(|_| wait_ms > 0)
            && let Some(head) = self.server.head_to_wait_at(programme, &body)
        {
            let until = self.now_ms() + i64::from(wait_ms);
            self.queue.push(until, Coming::WaitIsOver { phone: at, request });
            self.waiting.push(Waiting { phone: at, request, body, wait_ms, head });
            return;
        }
        self.serve(at, request, &body, wait_ms);
    }

    pub(super) fn wait_is_over(&mut self, at: usize, request: u64) {
        let found = self.waiting.iter().position(|waiting| (waiting.phone, waiting.request) == (at, request));
        if let Some(found) = found {
            let waiting = self.waiting.remove(found);
            self.serve(at, Some(request), &waiting.body, waiting.wait_ms);
        }
    }

    /// Answers who waits for news, when there are some.
    pub(super) fn look_for_news(&mut self) {
        while let Some(found) = self.waiting.iter().position(|waiting| {
            let programme = self.plan.cast.phones[waiting.phone].programme;
            self.server.head(programme).seq != waiting.head
        }) {
            let waiting = self.waiting.remove(found);
            self.serve(waiting.phone, Some(waiting.request), &waiting.body, waiting.wait_ms);
        }
    }

    /// Lets the server answer a request. A copy of a request is answered too, but nobody is there any more.
    pub(super) fn serve(&mut self, at: usize, request: Option<u64>, body: &Bytes, wait_ms: u32) {
        let now = self.now_ms();
        let cast = self.plan.cast.phones[at];
        let head = self.server.head(cast.programme).seq;
        let dies = self.server.crash_next;
        let answer = self.server.exchange(cast.programme, cast.user, body);
        if let Some(is_after) = dies.filter(|_| !answer.is_whole) {
            self.tally.count(if is_after { Met::ServerDiedAfter } else { Met::ServerDiedBefore });
        }
        self.tally.count_answer(answer.messages());
        let sent = talk::mutations(body);
        let names_merged = |sent: &Mutation| names(sent).any(|row| self.deeds.is_merged(row));
        let is_late_month = |sent: &Mutation| {
            (sent.kind, sent.op) == (EntityKind::MonthlyJobStatus, Op::Put) && self.deeds.is_merged(sent.row_id)
        };
        self.tally.count_if(talk::hello_of(body).is_some_and(|hello| hello.more), Met::MoreFollows);
        self.tally.count_if(sent.iter().any(names_merged), Met::NamedMerged);
        self.tally.count_if(sent.iter().any(is_late_month), Met::LateMonth);
        check::delivered(self, at, &answer);
        self.say(format_args!(
            "the server answers phone {at}, request {request:?}: {}{}",
            answer.words(),
            if answer.is_whole { "" } else { ", and stops" }
        ));
        if let Some(request) = request {
            self.promises.note(&self.server, cast.programme, cast.user, (at, request), body, &answer);
            let chunks =
                talk::with_newer_frames(answer.chunks, self.plan.knobs.newer_frames, &mut self.dice, &mut self.tally);
            let reply = self.network.reply(at, now, wait_ms, chunks, answer.is_whole);
            for part in reply.parts {
                self.queue.push(now + part.after_ms, Coming::Part { phone: at, request, bytes: part.bytes });
            }
            let (after, failure) = reply.end;
            let event = failure.map_or(Event::Ended, Event::Failed);
            self.queue.push(now + after, Coming::End { phone: at, request, event });
        }
        if self.server.head(cast.programme).seq != head {
            self.look_for_news();
        }
    }

    pub(super) fn part(&mut self, at: usize, request: u64, bytes: &Bytes) {
        if self.request_of(at) != request {
            return;
        }
        if let Some(foreign) = self.foreign.get_mut(&at) {
            if foreign.receive(bytes) {
                self.end(at, request, Event::Ended);
            }
            return;
        }
        let Some(phone) = self.phone(at) else { return };
        let outcome = phone.receive(bytes);
        if matches!(outcome, Ok(Some(_))) && self.request_of(at) == request {
            // The rest of a reply that was given up comes too late.
            if let Some(phone) = self.phone(at) {
                phone.request += 1;
            }
        }
        self.follow(at, outcome);
    }

    pub(super) fn end(&mut self, at: usize, request: u64, event: Event) {
        if self.request_of(at) != request {
            return;
        }
        if let Some(foreign) = self.foreign.get_mut(&at) {
            foreign.end();
            if self.is_healed && !foreign.is_drained() {
                self.wake(at);
            }
            return;
        }
        let Some(phone) = self.phone(at) else { return };
        let outcome = phone.end(event);
        let is_alive = outcome.is_ok();
        if is_alive {
            check::promised(self, at, request);
        }
        self.follow(at, outcome.map(Some));
    }
}

/// Returns the rows that a change is about.
fn names(mutation: &Mutation) -> impl Iterator<Item = Uuid> {
    std::iter::once(mutation.row_id).chain(mutation.patch.iter().filter_map(|(_, value)| value.as_uuid()))
}
