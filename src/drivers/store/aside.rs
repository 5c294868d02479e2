//! Sets a file or a folder of the state directory aside: under another name with the time, never deleted, never over
//! something that was set aside before.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::drivers::clock;

/// What is said where something can't even be renamed.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be set aside: {error}; is the state directory writable for this user?")]
pub struct AsideError {
    pub path: PathBuf,
    pub error: std::io::Error,
}

/// Renames `path` to `NAME.WHY-TIME`. Returns what it is called now.
pub fn set_aside(path: &Path, why: &str) -> Result<PathBuf, AsideError> {
    let time = clock::wall().utc().format("%Y%m%dT%H%M%SZ");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = format!("{name}.{why}-{time}");
    let numbered = (2..).map(|n| format!("{first}-{n}"));
    let mut free = std::iter::once(first.clone()).chain(numbered).map(|name| path.with_file_name(name));
    let aside = free.find(|path| !path.exists()).unwrap_or_else(|| path.with_file_name(&first));
    match fs::rename(path, &aside) {
        Ok(()) => Ok(aside),
        Err(error) => Err(AsideError { path: path.to_owned(), error }),
    }
}

/// The last part of a path, as it is said in a sentence.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_twice_is_there_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        for content in ["one", "two"] {
            fs::write(&path, content).unwrap();
            let aside = set_aside(&path, "damaged").unwrap();
            assert!(name(&aside).starts_with("cache.damaged-20"), "{}", aside.display());
            assert_eq!(fs::read_to_string(aside).unwrap(), content);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(
            set_aside(&path, "damaged")
                .unwrap_err()
                .to_string()
                .contains("cache can't be set aside: No such")
        );
    }
}
