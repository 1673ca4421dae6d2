//! What happens to phones and to the server besides their work.

use super::History;
use crate::simulator::aging;
use crate::simulator::clock::{START, SimWorld};
use crate::simulator::dice::Dice;
use crate::simulator::disk;
use crate::simulator::office;
use crate::simulator::queue::Coming;
use crate::simulator::tally::Met;

impl History<'_> {
    pub(super) fn restore_server(&mut self, dice: &mut Dice) {
        let Some((since, backup)) = &self.server_backup else { return };
        let (has_lost, has_erased) = self.server.restore(backup, dice.below(4));
        self.tally.count_if(has_erased, Met::ErasedAgain);
        self.tally.count_if(has_lost, Met::ServerRestored);
        let since = *since;
        self.deeds.forget_office(since);
        self.say(format_args!("the server is as it was at {}", since.0 - START.0));
        self.look_for_news();
    }

    pub(super) fn merge(&mut self, programme: usize, dice: &mut Dice) {
        let head = self.server.head(programme);
        self.office(programme, dice, office::merge);
        let is_done = self.server.head(programme) != head;
        self.tally.count_if(is_done, Met::MergeDecided);
    }

    pub(super) fn judge(&mut self, programme: usize, dice: &mut Dice) {
        let waiting = |history: &Self| office::undated(&history.server, programme).len();
        let (before, seed) = (waiting(self), self.deeds.next());
        self.office(programme, dice, office::judge);
        let is_done = waiting(self) < before;
        let is_approved = self.deeds.get(seed).is_some_and(office::is_approval);
        self.tally.count_if(is_done && is_approved, Met::UndatedApproved);
        self.tally.count_if(is_done && !is_approved, Met::UndatedReturned);
    }

    pub(super) fn erase(&mut self, programme: usize, dice: &mut Dice) {
        let head = self.server.head(programme);
        self.office(programme, dice, office::erase);
        let is_done = self.server.head(programme) != head;
        self.tally.count_if(is_done, Met::Erased);
    }

    /// The server forgets deletions of which no device in touch has not heard: those that have not are taken to have
    /// been silent for too long.
    pub(super) fn prune(&mut self, programme: usize, dice: &mut Dice) {
        let head = self.server.head(programme).seq;
        let upto = if dice.per_mille(500) { head } else { dice.between(0, head as i64) as u64 };
        let has_forgotten = self.server.prune(programme, upto);
        self.tally.count_if(has_forgotten, Met::Pruned);
        self.say(format_args!("the server forgets deletions of {programme} up to {upto}: {has_forgotten}"));
    }

    pub(super) fn assign(&mut self, programme: usize, dice: &mut Dice) {
        let before = self.server.grants(programme);
        self.office(programme, dice, office::assign);
        let now = self.server.grants(programme);
        self.tally.count_if(now > before, Met::Granted);
        self.tally.count_if(now < before, Met::GrantTaken);
    }

    pub(super) fn bar(&mut self, programme: usize, dice: &mut Dice) {
        let head = self.server.head(programme);
        self.office(programme, dice, office::bar);
        let is_done = self.server.head(programme) != head;
        self.tally.count_if(is_done, Met::Barred);
    }

    pub(super) fn back_up_phone(&mut self, at: usize) {
        let folder = self.new_folder(at);
        let now = self.now();
        let Some(phone) = self.phone(at) else { return };
        disk::copy_folder(&phone.folder, &folder).expect("the folder can be copied");
        self.phone_backups.insert(at, (now, folder));
    }

    pub(super) fn restore_phone(&mut self, at: usize) {
        let Some((since, backup)) = self.phone_backups.remove(&at) else { return };
        let Some(phone) = &mut self.phones[at] else { return };
        phone.move_to(&backup).expect("the folder can be removed");
        self.tally.count(Met::PhoneRestored);
        self.deeds.forget_phone(at, since);
        self.start(at);
    }

    pub(super) fn clone_phone(&mut self, from: usize, to: usize) {
        let folder = self.new_folder(to);
        let Some(phone) = self.phone(from) else { return };
        disk::copy_folder(&phone.folder, &folder).expect("the folder can be copied");
        let world = SimWorld::new(&self.clock, Dice::named(self.plan.seed, 100 + to as u64));
        self.phones[to] = Some(self.phone_in(to, folder, world));
        self.tally.count(Met::PhoneCloned);
        self.start(to);
    }

    /// Ends the application, and starts it on a phone whose uptime begins anew.
    pub(super) fn restart_phone(&mut self, at: usize, down_ms: i64, offset_ms: Option<i64>) {
        let on_again = self.now().plus_ms(down_ms);
        let Some(phone) = self.phone(at) else { return };
        (phone.loses_power, phone.down_ms) = (false, down_ms);
        phone.world.boot_at(on_again);
        self.crash(at);
        self.tally.count(Met::Restarted);
        if let Some(offset_ms) = offset_ms {
            self.set_clock(at, offset_ms);
        }
    }

    pub(super) fn set_clock(&mut self, at: usize, offset_ms: i64) {
        let is_start = self.now() == START;
        self.tally.count_if(!is_start, Met::ClockJump);
        let is_right = self.options.has_right_clocks;
        if let Some(phone) = &mut self.phones[at] {
            phone.world.set_offset_ms(if is_right { 0 } else { offset_ms });
        }
    }

    /// Notes under which clock something was recorded.
    pub(super) fn note_clock(&mut self, at: usize) {
        const DAY_MS: i64 = 86_400_000;
        let now = self.now();
        let shown = self.phones[at].as_ref().map_or(now, |phone| client_sdk::world::World::now(phone.world.as_ref()));
        self.tally.count_if((shown.0 - now.0).abs() > DAY_MS, Met::WrongClock);
    }

    pub(super) fn disk_heals(&mut self, at: usize, is_full: bool) {
        const FAULT_WAITS_MS: i64 = 600_000;
        let now = self.now().0;
        if self.is_healed {
            return;
        }
        let Some(phone) = &mut self.phones[at] else { return };
        if !phone.disk.has_failed() {
            // The phone was not used meanwhile.
            return self.queue.push(now + FAULT_WAITS_MS, Coming::DiskHeals { phone: at, is_full });
        }
        phone.disk.heal();
        self.tally.count(if is_full { Met::DiskFull } else { Met::DiskBroken });
    }

    /// The application is closed, and a newer one opens what an older one would have left.
    pub(super) fn upgrade(&mut self, at: usize, versions: u32) {
        let Some(phone) = self.phone(at) else { return };
        let has_work = phone.store().and_then(|store| store.status()).is_ok_and(|status| status.pending > 0);
        phone.store = None;
        let aged = aging::age(&phone.folder, &phone.disk.name(), versions);
        self.tally.count_if(aged.is_ok(), Met::Upgraded);
        self.tally.count_if(aged.is_ok() && has_work, Met::UpgradedWithWork);
        // A disk that fails just then leaves the files as they are.
        self.say(format_args!("phone {at} gets a newer application: {aged:?}"));
        self.start(at);
    }

    pub(super) fn poison(&mut self, at: usize, dice: &mut Dice) {
        let cast = self.plan.cast.phones[at];
        let now = self.now();
        let enterprise = self.plan.cast.programmes[cast.programme].enterprises[0];
        let Some(foreign) = self.foreign.get_mut(&at) else { return };
        let (what, met) = foreign.record(cast.user, enterprise, now, dice);
        self.tally.count(met);
        self.say(format_args!("phone {at} records {what}"));
        self.wake(at);
    }
}
