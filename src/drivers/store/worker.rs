//! A store's thread, and the bounded queue of what it is to do: the door loop hands over and never waits.

use std::{
    collections::VecDeque,
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

/// A running store. Dropping it waits until it has done what was handed over.
#[derive(Debug)]
pub struct Worker<C> {
    name: &'static str,
    commands: Option<SyncSender<C>>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread's end.
    ended: Receiver<()>,
}

impl<C: Send + 'static> Worker<C> {
    /// Starts a thread that runs until its queue of at most `queue` commands is closed.
    pub fn spawn(
        name: &'static str,
        queue: usize,
        run: impl FnOnce(Receiver<C>) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, waiting) = sync_channel(queue);
        let (lives, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let _until_the_end: SyncSender<()> = lives;
            run(waiting);
        })?;
        Ok(Worker { name, commands: Some(commands), thread: Some(thread), ended })
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

    /// The same, waiting no longer than this: a disk may stand still for ever. Whether it has ended.
    pub fn stop_within(&mut self, limit: Duration) -> bool {
        self.commands = None;
        let has_ended = self.ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
        if has_ended {
            self.stop();
        } else {
            tracing::error!(name = self.name, "a store does not end: its disk does not answer");
            self.thread = None;
        }
        has_ended
    }

    /// Whether its thread is gone before it was told to end.
    pub fn is_gone(&self) -> bool {
        self.commands.is_some() && self.ended.try_recv() == Err(TryRecvError::Disconnected)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_store_whose_disk_stands_still_is_not_waited_for_for_ever() {
        let (_disk, answers) = channel::<()>();
        let mut hung = Worker::<u8>::spawn("hung", 1, move |_| _ = answers.recv()).unwrap();
        assert!(!hung.stop_within(Duration::from_millis(50)));
        drop(hung);
    }

    #[test]
    fn a_store_whose_thread_panicked_is_gone_and_one_that_works_or_was_stopped_is_not() {
        let mut works =
            Worker::<u8>::spawn("works", 1, |commands| commands.into_iter().for_each(drop)).unwrap();
        let fails = Worker::<u8>::spawn("fails", 1, |_| panic!("as the test wants it")).unwrap();
        while !fails.is_gone() {
            std::thread::yield_now();
        }
        assert!(!works.is_gone());
        works.stop();
        assert!(!works.is_gone());
    }

    #[test]
    fn a_store_has_what_it_was_given_done_before_its_end() {
        let (done, seen) = channel();
        let mut store = Worker::spawn("quick", 8, move |commands| {
            commands.into_iter().for_each(|command: u8| done.send(command).unwrap());
        })
        .unwrap();
        store.send(&mut VecDeque::from([1, 2, 3]));
        assert!(store.stop_within(Duration::from_secs(10)));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
