//! Ctrl-C and its kin, as a flag the demo looks at between steps, so that it always takes the site down in order.

use super::DemoError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the flag is waited for at a time.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Set once SIGINT, SIGTERM or SIGHUP has come.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the signals over, for the rest of the process's life.
    ///
    /// # Errors
    /// No thread or no signal handler to be had.
    pub fn install() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let set = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupted, terminated, hung_up] = {
            let _context = runtime.enter();
            kinds.map(signal)
        };
        let (mut interrupted, mut terminated, mut hung_up) = (interrupted?, terminated?, hung_up?);
        let listen = async move {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
                _ = hung_up.recv() => {}
            }
            set.0.store(true, Ordering::SeqCst);
        };
        std::thread::Builder::new().name("sim-signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(interrupt)
    }

    /// Whether one has come.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// An error once one has come.
    pub fn check(&self) -> Result<(), DemoError> {
        if self.is_set() { Err(DemoError::Interrupted) } else { Ok(()) }
    }

    /// Waits for one.
    pub fn wait(&self) {
        crate::wait::until(FOR_EVER, || self.is_set().then_some(()));
    }
}
