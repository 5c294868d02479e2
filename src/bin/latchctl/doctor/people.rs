//! Whom the daemon runs as, by the box's own files, and what that user may open.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

const SERVICE: &str = "latchd";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// With their names.
    pub groups: Vec<(u32, String)>,
}

impl Account {
    /// The service's own user, if the package has made it. The unit adds dialout and plugdev.
    pub fn of_service(root: &Path) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let (users, groups, unit) =
            (read("etc/passwd"), read("etc/group"), read("usr/lib/systemd/system/latchd.service"));
        Account::of(SERVICE, &users, &groups, &unit)
    }

    fn of(name: &str, users: &str, groups: &str, unit: &str) -> Option<Self> {
        let user: Vec<&str> = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|f| f.first() == Some(&name))?;
        let added: Vec<&str> = unit
            .lines()
            .filter_map(|line| line.strip_prefix("SupplementaryGroups="))
            .flat_map(str::split_whitespace)
            .collect();
        let gid = user.get(3)?.parse().ok()?;
        let all = groups.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (group, id) = (*fields.first()?, fields.get(2)?.parse::<u32>().ok()?);
            let is_member =
                fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name));
            (is_member || id == gid || added.contains(&group)).then(|| (id, group.to_owned()))
        });
        Some(Account { name: name.to_owned(), uid: user.get(2)?.parse().ok()?, gid, groups: all.collect() })
    }

    /// Whether the mode bits let this user read and write.
    pub fn may_use(&self, file: &impl Owned) -> bool {
        let (owner, group, mode) = (file.owner(), file.group(), file.bits());
        let in_group = group == self.gid || self.groups.iter().any(|(id, _)| *id == group);
        let bits = if self.uid == 0 {
            return true;
        } else if owner == self.uid {
            mode >> 6
        } else if in_group {
            mode >> 3
        } else {
            mode
        };
        bits & 0o6 == 0o6
    }
}

/// Who owns a file.
pub trait Owned {
    fn owner(&self) -> u32;
    fn group(&self) -> u32;
    fn bits(&self) -> u32;
}

impl Owned for fs::Metadata {
    fn owner(&self) -> u32 {
        self.uid()
    }
    fn group(&self) -> u32 {
        self.gid()
    }
    fn bits(&self) -> u32 {
        self.mode()
    }
}

/// A group's name, for advice.
pub fn group_name(root: &Path, gid: u32) -> String {
    let groups = fs::read_to_string(root.join("etc/group")).unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct File(u32, u32, u32);

    impl Owned for File {
        fn owner(&self) -> u32 {
            self.0
        }
        fn group(&self) -> u32 {
            self.1
        }
        fn bits(&self) -> u32 {
            self.2
        }
    }

    #[test]
    fn the_service_may_use_what_its_groups_and_its_unit_give_it() {
        let users = "root:x:0:0::/root:/bin/sh\nlatchd:x:990:990::/var/lib/latchd:/usr/sbin/nologin\n";
        let groups = "root:x:0:\ndialout:x:20:anna\nplugdev:x:46:\nlatchd:x:990:\nspi:x:77:bo,latchd\n";
        let unit = "[Service]\nSupplementaryGroups=dialout plugdev\n";
        let account = Account::of("latchd", users, groups, unit).unwrap();
        assert_eq!((account.uid, account.gid, account.groups.len()), (990, 990, 4));
        let may = |owner, group, mode| account.may_use(&File(owner, group, mode));
        assert!(may(0, 20, 0o660), "dialout's, as a serial port is");
        assert!(may(0, 77, 0o660) && may(990, 0, 0o600) && may(0, 0, 0o666));
        assert!(!may(0, 0, 0o660), "root's");
        assert!(!may(0, 20, 0o640), "to be read only");
        let bare = Account::of("latchd", users, groups, "").unwrap();
        assert!(!bare.may_use(&File(0, 20, 0o660)));
        assert_eq!(Account::of("latchd", "root:x:0:0::/:/bin/sh\n", groups, unit), None);
    }
}
