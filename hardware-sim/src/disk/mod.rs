//! A disk that can be cut: a file served through FUSE, so that the kernel's own file system can lie on it, and so that
//! every write and every flush of it is seen. Needs root and `/dev/fuse`.
//!
//! ```text
//!   latchd ─► ext4 ─► loop device ─► folder/disk ─► here: what is there now, and what a power cut would leave
//! ```
//!
//! Cutting takes a copy and disturbs nothing: the disk goes on as if there had been none, and can be cut a hundred
//! times in one life of a daemon.

pub mod image;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use image::Image;
pub use image::{Cut, Moment};

/// The one file.
const NAME: &str = "disk";
const FILE: INodeNo = INodeNo(2);
/// The kernel may keep what never changes.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// What is looked at for zeros, so that a copy takes no more room than it has content.
const BLOCK: usize = 4096;

/// A running disk. Dropped, its file is gone; what is mounted on it must be unmounted first.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    image: Arc<Mutex<Image>>,
    _session: BackgroundSession,
}

impl Disk {
    /// Serves these bytes as `folder/disk`.
    pub fn start(folder: &Path, bytes: Vec<u8>) -> io::Result<Self> {
        let image = Arc::new(Mutex::new(Image::new(bytes)));
        let mut config = Config::default();
        config.mount_options.push(MountOption::FSName("latch-disk".into()));
        let session = fuser::spawn_mount(Served(Arc::clone(&image)), folder, &config)?;
        Ok(Self { path: folder.join(NAME), image, _session: session })
    }

    /// The file a loop device is to be set up on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This moment, to be cut at.
    pub fn moment(&self) -> Moment {
        locked(&self.image).moment()
    }

    /// The moment right behind a write, when so many more have come before it: in the middle of what the file system does
    /// at once, which by the clock alone is rarely met. To be asked for with [`Disk::caught`].
    pub fn catch_after(&self, writes: usize) {
        locked(&self.image).catch_after(writes);
    }

    /// That moment, once it has come.
    pub fn caught(&self) -> Option<Moment> {
        locked(&self.image).take_caught()
    }

    pub fn flushes(&self) -> u64 {
        locked(&self.image).flushes()
    }
}

/// Writes a disk's content as a file with holes where there is nothing.
pub fn save(content: &[u8], path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(content.len() as u64)?;
    for (n, block) in content.chunks(BLOCK).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(block, (n * BLOCK) as u64)?;
        }
    }
    Ok(())
}

/// A panic while it was held leaves an image that is still one.
fn locked(image: &Mutex<Image>) -> MutexGuard<'_, Image> {
    image.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Served(Arc<Mutex<Image>>);

impl Served {
    fn attributes(&self, node: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match node {
            INodeNo::ROOT => (FileType::Directory, 0o755, 0),
            FILE => (FileType::RegularFile, 0o600, locked(&self.0).size() as u64),
            _ => return None,
        };
        let then = SystemTime::UNIX_EPOCH;
        Some(FileAttr {
            ino: node,
            size,
            blocks: size / image::SECTOR as u64,
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: BLOCK as u32,
        })
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attributes(FILE).filter(|_| parent == INodeNo::ROOT && name == NAME) {
            Some(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(node) {
            Some(attributes) => reply.attr(&FOR_EVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No cache between the loop device and this: a write is seen when it is made.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let image = locked(&self.0);
        reply.data(image.read(usize::try_from(offset).unwrap_or(usize::MAX), size as usize));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if locked(&self.0).write(usize::try_from(offset).unwrap_or(usize::MAX), data) {
            reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
        } else {
            reply.error(Errno::ENOSPC);
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        locked(&self.0).flush();
        reply.ok();
    }

    /// Closing makes nothing last.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
