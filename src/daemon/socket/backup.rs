//! `backup` and `restore`: the store as one file, which the caller keeps. It goes over the socket in pieces, so that the
//! daemon needs no right to the caller's files, nor the caller to the daemon's.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use futures_util::StreamExt as _;
use rustix::fs::{FlockOperation, flock};
use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
};
use tokio_util::codec::LinesCodecError;

use super::{
    right::{Asked, Right},
    session::{Done, Gone, Lines, item, json, read, send, stopping},
};
use crate::{
    control::OperatorRequest,
    daemon::site::Site,
    drivers::store::{
        ballast,
        cache::{CacheError, Progress, copy, restoring},
    },
    wire::{
        control::{
            Answer, BackupBegun, BackupDone, Chunk, Code, Refusal, Request, RestoreChunk, RestoreDone,
        },
        stored::Position,
    },
};

/// Bytes in a piece: in base64 it fits into a line.
const PIECE: usize = 32 << 10;
/// A backup on its way in.
const PART: &str = ".restore.part";

fn failed(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Failed, why.to_string())
}

fn summary(controller: String, bytes: u64, end: &copy::End) -> BackupDone {
    let Position { epoch, applied, credentials, grants, .. } = end.position;
    BackupDone { controller, bytes, epoch, applied, credentials, grants, at: end.at }
}

fn own_name(site: &Site) -> String {
    site.settings().controller.as_str().to_owned()
}

/// Writes the cache's copy anew, and sends it.
pub async fn backup(lines: &mut Lines, site: &Site, by: &str) -> Result<Done, Gone> {
    let (progress, mut seen) = watch::channel(Progress::default());
    let (done, mut outcome) = oneshot::channel();
    site.copy(progress, done);
    let copied = loop {
        tokio::select! {
            copied = &mut outcome => break copied,
            Ok(()) = seen.changed() => {
                let Progress { done, of } = *seen.borrow_and_update();
                item(lines, BackupBegun { done, of }).await?;
            }
        }
    };
    match copied {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => return Ok(Err(failed(format!("no backup was made: {why}")))),
        Err(_) => return Ok(Err(stopping())),
    }
    let (path, controller) = (site.state_dir().join(copy::FILE), own_name(site));
    let name = controller.clone();
    let checked = spawn_blocking(move || {
        let file = File::open(&path)?;
        let end = restoring::check(&path, &name).map_err(io::Error::other)?;
        Ok::<_, io::Error>((file, end))
    });
    let (mut file, end) = match checked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Ok(Err(failed(format!("the backup can't be read again: {error}")))),
        Err(_) => return Ok(Err(stopping())),
    };
    let said = format!("change {} of epoch {}", end.position.applied, end.position.epoch);
    if site
        .request(by.to_owned(), OperatorRequest::Beside { action: "backup".into(), detail: said })
        .await
        .is_err()
    {
        return Ok(Err(stopping()));
    }
    let mut bytes = 0;
    loop {
        let piece = spawn_blocking(move || {
            let mut piece = Vec::new();
            let read = io::Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece);
            (file, read.map(|_| piece))
        });
        let Ok((back, piece)) = piece.await else { return Ok(Err(stopping())) };
        file = back;
        match piece {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => {
                bytes += piece.len() as u64;
                item(lines, Chunk { data: BASE64.encode(&piece) }).await?;
            }
            Err(error) => return Ok(Err(failed(format!("the backup can't be read again: {error}")))),
        }
    }
    Ok(Ok(json(summary(controller, bytes, &end))))
}

/// Takes a backup in, looks at it whole, stages it, and ends the daemon, which takes it up when it is started again.
pub async fn restore(
    lines: &mut Lines,
    site: &Site,
    by: &str,
    first: RestoreChunk,
    (right, asked): (&mut Right<'_>, &Asked),
) -> Result<Done, Gone> {
    let (dir, controller) = (site.state_dir(), own_name(site));
    let taken_in = match take_in(lines, dir.clone(), first).await? {
        Ok(upload) => upload,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // It may have been long on its way.
    if let Err(refusal) = right.to(asked).await {
        return Ok(Err(refusal));
    }
    let name = controller.clone();
    let staged = spawn_blocking(move || {
        // Whoever reads that knows it under a name of theirs.
        let ours = taken_in.path.display().to_string();
        let said = |error: CacheError| error.to_string().replace(&ours, "the backup");
        let end = restoring::check(&taken_in.path, &name).map_err(said)?;
        taken_in.stage(&dir).map_err(|error| format!("it can't be staged: {error}"))?;
        Ok::<_, String>((end, taken_in.bytes))
    });
    let (end, bytes) = match staged.await {
        Ok(Ok(staged)) => staged,
        Ok(Err(why)) => return Ok(Err(failed(format!("nothing was restored: {why}")))),
        Err(_) => return Ok(Err(stopping())),
    };
    let said = format!("change {} of epoch {}, of {}", end.position.applied, end.position.epoch, end.at);
    // With the answer to who asked, and in the journal, before the daemon ends.
    if site
        .request(by.to_owned(), OperatorRequest::Beside { action: "restore".into(), detail: said })
        .await
        .is_err()
    {
        return Ok(Err(stopping()));
    }
    let done = RestoreDone { bytes, backup: Some(summary(controller, bytes, &end)) };
    send(lines, &Answer::Done(json(done))).await?;
    site.start_again();
    Err(Gone::from(LinesCodecError::Io(io::ErrorKind::ConnectionAborted.into())))
}

/// A backup on its way in. Dropped, it leaves nothing.
struct Upload {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Upload {
    fn begin(dir: &Path) -> io::Result<Upload> {
        let path = dir.join(PART);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        // Two at a time would be written into each other.
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another restore is under way"))?;
        file.set_len(0)?;
        Ok(Upload { path, file, bytes: 0 })
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if ballast::free(&self.path).is_some_and(|free| free < piece.len() as u64 + 2 * ballast::BYTES) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes += piece.len() as u64;
        self.file.write_all(piece)
    }

    fn stage(&self, dir: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, dir.join(copy::RESTORE_FILE))?;
        File::open(dir)?.sync_all()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Staged, it has another name.
        let _gone = fs::remove_file(&self.path);
    }
}

async fn take_in(
    lines: &mut Lines,
    dir: PathBuf,
    first: RestoreChunk,
) -> Result<Result<Upload, Refusal>, Gone> {
    let not_taken = |error: io::Error| failed(format!("the backup can't be taken in: {error}"));
    let mut upload = match Upload::begin(&dir) {
        Ok(upload) => upload,
        Err(error) => return Ok(Err(not_taken(error))),
    };
    let mut chunk = first;
    loop {
        let Ok(piece) = BASE64.decode(chunk.data.as_bytes()) else {
            return Ok(Err(Refusal::new(Code::Usage, "a piece of a backup is not in base64")));
        };
        let taken = spawn_blocking(move || {
            let taken = upload.take(&piece);
            (upload, taken)
        });
        let Ok((back, taken)) = taken.await else { return Ok(Err(stopping())) };
        upload = back;
        if let Err(error) = taken {
            return Ok(Err(not_taken(error)));
        }
        if chunk.last {
            return Ok(Ok(upload));
        }
        send(lines, &Answer::Done(json(RestoreDone { bytes: upload.bytes, backup: None }))).await?;
        let Some(line) = lines.next().await else {
            return Err(Gone::from(LinesCodecError::Io(io::ErrorKind::UnexpectedEof.into())));
        };
        chunk = match read(&line?).map(|envelope| envelope.request) {
            Ok(Request::Restore(chunk)) => chunk,
            Ok(other) => {
                let said =
                    format!("{} came in the middle of a restore; nothing was restored", other.action());
                return Ok(Err(Refusal::new(Code::Usage, said)));
            }
            Err(refusal) => return Ok(Err(refusal)),
        };
    }
}
