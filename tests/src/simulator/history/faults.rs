//! What happens to phones and to the server besides their work.

use std::sync::Arc;

use super::History;
use crate::simulator::clock::{START, SimWorld};
use crate::simulator::dice::Dice;
use crate::simulator::disk;
use crate::simulator::phone::Phone;

impl History<'_> {
    pub(super) fn restore_server(&mut self) {
        let Some((since, backup)) = &self.server_backup else { return };
        self.server.restore(backup);
        let since = *since;
        self.deeds.forget_office(since);
        self.say(format_args!("the server is as it was at {}", since.0 - START.0));
        self.look_for_news();
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
        self.deeds.forget_phone(at, since);
        self.start(at);
    }

    pub(super) fn clone_phone(&mut self, from: usize, to: usize) {
        let folder = self.new_folder(to);
        let Some(phone) = self.phone(from) else { return };
        disk::copy_folder(&phone.folder, &folder).expect("the folder can be copied");
        let world = SimWorld::new(&self.clock, Dice::named(self.plan.seed, 100 + to as u64));
        self.phones[to] = Some(Phone::new(self.plan.cast.phones[to], Arc::new(world), folder, self.options.bug));
        self.start(to);
    }

    pub(super) fn poison(&mut self, at: usize, dice: &mut Dice) {
        let cast = self.plan.cast.phones[at];
        let now = self.now();
        let enterprise = self.plan.cast.programmes[cast.programme].enterprises[0];
        let Some(foreign) = self.foreign.get_mut(&at) else { return };
        let what = foreign.record(cast.user, enterprise, now, dice);
        self.say(format_args!("phone {at} records {what}"));
        self.wake(at);
    }
}
