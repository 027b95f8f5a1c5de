//! Streams on their way out of the server and into it, as archives.
//!
//! Laws: a transfer is known by its number; whoever comes too late finds none and does nothing;
//!       the disk and the packing are the pool's, decisions the shard's.
//! Parity: SNAP-*.

mod backup;
mod restore;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::account::{Account, Watcher};
use stdx::time::Mono;

use crate::event::{ApiRequest, Event};
use crate::queue::Queue;
use crate::shard::Shard;
use backup::Backup;
use jetstream_api::client_info::ClientInfo;
use jetstream_api::json;
use restore::Restore;

/// What is under way on a shard.
#[derive(Default)]
pub(crate) struct Transfers {
    backups: BTreeMap<u64, Backup>,
    restores: BTreeMap<u64, Restore>,
    last: u64,
}

impl Transfers {
    fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// When one of them has waited too long.
    pub(crate) fn next(&self) -> Option<Mono> {
        let backups = self.backups.values().filter_map(|b| b.deadline);
        backups.chain(self.restores.values().filter_map(|r| r.deadline)).min()
    }
}

impl Shard {
    /// Gives up what has waited too long.
    pub(crate) fn tick_transfers(&mut self) {
        let now = self.now.mono;
        let due = |deadline: Option<Mono>| deadline.is_some_and(|at| at <= now);
        if !due(self.transfers.next()) {
            return;
        }
        let late = |(id, deadline): (u64, Option<Mono>)| due(deadline).then_some(id);
        let backups: Vec<u64> = self
            .transfers
            .backups
            .iter()
            .map(|(id, b)| (*id, b.deadline))
            .filter_map(late)
            .collect();
        let restores: Vec<u64> = self
            .transfers
            .restores
            .iter()
            .map(|(id, r)| (*id, r.deadline))
            .filter_map(late)
            .collect();
        for id in backups {
            self.backup_is_late(id);
        }
        for id in restores {
            self.restore_is_late(id);
        }
    }
}

/// Removes a folder though somebody may still be about to write into it.
pub(crate) fn remove_tree(dir: &Path) -> std::io::Result<()> {
    const TRIES: usize = 200;
    let mut tried = 0;
    loop {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && tried < TRIES =>
            {
                tried += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

impl Shard {
    /// Takes a folder out of the way at once, and removes it on the pool: what is cut short there is
    /// gone on with at the next start.
    pub(crate) fn clear_away(&mut self, owner: &str, dir: &Path) -> std::io::Result<()> {
        let scratch = self.shared.snapshots_dir(owner);
        std::fs::create_dir_all(&scratch)?;
        let away = scratch.join(format!("gone-{}", self.lent.random.nuid(self.now)));
        std::fs::rename(dir, &away)?;
        let log = self.lent.worker.broker.log.clone();
        self.shared.io.run(move || {
            if let Err(error) = remove_tree(&away) {
                stdx::warning!(log, "JetStream cannot remove '{}': {error}", away.display());
            }
        });
        Ok(())
    }
}

/// Who asked, for advisories.
fn client_of(request: &ApiRequest) -> Option<ClientInfo> {
    json::unmarshal(request.client.as_ref()?.as_bytes()).ok()
}

/// Runs something on the shard whenever the interest in a subject may have changed.
struct Watch {
    account: Arc<Account>,
    subject: Box<[u8]>,
    watcher: Arc<dyn Watcher>,
}

/// What is run, for the transfer of that number.
type Changed = fn(&mut Shard, u64);

struct Interest {
    queue: Arc<Queue>,
    id: u64,
    changed: Changed,
}

impl Watcher for Interest {
    fn changed(&self) {
        let (id, changed) = (self.id, self.changed);
        self.queue.push_event(Event::Run(Box::new(move |shard| changed(shard, id))));
    }
}

impl Watch {
    fn start(
        account: &Arc<Account>,
        subject: &[u8],
        queue: &Arc<Queue>,
        id: u64,
        changed: Changed,
    ) -> Self {
        let watcher: Arc<dyn Watcher> = Arc::new(Interest { queue: queue.clone(), id, changed });
        account.watch(subject, watcher.clone());
        Self { account: account.clone(), subject: subject.into(), watcher }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.account.unwatch(&self.subject, &self.watcher);
    }
}
