//! The state directory: whether it is there, whose it is, and whether there is room.

use std::{io, os::unix::fs::PermissionsExt};

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::{Finding, Patient, people::Owned};

const CHECK: &str = "disk";
const MIB: u64 = 1 << 20;
/// Below this the journal fails soon: events of a busy day.
const LEAST_BYTES: u64 = 100 * MIB;
const LITTLE_BYTES: u64 = 1024 * MIB;
const LEAST_FILES: u64 = 1000;

pub fn look(patient: &Patient) -> Vec<Finding> {
    let Some(config) = &patient.config else { return Vec::new() };
    let dir = &config.state_dir;
    let shown = dir.display();
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return vec![Finding::note(CHECK, format!("{shown} can't be looked into by who asks"))];
        }
        Err(error) => {
            let advice = "it is made when latchd starts as a service (StateDirectory=latchd), or by hand: it must be \
                 the daemon's own, with mode 0700";
            return vec![Finding::problem(CHECK, format!("{shown}: {error}"), advice)];
        }
    };
    let mut found = Vec::new();
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_dir() {
        return vec![Finding::problem(CHECK, format!("{shown} is no directory"), "move it away")];
    }
    if mode & 0o077 != 0 {
        found.push(Finding::warning(
            CHECK,
            format!("{shown} has mode {mode:o}: others on this box can look into who went where"),
            format!("chmod 700 {shown}"),
        ));
    }
    if let Some(account) = patient.account.as_ref().filter(|account| account.uid != metadata.owner()) {
        let name = &account.name;
        found.push(Finding::problem(
            CHECK,
            format!("{shown} is not {name}'s, so the service can't write there"),
            format!("chown -R {name}:{name} {shown}"),
        ));
    }
    match statvfs(dir) {
        Ok(room) => found.extend(room_for(&room, &shown.to_string())),
        Err(error) => found
            .push(Finding::note(CHECK, format!("{shown}: how much room there is can't be seen: {error}"))),
    }
    found
}

fn room_for(room: &StatVfs, dir: &str) -> Vec<Finding> {
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let mib = free / MIB;
    let mut found = Vec::new();
    if room.f_flag.contains(StatVfsMountFlags::RDONLY) {
        found.push(Finding::problem(
            CHECK,
            format!("{dir} is on a file system that can't be written: events are lost once memory is full"),
            "an error of the disk may have made it so (dmesg); mount it writable, or replace the disk",
        ));
    }
    // Some file systems have no such count.
    if room.f_files > 0 && room.f_favail < LEAST_FILES {
        let files = room.f_favail;
        found.push(Finding::problem(
            CHECK,
            format!("{dir}: room for {files} more files only (inodes)"),
            FREE,
        ));
    }
    found.push(match free {
        0..LEAST_BYTES => Finding::problem(CHECK, format!("{dir}: {mib} MiB free"), FREE),
        LEAST_BYTES..LITTLE_BYTES => Finding::warning(CHECK, format!("{dir}: {mib} MiB free"), FREE),
        _ => Finding::good(CHECK, format!("{dir}: {mib} MiB free")),
    });
    found
}

const FREE: &str = "make room (journalctl --vacuum-size=200M, apt-get clean), or give the journal less \
    (journal.keep_s, journal.max_events)";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::{super::samples::*, *};

    fn room(free_mib: u64, files: u64) -> StatVfs {
        let mut room = statvfs("/").unwrap();
        room.f_frsize = MIB;
        (room.f_bavail, room.f_files, room.f_favail) = (free_mib, 100_000, files);
        room.f_flag = StatVfsMountFlags::empty();
        room
    }

    #[test]
    fn little_room_few_files_and_a_disk_that_takes_nothing_are_told_apart() {
        assert_eq!(said(&room_for(&room(5000, 9000), "/s")), ["Good disk: /s: 5000 MiB free"]);
        assert_eq!(said(&room_for(&room(500, 9000), "/s")), ["Warning disk: /s: 500 MiB free"]);
        assert_eq!(said(&room_for(&room(50, 9000), "/s")), ["Problem disk: /s: 50 MiB free"]);
        assert!(said(&room_for(&room(5000, 10), "/s"))[0].contains("room for 10 more files only"));
        let mut read_only = room(5000, 9000);
        read_only.f_flag = StatVfsMountFlags::RDONLY;
        assert!(said(&room_for(&read_only, "/s"))[0].contains("can't be written"));
    }

    #[test]
    fn a_state_directory_that_is_not_there_open_to_all_or_somebody_elses_is_found() {
        let (folder, mut patient) =
            patient(&[("etc/passwd", "latchd:x:99990:99990::/:/bin/false\n"), ("etc/group", "")], Some(SITE));
        let dir = folder.path().join("state");
        patient.config.as_mut().unwrap().state_dir.clone_from(&dir);
        assert!(said(&look(&patient))[0].contains("No such file or directory"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let found = said(&look(&patient)).join("\n");
        assert!(found.contains("has mode 755") && found.contains("is not latchd's"), "{found}");
    }
}
