//! Coils that are to be off: switched off by command, or because their pulse did not end.

use super::*;

#[tokio::test(start_paused = true)]
async fn switching_off_is_written_first_read_back_and_ends_what_ran() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.pulse_2().await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    site.handle.command(BoardCommand::Secure { ticket: 8, coil: 2 }).unwrap();
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Secured { ticket: 8 });
    // Nothing is looked at any more when the pulse would have been over.
    let over = clock::instant() + ms(3_000);
    while clock::instant() < over {
        board.serve(&READ_INPUTS, &[0x02, 1, 0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_coil_that_does_not_drop_is_said_and_looked_at_again() {
    let (mut site, mut board) = Site::connected().await;
    site.handle.command(BoardCommand::Secure { ticket: 8, coil: 2 }).unwrap();
    board.serve(&SWITCH_OFF_2, &SWITCH_OFF_2).await;
    board.serve(&COIL_2, &ON).await;
    let said = "the board echoed the switching off, but coil 2 still reads as driven";
    assert_eq!(site.failed(8).await, said);
    assert_eq!(board.next_but_polls(0).await, COIL_2);
}

#[tokio::test(start_paused = true)]
async fn a_coil_whose_board_went_silent_while_it_was_switched_off_is_looked_at_when_it_is_back() {
    let (mut site, mut board) = Site::connected().await;
    site.handle.command(BoardCommand::Secure { ticket: 8, coil: 2 }).unwrap();
    board.expect(&SWITCH_OFF_2).await;
    assert_eq!(site.failed(8).await, "switching coil 2 off: no answer within 500 ms");
    site.lost().await;
    let mut board = site.connect(1).await;
    assert_eq!(board.next_but_polls(1).await, COIL_2);
}

#[tokio::test(start_paused = true)]
async fn a_pulse_that_ran_when_the_link_was_lost_is_looked_at_when_it_is_back() {
    let (mut site, mut board) = Site::connected().await;
    site.pulse(7, 2, 2_000);
    board.pulse_2().await;
    drop(board);
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    site.lost().await;
    sleep(ms(10_000)).await;
    let mut board = site.connect(1).await;
    // Overdue: first of all.
    board.serve(&COIL_2, &ON).await;
    board.serve(&SWITCH_OFF_2, &SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: false });
}
