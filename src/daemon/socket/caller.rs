//! Who is at the other end of a connection, and what they may: the kernel says the user (SO_PEERCRED), the user
//! database and the process itself say the groups, the configuration says what a group may.
//!
//! ```text
//!  connection ─► SO_PEERCRED: uid, gid, pid ─┬─ the user database (getgrouplist): so that a new member is let in at once
//!                                            └─ the process's own groups, where /proc shows them: a service's
//!                                               SupplementaryGroups (`sg` changes the gid, which is among the first)
//! ```
//!
//! The database may be a directory service that does not answer. It is asked on threads of its own kind, a few at
//! most, with a limit: doors wait for none of it. Root is not asked about, so that somebody always gets in.

use std::{cell::RefCell, ffi::CString, fs, rc::Rc, sync::Arc, time::Duration};

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::{net::UnixStream, sync::Semaphore};

use crate::{
    daemon::config::Operators,
    domain::Role,
    wire::control::{Code, Refusal},
};

/// The groups in force, shared with whoever reads the configuration again.
#[derive(Debug, Clone)]
pub struct Groups(Rc<RefCell<Arc<Operators>>>);

impl Groups {
    pub fn new(operators: Operators) -> Self {
        Groups(Rc::new(RefCell::new(Arc::new(operators))))
    }

    /// Other groups, for sessions under way too.
    pub fn change(&self, operators: Operators) {
        *self.0.borrow_mut() = Arc::new(operators);
    }

    pub fn current(&self) -> Arc<Operators> {
        self.0.borrow().clone()
    }
}

/// The kernel's word on the other end, as of its `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    gid: u32,
    pid: Option<i32>,
}

impl Peer {
    pub fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() })
    }

    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Root, and the user we run as, who could write our files anyway.
    pub fn is_master(&self) -> bool {
        self.uid == 0 || self.uid == nix::unistd::geteuid().as_raw()
    }
}

/// Somebody, as they were when last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As the journal names them: `anna (1000)`.
    pub by: String,
    /// The user's name, if there is one.
    name: Option<String>,
    pub role: Option<Role>,
}

/// Look-ups at a time: with a directory service that hangs, no more threads than this hang with it.
static LOOKING: Semaphore = Semaphore::const_new(4);
/// How long a caller waits for them.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Finds out who it is. An error is a sentence for them.
pub async fn look_up(peer: Peer, operators: Arc<Operators>) -> Result<Caller, Refusal> {
    let looked = tokio::time::timeout(LOOK_WITHIN, async {
        let permit = LOOKING.acquire().await.ok()?;
        let look = move || {
            let _permit = permit;
            Caller::of(peer, &operators)
        };
        tokio::task::spawn_blocking(look).await.ok()
    });
    if let Ok(Some(caller)) = looked.await {
        return Ok(caller);
    }
    let by = named(None, peer.uid);
    // Who needs no group is not kept out by a directory service.
    if peer.is_master() {
        return Ok(Caller { by, name: None, role: Some(Role::Admin) });
    }
    let said = format!(
        "not permitted: which groups {by} is in could not be found out within {} s; does this box's user database \
         answer? (getent initgroups)",
        LOOK_WITHIN.as_secs()
    );
    Err(Refusal::new(Code::NotPermitted, said))
}

impl Caller {
    /// Waits for the user database.
    fn of(peer: Peer, operators: &Operators) -> Self {
        let user = User::from_uid(Uid::from_raw(peer.uid)).ok().flatten();
        let role = if peer.is_master() {
            Some(Role::Admin)
        } else {
            let gids = groups_of(&peer, user.as_ref());
            let gid_of = |group: &str| Group::from_name(group).ok().flatten().map(|g| g.gid.as_raw());
            role_of(operators, gid_of, &gids)
        };
        let name = user.map(|user| user.name);
        let by = named(name.as_deref(), peer.uid);
        Caller { by, name, role }
    }

    /// Whether they may do what takes this role.
    pub fn may(&self, needs: Role, what: &str, operators: &Operators) -> Result<(), Refusal> {
        if self.role.is_some_and(|role| role >= needs) {
            return Ok(());
        }
        Err(Refusal::new(Code::NotPermitted, self.turned_away(needs, what, operators)))
    }

    fn turned_away(&self, needs: Role, what: &str, operators: &Operators) -> String {
        let by = &self.by;
        let how = match &self.name {
            Some(name) => format!(
                "an administrator of this box can put them into one: sudo usermod -aG {} {name}",
                operators.group(needs)
            ),
            None => "its user has no name here, so let the program run as one of that group".to_owned(),
        };
        let takes = operators.who_may(needs);
        match self.role {
            None => {
                format!("not permitted: {what} takes the group {takes}, and {by} is in none of them; {how}")
            }
            Some(role) => {
                let own = operators.group(role);
                format!("not permitted: {what} takes the group {takes}, and {by} is in {own} only; {how}")
            }
        }
    }
}

/// The highest role whose group is among these. A group that does not exist gives nobody a role.
fn role_of(operators: &Operators, gid_of: impl Fn(&str) -> Option<u32>, gids: &[u32]) -> Option<Role> {
    let is_in = |role: &Role| gid_of(operators.group(*role)).is_some_and(|gid| gids.contains(&gid));
    Role::ALL.into_iter().rev().find(is_in)
}

fn groups_of(peer: &Peer, user: Option<&User>) -> Vec<u32> {
    let mut gids = vec![peer.gid];
    let name = user.and_then(|user| Some((CString::new(user.name.as_str()).ok()?, user.gid)));
    if let Some((name, primary)) = name {
        match getgrouplist(&name, primary) {
            Ok(found) => gids.extend(found.into_iter().map(Gid::as_raw)),
            Err(error) => {
                tracing::warn!(%error, uid = peer.uid, "the user database does not say a caller's groups")
            }
        }
    }
    gids.extend(peer.pid.into_iter().flat_map(|pid| process_groups(pid, peer.uid)));
    gids
}

/// The supplementary groups of a process, if it is still that user's: its number may have gone to another since, and
/// it may have become another user's. Any process of that user has no groups but what the user was given.
fn process_groups(pid: i32, uid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = |field: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap_or_default().split_whitespace().filter_map(|n| n.parse().ok()).collect()
    };
    let uids = numbers("Uid:");
    if uids.len() == 4 && uids.iter().all(|own| *own == uid) { numbers("Groups:") } else { Vec::new() }
}

fn named(name: Option<&str>, uid: u32) -> String {
    name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} ({uid})"))
}

/// A sentence about groups that are not there. Waits for the user database.
pub fn missing_groups(operators: &Operators) -> Option<String> {
    let is_missing = |role: &Role| matches!(Group::from_name(operators.group(*role)), Ok(None));
    let missing: Vec<&str> =
        Role::ALL.into_iter().filter(is_missing).map(|role| operators.group(role)).collect();
    let commands = missing.iter().map(|group| format!("groupadd --system {group}")).collect::<Vec<_>>();
    (!missing.is_empty()).then(|| {
        format!(
            "[operators]: this box has no group {}, so nobody can use latchctl by that; root can (make it with: {})",
            missing.join(", "),
            commands.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Option<Role>) -> Caller {
        Caller { by: "bo (1001)".into(), name: Some("bo".into()), role }
    }

    fn gid_of(group: &str) -> Option<u32> {
        match group {
            "latch-observer" => Some(10),
            "latch-technician" => Some(20),
            _ => None,
        }
    }

    #[test]
    fn the_highest_group_counts_and_one_that_does_not_exist_gives_nothing() {
        let role = |gids: &[u32]| role_of(&Operators::default(), gid_of, gids);
        assert_eq!(role(&[]), None);
        assert_eq!(role(&[30, 0]), None, "no latch-admin: nobody is in it, root's group neither");
        assert_eq!(role(&[10]), Some(Role::Observer));
        assert_eq!(role(&[10, 20, 7]), Some(Role::Technician));
    }

    #[test]
    fn a_higher_role_may_what_a_lower_one_may_and_not_the_other_way_round() {
        let operators = Operators::default();
        for own in Role::ALL {
            for needs in Role::ALL {
                assert_eq!(caller(Some(own)).may(needs, "it", &operators).is_ok(), own >= needs);
            }
            assert!(caller(None).may(own, "it", &operators).is_err());
        }
    }

    #[test]
    fn who_is_turned_away_is_told_which_group_it_takes_and_how_to_be_put_into_it() {
        let operators = Operators::default();
        insta::assert_snapshot!(caller(None).may(Role::Observer, "status", &operators).unwrap_err().message, @"not permitted: status takes the group latch-observer, latch-technician or latch-admin, and bo (1001) is in none of them; an administrator of this box can put them into one: sudo usermod -aG latch-observer bo");
        insta::assert_snapshot!(caller(Some(Role::Technician)).may(Role::Admin, "lock_down", &operators).unwrap_err().message, @"not permitted: lock_down takes the group latch-admin, and bo (1001) is in latch-technician only; an administrator of this box can put them into one: sudo usermod -aG latch-admin bo");
        let nameless = Caller { by: "uid 7777".into(), name: None, role: None };
        insta::assert_snapshot!(nameless.may(Role::Technician, "access", &operators).unwrap_err().message, @"not permitted: access takes the group latch-technician or latch-admin, and uid 7777 is in none of them; its user has no name here, so let the program run as one of that group");
    }

    #[test]
    fn a_process_has_the_groups_the_kernel_says_while_it_is_that_users() {
        let own = i32::try_from(std::process::id()).unwrap();
        let uid = nix::unistd::getuid().as_raw();
        let groups: Vec<u32> = nix::unistd::getgroups().unwrap().into_iter().map(Gid::as_raw).collect();
        assert_eq!(process_groups(own, uid), groups);
        assert_eq!(process_groups(own, uid + 1), Vec::<u32>::new());
    }

    #[test]
    fn groups_that_are_not_there_are_said() {
        let there = Operators { observer: "root".into(), technician: "daemon".into(), admin: "mail".into() };
        assert_eq!(missing_groups(&there), None);
        let said = missing_groups(&Operators { admin: "no-such-group-here".into(), ..there }).unwrap();
        assert!(said.contains("has no group no-such-group-here, so nobody"), "{said}");
    }
}
