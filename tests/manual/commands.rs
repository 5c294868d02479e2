//! What the manual shows of a working site, run at one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::blocks;
use crate::site::records::{card, card_with_status, standing};
use crate::site::terminal::Terminal;
use crate::site::{Site, pause};

/// Commands whose answer may be that something is wrong, as it is at a site without a service manager.
const MAY_FIND: [&str; 1] = ["latchctl doctor"];

/// The programs as the manual calls them, at this site's socket and configuration.
fn programs(site: &Site, folder: &Path) {
    let quoted = |path: &Path| format!("'{}'", path.display());
    let latchctl = format!("{} --socket {}", env!("CARGO_BIN_EXE_latchctl"), quoted(site.daemon.socket()));
    let latchd = format!("{} --config {}", env!("CARGO_BIN_EXE_latchd"), quoted(site.daemon.config_path()));
    for (name, program) in [("latchctl", latchctl.as_str()), ("latchd", latchd.as_str()), ("sudo", "")] {
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\nexec {program} \"$@\"\n")).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
    }
}

/// Where the programs are found first.
fn path(bin: &Path) -> String {
    format!("{}:/usr/bin:/bin", bin.display())
}

#[test]
fn what_the_manual_shows_of_a_site_is_so() {
    let site = Site::running();
    site.put([
        card("c-anna", "04A1B2C3D4E5F6", "m-anna"),
        card("c-lost", "04A1B2C3D4E5F7", "m-lost"),
        card_with_status("c-new", "04A1B2C3D4E5F8", "m-new", "issued"),
        standing("g-anna", "m-anna", &["perimeter"]),
    ]);
    let (bin, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    programs(&site, bin.path());
    let run = blocks::all().into_iter().filter(|command| command.kind == "site");
    for blocks::Command { place, text, .. } in run {
        let mut shell = Command::new("bash");
        shell.args(["-euc", &text]).env("PATH", path(bin.path())).current_dir(&folder);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let finds = MAY_FIND.iter().any(|verb| text.contains(verb)) && output.status.code() == Some(1);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || finds, "{place}: {text}: {} {said}", output.status);
        let shown = !output.stdout.is_empty() || !output.stderr.is_empty();
        let quiet = text.contains(" > ") || text.contains("events");
        assert!(shown || quiet, "{place}: {text} said nothing");
    }
}

#[test]
fn what_the_manual_shows_to_hands_waits_for_them() {
    let site = Site::running();
    // The desk is staffed whenever this runs.
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let hours = json!([{ "days": days, "from": "00:00", "to": "24:00" }]);
    site.put([json!({ "type": "policy", "id": "site", "staffed_hours": hours })]);
    let bin = TempDir::new().unwrap();
    programs(&site, bin.path());
    for blocks::Command { place, text, .. } in blocks::all().into_iter().filter(|c| c.kind == "hand") {
        let text = text.replace("desk", "entrance-in");
        let folder = TempDir::new().unwrap();
        let (there, path) = (folder.path().to_str().unwrap(), format!("PATH={}", path(bin.path())));
        let command = ["env", "-C", there, &path, "bash", "-euc", &text];
        let terminal = Terminal::open(folder.path(), (100, 30), &[], &command);
        pause("what does not wait has ended by then", Duration::from_secs(1));
        assert_eq!(terminal.has_ended(), None, "{place}: {text} did not wait:\n{}", terminal.screen());
        terminal.press(&["C-c"]);
        terminal.ended();
    }
}
