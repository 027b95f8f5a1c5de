//! JetStream of a running server: started, changed and stopped.
//!
//! Not here: what it is started with (`node::jetstream`), streams (`jetstream`).
//! Law: one change at a time; an engine that does not run has no threads.

use crate::control::Spawner;
use jetstream::{Engine, StartError};
use net::clock::Clock;
use node::Node;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// JetStream, or the place for it.
pub(crate) struct JetStream {
    node: Arc<Node>,
    shards: usize,
    zero: Instant,
    control: Spawner,
    engine: Mutex<Option<Engine>>,
}

impl JetStream {
    pub(crate) fn new(node: Arc<Node>, shards: usize, zero: Instant, control: Spawner) -> Self {
        Self { node, shards, zero, control, engine: Mutex::default() }
    }

    fn engine(&self) -> MutexGuard<'_, Option<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self) -> node::jetstream::Facts {
        node::jetstream::Facts {
            clock: crate::server::clocks(self.zero),
            entropy: net::workers::entropy,
            shards: self.shards,
            workers: self.node.workers,
            now: Clock::new(self.zero).now(),
            memory: crate::facts::memory(),
            disk: crate::facts::disk_free(&node::jetstream::store_dir(&self.node.options())),
        }
    }

    /// Starts it, if it is wanted; when this returns its streams take messages.
    pub(crate) fn start(&self) -> Result<(), StartError> {
        self.begin(&mut self.engine())
    }

    fn begin(&self, engine: &mut Option<Engine>) -> Result<(), StartError> {
        *engine = self.node.start_jetstream(&self.facts())?;
        // Tokens say what their accounts have of it.
        self.control.wait_for(self.node.clone().admit_claims());
        Ok(())
    }

    /// Does what the options in force want now: it runs with their limits and accounts, or not at all.
    pub(crate) fn follow(&self) -> Result<(), StartError> {
        let wanted = self.node.options().jetstream.enabled;
        let mut engine = self.engine();
        if wanted
            && let Some(engine) = engine.as_ref()
            && self.node.revise_jetstream(engine.shared())
        {
            // What tokens say may fit now.
            self.control.wait_for(self.node.clone().admit_claims());
            return Ok(());
        }
        self.end(&mut engine);
        self.begin(&mut engine)
    }

    /// Stops it; when this returns, everything is on the disk.
    pub(crate) fn stop(&self) {
        self.end(&mut self.engine());
    }

    fn end(&self, engine: &mut Option<Engine>) {
        let Some(mut engine) = engine.take() else { return };
        stdx::notice!(self.node.log(), "Initiating JetStream Shutdown...");
        engine.stop();
        self.node.jetstream_stopped();
        stdx::notice!(self.node.log(), "JetStream Shutdown");
    }
}
