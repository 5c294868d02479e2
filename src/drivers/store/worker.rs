//! A store's thread, and the bounded queue of what it is to do: the door loop hands over and never waits.

use std::{
    collections::VecDeque,
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

/// A running store. Dropping it waits until it has done what was handed over.
#[derive(Debug)]
pub struct Worker<C> {
    name: &'static str,
    commands: Option<SyncSender<C>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> Worker<C> {
    /// Starts a thread that runs until its queue of at most `queue` commands is closed.
    pub fn spawn(
        name: &'static str,
        queue: usize,
        run: impl FnOnce(Receiver<C>) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, waiting) = sync_channel(queue);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(waiting))?;
        Ok(Worker { name, commands: Some(commands), thread: Some(thread) })
    }
}

impl<C> Worker<C> {
    /// Hands commands over without waiting, in order; what the queue has no room for stays in `waiting`.
    pub fn send(&self, waiting: &mut VecDeque<C>) {
        let Some(commands) = &self.commands else { return };
        while let Some(command) = waiting.pop_front() {
            if let Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) =
                commands.try_send(command)
            {
                waiting.push_front(command);
                return;
            }
        }
    }

    /// Closes the queue, and waits until what is in it has been done.
    pub fn stop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(name = self.name, "a store's thread ended in a panic");
        }
    }
}

impl<C> Drop for Worker<C> {
    fn drop(&mut self) {
        self.stop();
    }
}
