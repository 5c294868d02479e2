//! Reads a copy: first all of it, to know that it is whole; then its records, one after the other.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{CopyError, End, Header, LAYOUT, MAGIC, MAX_PART, PartOf, SUM_LEN, known, layout};
use crate::{
    drivers::store::cache::small::Small,
    wire::stored::{SCHEMA, decode},
};

/// A copy that was found to be whole.
#[derive(Debug)]
pub struct GoodCopy {
    path: PathBuf,
    pub header: Header,
    pub small: Small,
    pub end: End,
    /// Where its records begin.
    records_at: u64,
    amended: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// A record as it lies in the cache: key and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Whose copy it is, without reading the rest.
pub fn header(path: &Path) -> Result<Header, CopyError> {
    Source::open(path)?.header()
}

impl GoodCopy {
    /// Reads all of a copy, and remembers of it what is small.
    pub fn open(path: &Path, controller: &str) -> Result<Self, CopyError> {
        let mut source = Source::open(path)?;
        let header = source.header()?;
        if header.controller != controller {
            let (path, found, own) = (path.to_owned(), header.controller, controller.to_owned());
            return Err(CopyError::OtherController { path, found, own });
        }
        let records_at = source.read;
        let (mut small, mut amended) = (Small::default(), BTreeMap::new());
        let end = loop {
            let part = source.part()?;
            match decode::<PartOf>(&part).map_err(|e| source.damaged(&e.to_string()))? {
                PartOf::Record(..) => {}
                PartOf::Amended(key, value) => {
                    _ = amended.insert(key.to_vec(), value.map(<[u8]>::to_vec));
                }
                PartOf::Small(tree, key, value) => small.put(tree, key.to_vec(), value.to_vec()),
                PartOf::End(end) => break end,
            }
        };
        source.check_sum()?;
        source.check_end()?;
        Ok(GoodCopy { path: path.to_owned(), header, small, end, records_at, amended })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its records: in the order of keys, then those that changed while it was written.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Pair, CopyError>> + use<'_>, CopyError> {
        let mut source = Source::open(&self.path)?;
        source.seek(self.records_at)?;
        let amended = self.amended.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        let unchanged = std::iter::from_fn(move || source.record().transpose());
        let is_amended = |pair: &Result<Pair, CopyError>| {
            pair.as_ref().is_ok_and(|(key, _)| self.amended.contains_key(key))
        };
        Ok(unchanged.filter(move |pair| !is_amended(pair)).chain(amended.map(Ok)))
    }
}

/// A file, and the sum of what was read of it.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    file: BufReader<File>,
    sum: Sha256,
    read: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self, CopyError> {
        let failed = |error| CopyError::File { what: "open", path: path.to_owned(), error };
        let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        Ok(Source { path: path.to_owned(), file, sum: Sha256::new(), read: 0 })
    }

    fn header(&mut self) -> Result<Header, CopyError> {
        let no_copy = |error: CopyError| {
            if let CopyError::Damaged { path, .. } = error { CopyError::NoCopy { path } } else { error }
        };
        let mut magic = [0; MAGIC.len()];
        self.take(&mut magic).map_err(no_copy)?;
        if magic != *MAGIC {
            return Err(CopyError::NoCopy { path: self.path.clone() });
        }
        let mut found = [0; 4];
        self.take(&mut found)?;
        let found = u32::from_le_bytes(found);
        if found != LAYOUT {
            return Err(self.newer(layout(found, 0)));
        }
        let part = self.part()?;
        self.check_sum()?;
        let header: Header = decode(&part).map_err(|e| self.damaged(&e.to_string()))?;
        if header.schema > SCHEMA {
            return Err(self.newer(layout(found, header.schema)));
        }
        Ok(header)
    }

    fn newer(&self, found: String) -> CopyError {
        CopyError::Newer { path: self.path.clone(), found, known: known() }
    }

    fn record(&mut self) -> Result<Option<Pair>, CopyError> {
        let part = self.part()?;
        match decode::<PartOf>(&part).map_err(|e| self.damaged(&e.to_string()))? {
            PartOf::Record(key, value) => Ok(Some((key.to_vec(), value.to_vec()))),
            PartOf::Amended(..) | PartOf::Small(..) | PartOf::End(_) => Ok(None),
        }
    }

    fn part(&mut self) -> Result<Vec<u8>, CopyError> {
        let mut len = [0; 4];
        self.take(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_PART {
            return Err(self.damaged("a part of it claims to be longer than any can be"));
        }
        let mut part = vec![0; len];
        self.take(&mut part)?;
        Ok(part)
    }

    /// That what comes next is the sum of all before.
    fn check_sum(&mut self) -> Result<(), CopyError> {
        let expected: [u8; SUM_LEN] = self.sum.clone().finalize().into();
        let mut found = [0; SUM_LEN];
        self.take(&mut found)?;
        if found == expected { Ok(()) } else { Err(self.damaged("its checksum is not that of its content")) }
    }

    fn check_end(&mut self) -> Result<(), CopyError> {
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("something stands behind its end")),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn take(&mut self, into: &mut [u8]) -> Result<(), CopyError> {
        match self.file.read_exact(into) {
            Ok(()) => {
                self.sum.update(&*into);
                self.read += into.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.damaged("it ends too early")),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn seek(&mut self, to: u64) -> Result<(), CopyError> {
        self.file.seek(SeekFrom::Start(to)).map(|_| ()).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> CopyError {
        CopyError::File { what: "read", path: self.path.clone(), error }
    }

    fn damaged(&self, why: &str) -> CopyError {
        CopyError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }
}
