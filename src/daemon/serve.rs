//! From a running site to its end: the control socket, the metrics, the signals, and the loop itself.

use std::path::{Path, PathBuf};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{
        mpsc::{Receiver, Sender, channel},
        oneshot, watch,
    },
    task::spawn_local,
};

use super::{
    config::Config,
    metrics, reload,
    site::{Change, Site},
    socket::{self, Groups, Serving},
    start::StartError,
    systemd::{Systemd, Watchdog},
    uplink,
};
use crate::{control::Event, drivers::metrics::Config as MetricsConfig};

/// Serves until SIGTERM or SIGINT, or a part is gone that can't be begun anew. The socket answers before systemd hears that we are ready.
pub fn until_told_to_stop(
    runtime: &Runtime,
    config: &Config,
    path: &Path,
    link: uplink::Settings,
    site: &Site,
    happening: Receiver<Event>,
) -> Result<(), StartError> {
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(runtime, async {
        let listener = socket::listen(&config.socket)?;
        let groups = Groups::new(config.operators.clone());
        let serving = Serving { site: site.clone(), groups: groups.clone() };
        let sessions = spawn_local(socket::serve(listener, serving));
        let (metrics, wanted) = watch::channel(metrics::wanted(config));
        let watched = spawn_local(metrics::keep(wanted, site.clone()));
        let stop = told_to_stop().map_err(StartError::system("signals"))?;
        let hangups = signal(SignalKind::hangup()).map_err(StartError::system("signals"))?;
        let systemd = Systemd::start().map_err(StartError::system("thread to speak with systemd"))?;
        let (changes, asked) = channel(1);
        let (path, current) = (path.to_owned(), config.clone());
        let reloading = Reloading { path, current, link, groups, metrics, changes };
        let reloads = spawn_local(reloading.at_each(hangups, site.clone(), systemd.clone()));
        systemd.ready();
        tracing::info!("ready");
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = site.is_to_start_again() => tracing::info!("ending, to be started again"),
            }
            systemd.stopping();
        };
        let ended = site.run(happening, asked, Watchdog::new(systemd.clone()), stop).await;
        sessions.abort();
        reloads.abort();
        watched.abort();
        // The socket goes first: who asks now is told that nobody is there.
        let _gone = std::fs::remove_file(&config.socket);
        site.stop();
        systemd.last_word();
        ended.map_or(Ok(()), |part| Err(StartError::Ended { part }))
    })
}

/// What a reload needs, and whom it tells.
struct Reloading {
    path: PathBuf,
    current: Config,
    link: uplink::Settings,
    /// Who may do what at the control socket.
    groups: Groups,
    metrics: watch::Sender<Option<MetricsConfig>>,
    changes: Sender<Change>,
}

impl Reloading {
    /// Takes up a changed configuration at each SIGHUP, all of it, or says why nothing of it.
    async fn at_each(mut self, mut hangups: Signal, site: Site, systemd: Systemd) {
        while hangups.recv().await.is_some() {
            systemd.reloading();
            let (path, current) = (self.path.clone(), self.current.clone());
            // Files are read beside the loop that opens doors.
            match tokio::task::spawn_blocking(move || reload::read(&path, &current)).await {
                Ok(Ok(new)) => self.take_up(new).await,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the configuration was read again; the old one stays in force");
                    site.refused(reload::in_a_line(&error));
                }
                Err(error) => {
                    tracing::error!(%error, "the configuration could not be read again");
                    site.refused(error.to_string());
                }
            }
            systemd.ready();
        }
    }

    async fn take_up(&mut self, new: Config) {
        let (done, applied) = oneshot::channel();
        // Fails only when the loop has ended.
        if self.changes.send((Box::new(new.clone()), done)).await.is_err() || applied.await.is_err() {
            return;
        }
        if new.mqtt != self.current.mqtt {
            self.link.change(&new);
        }
        self.groups.change(new.operators.clone());
        self.metrics.send_if_modified(|wanted| {
            let next = metrics::wanted(&new);
            let is_news = *wanted != next;
            *wanted = next;
            is_news
        });
        self.current = new;
        tracing::info!("the configuration was read again, and is in force");
    }
}

/// Resolves at SIGTERM or SIGINT.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
    })
}
