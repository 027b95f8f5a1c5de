//! The server's own thread: accepting connections, monitoring, timers; nothing of the message
//! path.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long blocking work may take to end.
const LAST_WORK: Duration = Duration::from_millis(200);

/// A thread with a runtime of its own, which runs until it is stopped.
pub(crate) struct Control {
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// Runs tasks on the thread.
#[derive(Clone)]
pub(crate) struct Spawner(Handle);

impl Spawner {
    /// Runs a task on the thread.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.0.spawn(task)
    }

    /// As [`Control::wait_for`].
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, wait) = std::sync::mpsc::channel();
        self.0.spawn(async move {
            // The receiver waits below.
            let _ = done.send(task.await);
        });
        wait.recv().ok()
    }

    /// Runs something that blocks beside the thread.
    pub(crate) fn spawn_blocking(
        &self,
        work: Box<dyn FnOnce() + Send>,
    ) -> tokio::task::JoinHandle<()> {
        self.0.spawn_blocking(work)
    }
}

impl Control {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("nats-control".to_owned()).spawn(move || {
                // An error means that the handle was dropped, which also ends it.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(LAST_WORK);
            })?;
        Ok(Self { runtime: handle, stop, thread })
    }

    /// Runs a task on the thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Something that runs tasks on the thread.
    pub(crate) fn spawner(&self) -> Spawner {
        Spawner(self.runtime.clone())
    }

    /// Runs `task` on the thread and waits for what comes of it; `None` if the thread ended. Blocks;
    /// may be called inside a runtime.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, wait) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            // The receiver waits below.
            let _ = done.send(task.await);
        });
        wait.recv().ok()
    }

    /// Waits for `last` on the thread, and ends it. Blocks; may be called inside a runtime.
    pub(crate) fn stop_after(self, last: impl Future<Output = ()> + Send + 'static) {
        let (done, wait) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            last.await;
            // The receiver waits below.
            let _ = done.send(());
        });
        // An error means the task cannot run any more, which is as good.
        let _ = wait.recv();
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
