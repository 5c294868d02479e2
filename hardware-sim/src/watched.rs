//! State behind a lock that others can wait on: every device is a model that a thread of its own drives while a
//! test or a person looks on, and "wait until the coil is on" must neither poll nor sleep.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time;

/// A value with a lock and a bell.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Looks without telling anyone.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value and wakes whoever waits.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `seen` finds what it looks for, at most `limit` long.
    pub fn wait<R>(&self, limit: Duration, mut seen: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let start = time::now();
        let mut guard = self.lock();
        loop {
            if let Some(found) = seen(&guard) {
                return Some(found);
            }
            let left = limit.checked_sub(time::now().saturating_duration_since(start))?;
            let (next, _) = self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
            guard = next;
        }
    }

    /// A test that panicked while it looked must not take the device down with it.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
