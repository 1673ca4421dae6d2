//! When applications run: someone looks at them, a timer comes, a request is given up.

use client_sdk::sync::Failure;
use client_sdk::sync::machine::Event;
use sync_protocol::time::Timestamp;

use super::{History, RESUME_MS, SECOND_MS};
use crate::simulator::phone::SILENT_MS;
use crate::simulator::queue::Coming;

/// How long a person looks at the phone after doing something.
const AWAKE_MS: i64 = 120 * SECOND_MS;

impl History<'_> {
    /// Someone opens the application.
    pub(super) fn wake(&mut self, at: usize) {
        self.stay_awake(at);
        let now = self.now();
        let heard = self.phone(at).and_then(|phone| phone.heard);
        match heard.map(|heard| SILENT_MS - (now.0 - heard.0)) {
            // The network may forget the request: that shows later.
            Some(left_ms) if left_ms > 0 => {
                let request = self.request_of(at);
                self.queue.push(now.0 + left_ms, Coming::Silence { phone: at, request, heard });
            }
            Some(_) => self.give_up(at),
            None => self.let_handle(at, Event::Wake),
        }
        if let Some(foreign) = self.foreign.get_mut(&at) {
            let body = foreign.request(self.clock.now());
            self.send(at, body, 0);
        }
    }

    /// Nothing was heard of a request since a wake: it is made anew.
    pub(super) fn silence(&mut self, at: usize, request: u64, heard: Option<Timestamp>) {
        let is_gone = self.phone(at).is_some_and(|phone| (phone.request, phone.heard) == (request, heard));
        if is_gone {
            self.give_up(at);
        }
    }

    fn give_up(&mut self, at: usize) {
        let failure = Failure::Offline("the network came back without the request".to_owned());
        self.let_handle(at, Event::Failed(failure));
        self.let_handle(at, Event::Wake);
    }

    /// A connected application runs as long as someone looks at it.
    pub(super) fn stay_awake(&mut self, at: usize) {
        let now = self.now_ms();
        if let Some(phone) = self.phone(at).filter(|phone| phone.cast.is_connected) {
            phone.awake += 1;
            let since = phone.awake;
            self.queue.push(now + AWAKE_MS, Coming::Sleep { phone: at, since });
        }
    }

    pub(super) fn sleep(&mut self, at: usize, since: u64) {
        let is_healed = self.is_healed;
        if self.phone(at).is_some_and(|phone| phone.awake == since) && !is_healed {
            self.let_handle(at, Event::Cancel);
        }
    }

    /// A connected application tries again by itself; otherwise the person does, at the next look.
    pub(super) fn set_timer(&mut self, at: usize, after_ms: u64) {
        let now = self.now_ms();
        let is_healed = self.is_healed;
        let Some(phone) = self.phone(at) else { return };
        if phone.cast.is_connected {
            phone.timer += 1;
            let timer = phone.timer;
            self.queue.push(now + after_ms as i64, Coming::Timer { phone: at, timer });
            return;
        }
        if !phone.is_stuck() {
            phone.restart_sync();
        }
        if is_healed {
            self.queue.push(now + RESUME_MS.min(after_ms as i64), Coming::Resume { phone: at });
        }
    }
}
