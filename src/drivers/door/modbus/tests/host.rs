//! Boards whose pulses we end, and coils side by side in one write.

use super::*;

const ALL: [u8; 5] = [0x01, 0, 0, 0, 4];
const ON_2: [u8; 5] = [0x05, 0x00, 0x02, 0xFF, 0x00];
const ALL_ON: [u8; 7] = [0x0F, 0, 0, 0, 4, 1, 0b1111];
const ALL_OFF: [u8; 7] = [0x0F, 0, 0, 0, 4, 1, 0];

impl Site {
    /// A connection of a board whose pulses we end, with so much of it driven.
    async fn host(driven: u8) -> (Self, Played) {
        let mut site = Site::with(config(Pulse::Host));
        let board = site.connect_host(driven).await;
        (site, board)
    }

    async fn connect_host(&mut self, driven: u8) -> Played {
        let mut board = self.listen();
        board.serve(&READ_INPUTS, &[0x02, 1, 0]).await;
        board.serve(&ALL, &[0x01, 1, driven]).await;
        assert!(matches!(self.next().await, BoardEvent::Connected { .. }));
        board
    }

    fn secure(&self, ticket: u64, coil: u8) {
        self.handle.command(BoardCommand::Secure { ticket, coil }).unwrap();
    }
}

impl Played {
    /// The first five bytes of a request are the echo of a write.
    async fn echo(&mut self, request: &[u8]) {
        self.serve(request, &request[..5]).await;
    }

    async fn hear_any(&mut self) -> Vec<u8> {
        let mut header = [0; 7];
        timeout(ms(60_000), self.line.read_exact(&mut header)).await.expect("the driver is silent").unwrap();
        self.transaction = [header[0], header[1]];
        let mut pdu = vec![0; usize::from(header[5]) - 1];
        self.line.read_exact(&mut pdu).await.unwrap();
        pdu
    }

    /// Answers polls until something else is asked, of any length.
    async fn next_of_any_length(&mut self) -> Vec<u8> {
        loop {
            let heard = self.hear_any().await;
            if heard != READ_INPUTS {
                return heard;
            }
            self.answer(&[0x02, 1, 0]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pulse_we_end_is_driven_read_back_and_switched_off_on_time() {
    let (mut site, mut board) = Site::host(0).await;
    let asked = clock::instant();
    site.pulse(7, 2, 2_000);
    board.echo(&ON_2).await;
    board.serve(&COIL_2, &ON).await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    let driven = clock::instant() - asked;
    assert!((ms(2_000)..ms(2_005)).contains(&driven), "{driven:?}");
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: true });
}

#[tokio::test(start_paused = true)]
async fn a_pulse_renewed_goes_on_without_a_gap() {
    let (mut site, mut board) = Site::host(0).await;
    let asked = clock::instant();
    for ticket in [7, 8, 9] {
        site.pulse(ticket, 2, 10_000);
        assert_eq!(board.next_but_polls(0).await, ON_2);
        board.answer(&ON_2).await;
        board.serve(&COIL_2, &ON).await;
        assert_eq!(site.next().await, BoardEvent::Pulsed { ticket });
        while ticket < 9 && clock::instant() < asked + ms(5_000) * (ticket as u32 - 6) {
            board.serve(&READ_INPUTS, &[0x02, 1, 0]).await;
        }
    }
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    let driven = clock::instant() - asked;
    assert!((ms(20_000)..ms(20_200)).contains(&driven), "{driven:?}");
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 9, by_board: true });
}

#[tokio::test(start_paused = true)]
async fn what_a_daemon_before_us_left_driven_is_switched_off_and_nothing_else_is_touched() {
    let (_site, mut board) = Site::host(0b0100).await;
    board.serve(&SWITCH_OFF_2, &SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    for _ in 0..20 {
        board.serve(&READ_INPUTS, &[0x02, 1, 0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pulse_of_ours_goes_on_over_a_lost_connection_and_ends_at_its_time() {
    let (mut site, mut board) = Site::host(0).await;
    let asked = clock::instant();
    site.pulse(7, 2, 5_000);
    board.echo(&ON_2).await;
    board.serve(&COIL_2, &ON).await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    drop(board);
    site.lost().await;
    let mut board = site.connect_host(0b0100).await;
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    assert!(clock::instant() - asked >= ms(5_000));
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: true });
}

#[tokio::test(start_paused = true)]
async fn a_coil_we_can_not_end_is_tried_again_soon_and_said_to_be_late() {
    let (mut site, mut board) = Site::host(0).await;
    site.pulse(7, 2, 2_000);
    board.echo(&ON_2).await;
    board.serve(&COIL_2, &ON).await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 7 });
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    let due = clock::instant();
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &ON).await;
    assert_eq!(board.next_but_polls(0).await, SWITCH_OFF_2);
    assert!(clock::instant() - due <= ms(105));
    board.answer(&SWITCH_OFF_2).await;
    board.serve(&COIL_2, &OFF).await;
    assert_eq!(site.next().await, BoardEvent::Ended { ticket: 7, by_board: false });
}

#[tokio::test(start_paused = true)]
async fn coils_due_together_go_on_and_off_in_one_write_each() {
    let (mut site, mut board) = Site::host(0).await;
    (0..4).for_each(|coil| site.pulse(u64::from(coil), coil, 2_000));
    assert_eq!(board.next_of_any_length().await, ALL_ON);
    board.answer(&ALL_ON[..5]).await;
    board.serve(&ALL, &[0x01, 1, 0b1111]).await;
    for ticket in 0..4 {
        assert_eq!(site.next().await, BoardEvent::Pulsed { ticket });
    }
    assert_eq!(board.next_of_any_length().await, ALL_OFF);
    board.answer(&ALL_OFF[..5]).await;
    board.serve(&ALL, &[0x01, 1, 0]).await;
    for ticket in 0..4 {
        assert_eq!(site.next().await, BoardEvent::Ended { ticket, by_board: true });
    }
}

#[tokio::test(start_paused = true)]
async fn a_lockdown_is_one_write_a_board_and_one_reading_back_and_each_coil_is_judged_by_itself() {
    let (mut site, mut board) = Site::connected().await;
    (0..4).for_each(|coil| site.secure(u64::from(coil), coil));
    assert_eq!(board.next_of_any_length().await, ALL_OFF);
    board.answer(&ALL_OFF[..5]).await;
    board.serve(&ALL, &[0x01, 1, 0b0010]).await;
    assert_eq!(site.next().await, BoardEvent::Secured { ticket: 0 });
    let said = "the board echoed the switching off, but coil 1 still reads as driven";
    assert_eq!(site.failed(1).await, said);
    assert_eq!(site.next().await, BoardEvent::Secured { ticket: 2 });
    assert_eq!(site.next().await, BoardEvent::Secured { ticket: 3 });
}

#[tokio::test(start_paused = true)]
async fn a_coil_between_two_is_not_written_and_a_board_that_takes_no_many_gets_one_each() {
    let (mut site, mut board) = Site::connected().await;
    [0, 1, 3].into_iter().for_each(|coil| site.secure(u64::from(coil), coil));
    assert_eq!(board.next_of_any_length().await, [0x0F, 0, 0, 0, 2, 1, 0]);
    board.answer(&[0x0F, 0, 0, 0, 2]).await;
    board.echo(&[0x05, 0, 3, 0, 0]).await;
    board.serve(&ALL, &[0x01, 1, 0b0100]).await;
    for ticket in [0, 1, 3] {
        assert_eq!(site.next().await, BoardEvent::Secured { ticket });
    }
    let mut site = Site::with(Config { write_many: false, ..config(Pulse::Flash { base: 0x0200 }) });
    let mut board = site.connect(0).await;
    [0, 1].into_iter().for_each(|coil| site.secure(u64::from(coil), coil));
    board.echo(&[0x05, 0, 0, 0, 0]).await;
    board.echo(&[0x05, 0, 1, 0, 0]).await;
    board.serve(&[0x01, 0, 0, 0, 2], &[0x01, 1, 0]).await;
    assert_eq!(site.next().await, BoardEvent::Secured { ticket: 0 });
}

#[tokio::test(start_paused = true)]
async fn pulses_of_one_board_are_told_each_and_read_back_together() {
    let (mut site, mut board) = Site::connected().await;
    (0..3).for_each(|coil| site.pulse(u64::from(coil), coil, 1_000));
    for coil in 0..3 {
        board.echo(&[0x05, 0x02, coil, 0, 10]).await;
    }
    board.serve(&[0x01, 0, 0, 0, 3], &[0x01, 1, 0b101]).await;
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 0 });
    assert_eq!(site.failed(1).await, "the board echoed the pulse, but coil 1 does not read as driven");
    assert_eq!(site.next().await, BoardEvent::Pulsed { ticket: 2 });
}
