//! The doors and the flash, in made-up time.

use super::*;

const S: Duration = Duration::from_secs(1);

fn plant() -> (Plant, Instant) {
    let wiring = Wiring { strike: 0, contact: 0, rex: 1 };
    (Plant::new(8, 8, &[wiring]).unwrap(), crate::time::now())
}

#[test]
fn a_flash_ends_by_itself_at_its_time() {
    let (mut plant, t) = plant();
    plant.write_coil(t, FLASH_ON_BASE, 7).unwrap();
    assert_eq!(plant.next_deadline(), Some(t + Duration::from_millis(700)));
    plant.advance(t + Duration::from_millis(699));
    assert_eq!(plant.coil(0), Some(true));
    plant.advance(t + Duration::from_millis(700));
    assert_eq!(plant.coil(0), Some(false));
    assert_eq!(plant.next_deadline(), None);
}

#[test]
fn a_flash_off_comes_back_on() {
    let (mut plant, t) = plant();
    plant.write_coil(t, 3, 0xFF00).unwrap();
    plant.write_coil(t, FLASH_OFF_BASE + 3, 10).unwrap();
    assert_eq!(plant.coil(3), Some(false));
    plant.advance(t + S);
    assert_eq!(plant.coil(3), Some(true));
}

#[test]
fn a_later_write_takes_the_place_of_a_flash() {
    let (mut plant, t) = plant();
    plant.write_coil(t, FLASH_ON_BASE, 10).unwrap();
    plant.write_coil(t, 0, 0xFF00).unwrap();
    plant.advance(t + 2 * S);
    assert_eq!(plant.coil(0), Some(true));
    plant.write_coil(t, FLASH_ON_BASE, 10).unwrap();
    plant.write_coil(t, 0, 0).unwrap();
    assert_eq!((plant.coil(0), plant.next_deadline()), (Some(false), None));
}

#[test]
fn writes_outside_get_the_right_exception() {
    let (mut plant, t) = plant();
    let cases = [
        (8, 0xFF00, Exception::ILLEGAL_ADDRESS),
        (0x0208, 1, Exception::ILLEGAL_ADDRESS),
        (0x0408, 1, Exception::ILLEGAL_ADDRESS),
        (0, 1, Exception::ILLEGAL_VALUE),
        (0x0200, 0, Exception::ILLEGAL_VALUE),
        (0x0200, 0x8000, Exception::ILLEGAL_VALUE),
        (0x0200, 0xFF00, Exception::ILLEGAL_VALUE),
    ];
    for (address, value, exception) in cases {
        assert_eq!(plant.write_coil(t, address, value), Err(exception), "{address:#06x} {value:#06x}");
    }
    assert_eq!(plant.write_coils(t, 7, &[true, true]), Err(Exception::ILLEGAL_ADDRESS));
    assert_eq!(plant.record.next_number(), 0, "nothing moved");
}

#[test]
fn a_locked_door_stays_closed_and_a_released_one_opens_and_closes() {
    let (mut plant, t) = plant();
    assert_eq!(plant.pull(t, 0, Some(S)), Ok(Walk::Locked));
    assert_eq!(plant.input(0), Some(true));
    plant.write_coil(t, 0, 0xFF00).unwrap();
    assert_eq!(plant.pull(t, 0, Some(S)), Ok(Walk::Through));
    assert_eq!(plant.input(0), Some(false));
    plant.advance(t + S);
    assert_eq!(plant.input(0), Some(true));
}

#[test]
fn a_forced_door_opens_without_its_strike_and_a_propped_one_stays_open() {
    let (mut plant, t) = plant();
    plant.force(t, 0, None).unwrap();
    plant.advance(t + 3600 * S);
    assert_eq!(plant.input(0), Some(false));
    plant.close(t, 0).unwrap();
    assert_eq!(plant.input(0), Some(true));
}

#[test]
fn a_button_is_let_go_again() {
    let (mut plant, t) = plant();
    plant.press_rex(t, 0, S).unwrap();
    assert_eq!(plant.input(1), Some(true));
    plant.advance(t + S);
    assert_eq!(plant.input(1), Some(false));
}

#[test]
fn relays_fall_when_the_power_goes() {
    let (mut plant, t) = plant();
    plant.write_coil(t, FLASH_ON_BASE, 10).unwrap();
    plant.lose_power(t);
    assert_eq!((plant.coil(0), plant.next_deadline()), (Some(false), None));
}

#[test]
fn a_door_wired_to_nothing_is_refused() {
    let wiring = Wiring { strike: 9, contact: 0, rex: 1 };
    assert_eq!(Plant::new(8, 8, &[wiring]).err(), Some(NoSuch::Coil(9)));
}
