//! Every metric there is: its name, what it says, and where its value comes from.
//!
//! Names follow Prometheus' conventions: base units last, `_total` for what only grows. They are a contract with
//! alert rules and dashboards (`config/prometheus`, `config/grafana`): add, don't rename.

use super::{
    Measured, Surroundings,
    text::{Labels, Page},
};
use crate::{
    domain::{At, ClockTrust, Contact, DoorAlarm, DoorMode, LockState, Reason},
    wire::control::StatusReport,
};

/// All of them, as text.
pub fn page(measured: &Measured, around: &Surroundings) -> String {
    let mut page = Page::default();
    process(&mut page, &measured.status, around);
    taps(&mut page, measured);
    doors(&mut page, &measured.status);
    readers(&mut page, measured);
    boards(&mut page, measured);
    fire(&mut page, &measured.status);
    journal(&mut page, measured);
    sync(&mut page, measured);
    broker(&mut page, measured);
    clock(&mut page, &measured.status, around);
    stores(&mut page, measured, around);
    queues(&mut page, around);
    page.text()
}

fn seconds(at: At) -> f64 {
    at.secs() as f64 + f64::from(at.nanos() / 1_000_000) / 1000.0
}

fn process(page: &mut Page, status: &StatusReport, around: &Surroundings) {
    let labels: Labels<'_> =
        &[("controller", status.controller.as_str()), ("version", status.version.as_str())];
    page.gauge("latchd_build_info", "Which controller this is, and which latchd it runs; always 1.")
        .sample(labels, 1);
    page.gauge("process_start_time_seconds", "When the daemon started, by the box's clock then.")
        .is(seconds(status.started_at));
    page.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.")
        .is_known(around.resident_bytes);
}

fn taps(page: &mut Page, measured: &Measured) {
    let counts = &measured.counts;
    let mut family = page.counter("latchd_decisions_total", "Taps decided on, by answer and its reason.");
    for reason in Reason::ALL {
        let count = counts.decisions.get(&reason).copied().unwrap_or(0);
        family.sample(&[("decision", reason.verdict().as_str()), ("reason", reason.as_str())], count);
    }
    page.histogram(
        "latchd_tap_release_seconds",
        "From a granted tap's arrival to the release being handed to its board: the wait for the journal.",
        &counts.tap_release,
    );
    page.histogram(
        "latchd_tap_strike_seconds",
        "From a granted tap's arrival to the board's confirmation that the strike is driven.",
        &counts.tap_strike,
    );
    page.counter(
        "latchd_late_releases_total",
        "Doors released before their entry was on disk, because it took longer than journal.release_wait_ms.",
    )
    .is(counts.late_releases);
}

fn doors(page: &mut Page, status: &StatusReport) {
    let mut family = page.gauge("latchd_door_mode", "The door's mode: 1 for the one it is in.");
    for d in &status.doors {
        let all = DoorMode::ALL.into_iter().map(DoorMode::as_str);
        family.states(("door", d.door.as_str()), "mode", all, d.mode.as_str());
    }
    let mut family = page.gauge("latchd_door_lock", "What the board confirms of the lock: 1 for what it is.");
    for d in &status.doors {
        let all = LockState::ALL.into_iter().map(LockState::as_str);
        family.states(("door", d.door.as_str()), "lock", all, d.lock.as_str());
    }
    let mut family = page.gauge("latchd_door_contact", "What the door's contact says: 1 for what it is.");
    for d in &status.doors {
        let all = Contact::ALL.into_iter().map(Contact::as_str);
        family.states(("door", d.door.as_str()), "contact", all, d.contact.as_str());
    }
    let mut family = page.gauge("latchd_door_alarm", "The door's alarm: 1 for the one there is, or none.");
    for d in &status.doors {
        let all = DoorAlarm::ALL.into_iter().map(DoorAlarm::as_str);
        family.states(("door", d.door.as_str()), "alarm", all, d.alarm.as_str());
    }
    let mut family = page.gauge(
        "latchd_door_fault",
        "1 if the lock does not do what it is told, or the exit button is stuck; latchctl door show says which.",
    );
    for d in &status.doors {
        family.sample(&[("door", d.door.as_str())], u8::from(d.fault.is_some()));
    }
}

fn readers(page: &mut Page, measured: &Measured) {
    let (readers, counts) = (&measured.status.readers, &measured.counts);
    let mut family = page.gauge("latchd_reader_connected", "1 if the reader answers.");
    for r in readers {
        let labels: Labels<'_> =
            &[("reader", r.reader.as_str()), ("door", r.door.as_str()), ("driver", r.driver.as_str())];
        family.sample(labels, u8::from(r.connected));
    }
    let mut family =
        page.gauge("latchd_reader_tamper", "1 if the reader says that it was opened or taken off the wall.");
    for r in readers {
        family.sample(&[("reader", r.reader.as_str()), ("door", r.door.as_str())], u8::from(r.tamper));
    }
    let count = |id| counts.readers.get(id).copied().unwrap_or_default();
    let mut family = page.counter("latchd_reader_connections_total", "Times the reader came up.");
    for r in readers {
        family.sample(&[("reader", r.reader.as_str())], count(&r.reader).connections);
    }
    let mut family = page.counter("latchd_reader_losses_total", "Times the reader was lost.");
    for r in readers {
        family.sample(&[("reader", r.reader.as_str())], count(&r.reader).losses);
    }
    let mut family =
        page.counter("latchd_reader_unreadable_total", "Cards in the reader's field that could not be read.");
    for r in readers {
        let count = counts.unreadable.get(&r.reader).copied().unwrap_or(0);
        family.sample(&[("reader", r.reader.as_str())], count);
    }
}

fn boards(page: &mut Page, measured: &Measured) {
    let (boards, counts) = (&measured.status.boards, &measured.counts);
    let mut family = page.gauge("latchd_board_connected", "1 if the board answers.");
    for b in boards {
        family.sample(&[("board", b.board.as_str())], u8::from(b.connected));
    }
    let count = |id| counts.boards.get(id).copied().unwrap_or_default();
    let mut family = page.counter("latchd_board_connections_total", "Times the link to the board came up.");
    for b in boards {
        family.sample(&[("board", b.board.as_str())], count(&b.board).connections);
    }
    let mut family = page.counter("latchd_board_losses_total", "Times the link to the board was lost.");
    for b in boards {
        family.sample(&[("board", b.board.as_str())], count(&b.board).losses);
    }
    let mut family =
        page.counter("latchd_board_command_failures_total", "Commands the board did not confirm.");
    for b in boards {
        let count = counts.board_failures.get(&b.board).copied().unwrap_or(0);
        family.sample(&[("board", b.board.as_str())], count);
    }
}

fn fire(page: &mut Page, status: &StatusReport) {
    let raised = status.fire.as_ref().is_some_and(|fire| fire.raised);
    page.gauge("latchd_fire_alarm", "1 while the fire alarm has doors released.").is(u8::from(raised));
}

fn journal(page: &mut Page, measured: &Measured) {
    let journal = &measured.status.journal;
    page.gauge("latchd_journal_recorded_sequence", "Number of the last event that is on disk.")
        .is(journal.recorded);
    page.gauge("latchd_journal_acknowledged_sequence", "Number of the last event that central has stored.")
        .is(journal.acknowledged);
    page.gauge("latchd_journal_unacknowledged_events", "Events on disk that central has not acknowledged.")
        .is(journal.recorded.saturating_sub(journal.acknowledged));
    page.gauge("latchd_journal_unrecorded_events", "Events made, and not known to be on disk yet.")
        .is(measured.unrecorded);
    page.gauge("latchd_journal_fault", "1 while the journal can't be written; latchctl status says why.")
        .is(u8::from(journal.fault.is_some()));
    page.counter("latchd_journal_failures_total", "Times the journal could not be written.")
        .is(measured.counts.journal_failures);
}

fn sync(page: &mut Page, measured: &Measured) {
    let sync = &measured.status.sync;
    page.gauge("latchd_sync_epoch", "The list of central's that is followed; 0: none yet.").is(sync.epoch);
    page.gauge("latchd_sync_applied", "The last of central's changes that is in force.").is(sync.applied);
    page.gauge("latchd_sync_rejected_records", "Records of central's refused since the last snapshot.")
        .is(sync.rejected);
    page.gauge("latchd_sync_credentials", "Credentials in force.").is(sync.credentials);
    page.gauge("latchd_sync_grants", "Grants in force.").is(sync.grants);
    page.gauge(
        "latchd_sync_age_seconds",
        "How long ago central was last heard; absent if that is not known.",
    )
    .is_known(measured.heard_ago.map(|ago| ago.as_secs_f64()));
    page.gauge("latchd_sync_stale", "1 if central was last heard longer ago than sync.stale_after_s.")
        .is(u8::from(sync.stale));
    let (stored, parts) = sync.snapshot.unwrap_or_default();
    page.gauge("latchd_sync_snapshot_stored_parts", "Parts of a snapshot under way that are stored.")
        .is(stored);
    page.gauge("latchd_sync_snapshot_parts", "Parts of the snapshot under way in all; 0: there is none.")
        .is(parts);
    let mut family = page.counter(
        "latchd_messages_refused_total",
        "Messages of central's that were refused, by what was wrong with them.",
    );
    for (kind, count) in &measured.refused {
        family.sample(&[("kind", *kind)], count);
    }
}

fn broker(page: &mut Page, measured: &Measured) {
    let (sync, counts) = (&measured.status.sync, &measured.counts.broker);
    page.gauge("latchd_broker_connected", "1 if there is a connection to the broker.")
        .is(u8::from(sync.connected));
    page.counter("latchd_broker_connections_total", "Times a connection to the broker was made.")
        .is(counts.connections);
    page.counter(
        "latchd_broker_losses_total",
        "Times a connection to the broker was lost, or could not be made for a new reason.",
    )
    .is(counts.losses);
    let mut family = page.gauge(
        "latchd_certificate_expiry_timestamp_seconds",
        "When a certificate of the link ends: the controller's own (mqtt.cert_file), the authority's (mqtt.ca_file), the broker's.",
    );
    for c in &sync.certificates {
        family.sample(&[("certificate", c.certificate.as_str())], seconds(c.not_after));
    }
}

fn clock(page: &mut Page, status: &StatusReport, around: &Surroundings) {
    let mut family = page
        .gauge("latchd_clock_trust", "How far the clock is believed: 1 for what holds. Bookings need it.");
    for trust in ClockTrust::ALL {
        family.sample(&[("trust", trust.as_str())], u8::from(trust == status.clock.trust));
    }
    let kernel = around.clock;
    page.gauge("latchd_clock_synchronised", "1 if the kernel says that the clock is synchronised.")
        .is_known(kernel.map(|k| u8::from(k.synchronised)));
    page.gauge("latchd_clock_offset_seconds", "What the kernel still has to correct of the clock.")
        .is_known(kernel.map(|k| k.offset_s));
    page.gauge("latchd_clock_max_error_seconds", "How far off the clock may be, by the kernel's estimate.")
        .is_known(kernel.map(|k| k.max_error_s));
}

fn stores(page: &mut Page, measured: &Measured, around: &Surroundings) {
    let mut family = page.gauge("latchd_store_size_bytes", "Size of a store's files on disk.");
    for store in &around.stores {
        family.sample(&[("store", store.name)], store.bytes);
    }
    page.gauge("latchd_store_available_bytes", "Room left on the file system of the stores.")
        .is_known(around.available_bytes);
    page.counter("latchd_cache_failures_total", "Changes and commands that could not be put on disk.")
        .is(measured.counts.cache_failures);
}

fn queues(page: &mut Page, around: &Surroundings) {
    let mut family = page.gauge(
        "latchd_queue_length",
        "What waits for the door loop, or in it for a thread that does not keep up.",
    );
    for queue in &around.queues {
        family.sample(&[("queue", queue.name)], queue.length);
    }
    let mut family = page.gauge("latchd_queue_limit", "How much a queue takes.");
    for queue in &around.queues {
        queue.limit.into_iter().for_each(|limit| _ = family.sample(&[("queue", queue.name)], limit));
    }
    let mut family = page
        .counter("latchd_dropped_total", "What was let go of because its queue was full, by what it was.");
    for (what, count) in &around.dropped {
        family.sample(&[("what", *what)], count);
    }
}
