//! What is said of a file in the state directory that is not ours to read or write: as after somebody ran the daemon, or
//! copied a state, as root.

use std::{
    fmt,
    io::{Error, ErrorKind},
    path::Path,
};

/// What to do about an error at a file, where that is known. Shown behind the error.
#[derive(Debug)]
pub struct Advice<'a> {
    state_dir: Option<&'a Path>,
}

/// Of an error at a file in the state directory, or in the journal's folder there.
pub fn advice<'a>(error: &Error, path: &'a Path) -> Advice<'a> {
    let folder = path.parent().unwrap_or(path);
    let folder = if folder.ends_with("journal") { folder.parent().unwrap_or(folder) } else { folder };
    Advice { state_dir: (error.kind() == ErrorKind::PermissionDenied).then_some(folder) }
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dir) = self.state_dir else { return Ok(()) };
        let dir = dir.display();
        write!(f, "; it must belong to the user latchd runs as (chown -R latchd {dir}, if that is latchd)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_file_must_be_is_said_where_that_is_what_is_wrong() {
        let said = |kind, path| advice(&Error::from(kind), Path::new(path)).to_string();
        let own = "; it must belong to the user latchd runs as (chown -R latchd /var/lib/latchd, if that is latchd)";
        for path in ["/var/lib/latchd/uid.key", "/var/lib/latchd/journal/id", "/var/lib/latchd/journal"] {
            assert_eq!(said(ErrorKind::PermissionDenied, path), own, "{path}");
        }
        assert_eq!(said(ErrorKind::StorageFull, "/var/lib/latchd/uid.key"), "");
    }
}
