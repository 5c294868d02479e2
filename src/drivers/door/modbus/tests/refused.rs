//! Commands that are not taken, and the end of a line.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_can_not_be_done_is_refused_without_asking_the_board() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(1, 2, 0);
    site.pulse(2, 2, 3_276_701);
    site.pulse(3, 4, 1_000);
    assert_eq!(site.failed(1).await, "a pulse of no time would hold the strike for ever on some boards");
    assert_eq!(site.failed(2).await, "the board can hold for 3276.7 s at most, not 3276.701s");
    assert_eq!(site.failed(3).await, "no coil 4 is in use; there are 4");
    board.serve(&READ_INPUTS, &[0x02, 1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_a_refused_command_comes_back() {
    let (site, _board) = Site::connected().await;
    (1..=WAITING_MAX as u64).for_each(|ticket| site.pulse(ticket, 2, 100));
    let command = BoardCommand::Pulse { ticket: 99, coil: 2, hold: ms(100), warrant: Warrant::Rex };
    let refused = site.handle.command(command.clone()).unwrap_err();
    assert_eq!(refused.command, command);
    assert_eq!(refused.to_string(), "board b: 64 commands are waiting already");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_ends_the_task() {
    let (site, mut board) = Site::connected().await;
    drop(site);
    assert!(board.is_closed().await);
}
