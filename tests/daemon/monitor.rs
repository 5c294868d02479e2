//! `latchctl monitor` in a terminal, beside the real daemon.

use crate::site::terminal::Terminal;
use crate::site::{Site, eventually};

fn monitor(site: &Site, environment: &[(&str, &str)]) -> Terminal {
    let socket = site.daemon.socket().to_str().unwrap().to_owned();
    let command = [env!("CARGO_BIN_EXE_latchctl"), "--socket", &socket, "monitor"];
    Terminal::open(site.folder.path(), (80, 24), environment, &command)
}

/// Waits for what stands on the screen now.
#[track_caller]
fn sees(terminal: &Terminal, what: &str, wanted: impl Fn(&str) -> bool) {
    let mut last = String::new();
    let seen = hardware_sim::wait::until(crate::site::RECONNECT_LIMIT, || {
        last = terminal.screen();
        wanted(&last).then_some(())
    });
    assert!(seen.is_some(), "the screen never showed {what}:\n{last}");
}

#[test]
fn the_site_is_on_the_screen_events_come_as_they_happen_and_q_gives_the_terminal_back() {
    let mut site = Site::running();
    let terminal = monitor(&site, &[("NO_COLOR", "1")]);
    sees(&terminal, "the doors", |screen| {
        screen.contains("The entrance") && screen.contains("reader room-4-in")
    });
    sees(&terminal, "the keys", |screen| screen.contains("q quit"));
    site.decision("entrance-in", "04C5B6A7D8E9FA");
    sees(&terminal, "the tap", |screen| screen.contains("access.denied"));
    // 39 is the terminal's own colour.
    let colours = ["31m", "32m", "33m"].map(|code| terminal.coloured().contains(code));
    assert_eq!(colours, [false; 3], "NO_COLOR is set:\n{}", terminal.coloured());

    terminal.press(&["/"]);
    terminal.press(&["n", "o", "n", "e", "s", "u", "c", "h", "Enter"]);
    sees(&terminal, "no event", |screen| !screen.contains("access.denied") && screen.contains("nonesuch"));
    terminal.press(&["Escape"]);
    sees(&terminal, "all events again", |screen| screen.contains("access.denied"));

    terminal.resize(40, 8);
    sees(&terminal, "what fits", |screen| screen.contains("more from 50x14 on"));
    terminal.resize(100, 30);
    sees(&terminal, "all of it", |screen| screen.contains("Readers and boards"));

    assert!(site.daemon.stop().success());
    sees(&terminal, "that the daemon is gone", |screen| screen.contains("trying again"));
    site.start_again();
    sees(&terminal, "that it is back", |screen| !screen.contains("trying again"));
    site.decision("room-4-in", "04C5B6A7D8E9FB");
    sees(&terminal, "events of the new run", |screen| {
        screen.contains("controller.started") || screen.contains("room-4-in, in")
    });

    terminal.press(&["q"]);
    assert_eq!(terminal.ended(), 0);
    // The screen from before it is back.
    eventually("the terminal as it was", || (!terminal.screen().contains("q quit")).then_some(()));
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let site = Site::running();
    let said = site.ctl(&["monitor"]);
    assert_eq!((said.code, said.err.contains("needs a terminal")), (2, true), "{said:?}");
}
