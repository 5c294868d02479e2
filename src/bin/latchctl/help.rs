//! What stands below a verb's own help, and in its manual page: an example, and what is easily got wrong.
//!
//! Each example is a command line that is understood: a test reads them all.

pub const STATUS: &str = "\
Examples:
  latchctl status
  watch latchctl status
  latchctl status --json | jq .sync";

pub const DOORS: &str = "\
Example:
  latchctl doors --json | jq -r '.[] | select(.alarm != \"none\") | .door'";

pub const READERS: &str = "\
Example:
  latchctl readers";

pub const CREDENTIALS: &str = "\
Example:
  latchctl credentials --holder m-17";

pub const CREDENTIAL_SHOW: &str = "\
Example:
  latchctl credential show c-81";

pub const ACTIVATE: &str = "\
Only what is handed out and not activated yet (issued), or what the desk itself
has suspended. A card that central has suspended, that is lost or revoked, is
central's to change. Outside staffed hours the desk is refused, and told when
they are next. A later record of the card from central wins over the desk.

Examples:
  latchctl credential activate c-81
  latchctl credential activate --reader desk
  latchctl credential activate c-81 --reader desk --within 1m
  latchctl credential activate c-81 --override --reason 'came on a Sunday'";

pub const SUSPEND: &str = "\
Counts at once, offline too, and outlasts restarts. `latchctl credential
activate` gives it back; a later record of the card from central wins.

Example:
  latchctl credential suspend c-81 --reason 'left on the bus'";

pub const DOOR_SHOW: &str = "\
Example:
  latchctl door show entrance";

pub const LOCK: &str = "\
Example:
  latchctl door lock entrance --reason 'the open day is over'";

pub const BLOCK: &str = "\
Example:
  latchctl door block room-4 --reason 'wet paint'";

pub const UNBLOCK: &str = "\
Example:
  latchctl door unblock room-4";

pub const LOCK_DOWN_RELEASE: &str = "\
Example:
  latchctl door lock-down-release --all --reason 'police gave the all-clear'";

pub const LOCK_OPEN: &str = "\
Example:
  latchctl door lock-open entrance --for 3h --reason 'moving day'";

pub const LOCK_OPEN_RELEASE: &str = "\
Example:
  latchctl door lock-open-release entrance";

pub const VERIFY: &str = "\
The chain shows what was altered within it. That all of it was written anew
shows only against a signature from before: central gets one in each status
message, `latchctl journal checkpoint` prints one.

Examples:
  latchctl journal verify
  latchctl journal verify --against /media/usb/oslo-1.checkpoints";

pub const LOG: &str = "\
Changing takes an administrator, and is recorded. It is not kept: after the
next start what the daemon was started with holds again.

Examples:
  latchctl log
  latchctl log debug
  latchctl log info,latchd::drivers::reader=trace
  journalctl -u latchd -f";

pub const SYNC: &str = "\
Examples:
  latchctl sync
  latchctl sync resync";

pub const RESYNC: &str = "\
Doors go on from what is there until all of the snapshot is in.

Examples:
  latchctl sync resync
  latchctl sync resync --wait
  latchctl sync resync --wait --within 1h";

pub const COMPLETIONS: &str = "\
Examples:
  latchctl completions bash > /usr/share/bash-completion/completions/latchctl
  latchctl completions zsh > /usr/share/zsh/vendor-completions/_latchctl
  latchctl completions fish --of latchd > /usr/share/fish/vendor_completions.d/latchd.fish";

pub const MAN: &str = "\
One page for latchctl and each of its verbs, latchd(8), latchd.toml(5). The
same version writes the same pages, byte for byte.

Example:
  latchctl man debian/man && man -l debian/man/latchctl.1";

pub const EXPORT: &str = "\
Each line is an event as it was recorded: its `hash` is the SHA-256 of the
rest of it in canonical form (RFC 8785), its `prev` the hash before it.

Examples:
  latchctl journal export > oslo-1.jsonl
  latchctl journal export --from 12000 | jq -r .type | sort | uniq -c";

pub const CHECKPOINT: &str = "\
Example:
  latchctl journal checkpoint >> /media/usb/oslo-1.checkpoints";

pub const READER_WATCH: &str = "\
For technicians: whole UIDs are shown, so that a card can be given to its
holder, and a reader that answers bytes the other way round be found
(uid_order). They go nowhere else; that you watched is recorded.

Doors open meanwhile as they do for any tap.

Examples:
  latchctl reader watch
  latchctl reader watch entrance-in --count 1
  latchctl reader watch desk --json | jq -r 'select(.what == \"tap\").uid'";

pub const DOOR_TEST: &str = "\
Each strike is driven as `latchctl door access` does, and recorded. There is no
test during a lockdown or a fire alarm. With --json each step is a line.

Exit status:
  0 all passed or were skipped, 1 a step failed or was not done, else as ever

Examples:
  latchctl door test entrance --report entrance.md
  latchctl door test entrance --yes --timeout 10s --json";

pub const BOARD_TEST: &str = "\
Only coils and inputs that doors are wired to are tried, and never the fire
alarm's. Each strike is driven as `latchctl door access` does, and recorded.
There is no test during a lockdown or a fire alarm. With --json each step is a
line.

Exit status:
  0 all passed or were skipped, 1 a step failed or was not done, else as ever

Examples:
  latchctl board test board-1 --report board-1.md
  latchctl board test board-1 --yes --timeout 10s";

pub const DOCTOR: &str = "\
Looks at the configuration and the files it names, the service, serial ports and
boards, pcscd, the clock, the disk, certificates, and the way to the broker. It
works while the daemon is down. Whoever is not root is told what could not be
seen.

Exit status:
  0 nothing is wrong, 1 something is

Examples:
  sudo latchctl doctor
  latchctl doctor --json | jq -r '.[] | select(.grade == \"problem\").finding'
  latchctl doctor --config ./new.toml";

pub const MONITOR: &str = "\
What needs a person stands first. Keys: q ends it, Tab goes to the next part,
Up, Down, PgUp, PgDn, Home and End scroll that, / filters events by any text in
them, Esc shows all again. It fits 80x24, and takes whatever size there is;
with NO_COLOR set it has none. When the daemon restarts it says so, and goes on.

Example:
  latchctl monitor";

pub const DIAGNOSE: &str = "\
In it: the configuration without its comments and secrets, versions, what doctor
finds, the state, the journal's last events, the service's log, and what the box
says of its disks, clock and devices. Look into it before you send it: names of
doors, ids of holders and addresses are in it. A file that is there already is
left alone.

Examples:
  sudo latchctl diagnose oslo-1.tar.gz
  tar -xzf oslo-1.tar.gz && less oslo-1/README.txt";

pub const BACKUP: &str = "\
It is consistent while doors are in use. The journal is not in it: central has
that, and latchctl journal export prints it. Takes an administrator.

Example:
  latchctl backup /media/usb/oslo-1.backup";

pub const RESTORE: &str = "\
A backup of another controller, of a newer latchd, or one that is damaged is
refused, and nothing is changed. Else what was is set aside, the journal goes
on, and central is asked for what is newer. Takes an administrator.

Example:
  latchctl restore /media/usb/oslo-1.backup";
