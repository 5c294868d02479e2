//! Writes a copy, a slice at a time, so that whoever owns the cache can do other things between two.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    ops::Bound,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use sled::Tree;

use super::{CopyError, End, Header, LAYOUT, MAGIC, PartOf};
use crate::{drivers::store::cache::small::Small, wire::stored::encode};

/// Bytes between two syncs: at the end of a large copy none is to last.
const SYNC_EVERY: u64 = 4 << 20;
/// Records changed while a copy is written. Past it the copy is given up: a snapshot's worth is coming in.
const MOST_AMENDED: usize = 20_000;

/// A copy under way. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct Writing {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    sum: Sha256,
    /// The last key written.
    cursor: Option<Vec<u8>>,
    amended: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: u64,
    synced: u64,
    /// It is in its place.
    is_done: bool,
}

impl Writing {
    pub fn begin(dir: &Path, name: &str, header: &Header) -> Result<Self, CopyError> {
        let temporary = dir.join(format!(".{name}.new"));
        let failed = |error| CopyError::File { what: "write", path: temporary.clone(), error };
        // Made anew, so that its mode is what is said here.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file =
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary).map_err(failed)?;
        let mut writing = Writing {
            path: dir.join(name),
            temporary,
            file: Some(BufWriter::with_capacity(1 << 16, file)),
            sum: Sha256::new(),
            cursor: None,
            amended: BTreeMap::new(),
            bytes: 0,
            synced: 0,
            is_done: false,
        };
        writing.put(MAGIC)?;
        writing.put(&LAYOUT.to_le_bytes())?;
        writing.part(&encode(header)?)?;
        writing.put_sum()?;
        Ok(writing)
    }

    /// Writes at most so many of the next records. Returns whether there are more.
    pub fn slice(&mut self, tree: &Tree, most: usize) -> Result<bool, CopyError> {
        let from = self.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut last, mut count) = (None, 0);
        for pair in tree.range::<Vec<u8>, _>((from, Bound::Unbounded)).take(most) {
            let (key, value) = pair.map_err(CopyError::Source)?;
            if crate::drivers::store::cache::records::is_record(&key) {
                self.part(&encode(&PartOf::Record(&key, &value))?)?;
            }
            last = Some(key.to_vec());
            count += 1;
        }
        let more = count == most;
        if more {
            self.cursor = last;
        }
        self.sync_now_and_then()?;
        Ok(more)
    }

    /// Records that were changed since this copy was begun, and are on disk. `false`: they are too many.
    pub fn amend(&mut self, written: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> bool {
        let is_record = |key: &[u8]| crate::drivers::store::cache::records::is_record(key);
        self.amended.extend(written.into_iter().filter(|(key, _)| is_record(key)));
        self.amended.len() <= MOST_AMENDED
    }

    /// The rest. On return the copy is whole and on disk, in the place of the one before.
    pub fn finish(mut self, small: &Small, end: &End) -> Result<u64, CopyError> {
        for (key, value) in std::mem::take(&mut self.amended) {
            self.part(&encode(&PartOf::Amended(&key, value.as_deref()))?)?;
        }
        for (tree, key, value) in small.iter() {
            self.part(&encode(&PartOf::Small(tree, key, value))?)?;
        }
        self.part(&encode(&PartOf::End(*end))?)?;
        self.put_sum()?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CopyError::File { what: "write", path, error }
        };
        let file = self.file.take().map(BufWriter::into_inner).transpose();
        let file = file.map_err(|e| failed(&self.temporary)(e.into_error()))?;
        file.map_or(Ok(()), |file| file.sync_all()).map_err(failed(&self.temporary))?;
        fs::rename(&self.temporary, &self.path).map_err(failed(&self.path))?;
        self.is_done = true;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))?;
        Ok(self.bytes)
    }

    fn part(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        // Far below 4 GiB: a record comes in a message.
        self.put(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.put(bytes)
    }

    fn put_sum(&mut self) -> Result<(), CopyError> {
        let sum: [u8; super::SUM_LEN] = self.sum.clone().finalize().into();
        self.put(&sum)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes));
        written.map_err(|error| self.failed(error))
    }

    fn sync_now_and_then(&mut self) -> Result<(), CopyError> {
        if self.bytes - self.synced < SYNC_EVERY {
            return Ok(());
        }
        self.synced = self.bytes;
        let Some(file) = &mut self.file else { return Ok(()) };
        let synced = file.flush().and_then(|()| file.get_ref().sync_data());
        synced.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> CopyError {
        CopyError::File { what: "write", path: self.temporary.clone(), error }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // What is buffered is for nobody any more.
        self.file.take().map(BufWriter::into_parts);
        if !self.is_done {
            let _gone = fs::remove_file(&self.temporary);
        }
    }
}
