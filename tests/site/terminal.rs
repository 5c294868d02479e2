//! A terminal for what people look at and type into: tmux, with a server of its own for each.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[derive(Debug)]
pub struct Terminal {
    socket: PathBuf,
    status: PathBuf,
}

/// Runs the words behind it and leaves the exit code in a file: tmux at times has none for a command that has ended.
const KEEPING_STATUS: &str = r#"trap : INT; "$@"; echo $? >"$STATUS.new"; mv "$STATUS.new" "$STATUS""#;

impl Terminal {
    /// Runs a command in a window of so many columns and rows. What it showed stays when it has ended.
    #[track_caller]
    pub fn open(folder: &Path, size: (u16, u16), environment: &[(&str, &str)], command: &[&str]) -> Terminal {
        let settings = folder.join("tmux.conf");
        std::fs::write(&settings, "set -g remain-on-exit on\nset -g status off\nset -g history-limit 2000\n")
            .expect("the test's folder is writable");
        let terminal = Terminal { socket: folder.join("tmux"), status: folder.join("tmux.status") };
        // Of a window before.
        drop(std::fs::remove_file(&terminal.status));
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let mut start = terminal.tmux(&["-f"]);
        start.arg(&settings).args(["new-session", "-d", "-x", &columns, "-y", &rows]);
        for (name, value) in environment {
            start.args(["-e", &format!("{name}={value}")]);
        }
        start.arg("-e").arg(format!("STATUS={}", terminal.status.display()));
        start.args(["--", "sh", "-c", KEEPING_STATUS, "sh"]).args(command);
        // Whatever tests run in may itself be a tmux.
        let said = start.env_remove("TMUX").output().expect("tmux is installed (./dev test installs it)");
        assert!(said.status.success(), "{said:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(arguments);
        tmux
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Output {
        let said = self.tmux(arguments).output().expect("tmux");
        assert!(said.status.success(), "tmux {arguments:?}: {said:?}");
        said
    }

    /// What stands on the screen, a line each, without the spaces at their ends.
    #[track_caller]
    pub fn screen(&self) -> String {
        String::from_utf8(self.done(&["capture-pane", "-p"]).stdout).expect("UTF-8")
    }

    /// The same with the escape sequences that colours are.
    #[track_caller]
    pub fn coloured(&self) -> String {
        String::from_utf8(self.done(&["capture-pane", "-p", "-e"]).stdout).expect("UTF-8")
    }

    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        self.done(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What stands on it, with what has scrolled away.
    #[track_caller]
    pub fn everything(&self) -> String {
        String::from_utf8(self.done(&["capture-pane", "-p", "-S", "-"]).stdout).expect("UTF-8")
    }

    /// Keys by tmux's names: `Enter`, `C-c`, `q`.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.done(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen, or what has scrolled away, satisfies the condition.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let mut last = String::new();
        let found = hardware_sim::wait::until(super::RECONNECT_LIMIT, || {
            last = self.everything();
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("the terminal never showed {what}:\n{last}"))
    }

    /// The exit code of the command, once it has ended.
    pub fn has_ended(&self) -> Option<i32> {
        std::fs::read_to_string(&self.status).ok()?.trim().parse().ok()
    }

    /// Waits until the command has ended, and says with what.
    #[track_caller]
    pub fn ended(&self) -> i32 {
        let status = hardware_sim::wait::until(super::RECONNECT_LIMIT, || self.has_ended());
        status.unwrap_or_else(|| panic!("the command never ended:\n{}", self.screen()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.tmux(&["kill-server"]).output();
    }
}
