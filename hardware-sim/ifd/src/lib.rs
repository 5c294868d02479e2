//! A card reader with lamps and a buzzer as a driver for the real pcscd (IFD handler 3.0, `ifdhandler.h`), because
//! vsmartcard's driver answers no escape command. pcscd loads the shared library; what it should do is written into a
//! folder, the reader's `DEVICENAME` (see `reader`).
//!
//! Here is only what C needs: ten functions, their pointers turned into slices, and the numbers of the header.

#![expect(
    unsafe_code,
    reason = "pcscd calls a driver through C functions with pointers; there is no safe way to be one"
)]

pub mod reader;

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_long, c_ulong};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reader::{Reader, Trouble};

type Dword = c_ulong;
type Response = c_long;

const SUCCESS: Response = 0;
const ERROR_TAG: Response = 600;
const COMMUNICATION_ERROR: Response = 612;
const NOT_SUPPORTED: Response = 614;
const ICC_PRESENT: Response = 615;
const ICC_NOT_PRESENT: Response = 616;
const NO_SUCH_DEVICE: Response = 617;
const INSUFFICIENT_BUFFER: Response = 618;

const TAG_ATR: Dword = 0x0303;
const TAG_SLOT_THREAD_SAFE: Dword = 0x0FAC;
const TAG_THREAD_SAFE: Dword = 0x0FAD;
const TAG_SLOTS_NUMBER: Dword = 0x0FAE;
const TAG_SIMULTANEOUS_ACCESS: Dword = 0x0FAF;
const POWER_DOWN: Dword = 501;
/// `SCARD_CTL_CODE(1)`, IOCTL_SMARTCARD_VENDOR_IFD_EXCHANGE.
const ESCAPE: Dword = 0x4200_0001;

/// A contactless memory card's, as PC/SC part 3 makes them up.
const ATR: [u8; 20] = [
    0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x6A,
];

/// Each behind a lock of its own, so that one that hangs stops no other.
static READERS: Mutex<BTreeMap<Dword, Arc<Mutex<Reader>>>> = Mutex::new(BTreeMap::new());

fn readers() -> MutexGuard<'static, BTreeMap<Dword, Arc<Mutex<Reader>>>> {
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(lun: Dword, act: impl FnOnce(&mut Reader) -> Result<T, Trouble>) -> Result<T, Response> {
    let reader = readers().get(&lun).cloned().ok_or(NO_SUCH_DEVICE)?;
    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    act(&mut reader).map_err(response)
}

fn response(trouble: Trouble) -> Response {
    match trouble {
        Trouble::Unplugged => NO_SUCH_DEVICE,
        Trouble::NoCard => ICC_NOT_PRESENT,
        Trouble::Refused => COMMUNICATION_ERROR,
    }
}

/// What C gave as a pointer and a length.
///
/// # Safety
/// `bytes` is null, or points to `len` bytes that stay as they are meanwhile.
unsafe fn given<'a>(bytes: *const u8, len: Dword) -> &'a [u8] {
    match usize::try_from(len) {
        // SAFETY: as this function's own.
        Ok(len) if !bytes.is_null() => unsafe { std::slice::from_raw_parts(bytes, len) },
        _ => &[],
    }
}

/// Writes an answer to where C wants it, and its length.
///
/// # Safety
/// `room` points to `most` writable bytes, `len` to a writable number.
unsafe fn put(answer: &[u8], room: *mut u8, most: Dword, len: *mut Dword) -> Response {
    if room.is_null() || len.is_null() || usize::try_from(most).is_ok_and(|most| answer.len() > most) {
        return INSUFFICIENT_BUFFER;
    }
    // SAFETY: both point to as much as was checked, as this function's own.
    unsafe {
        std::ptr::copy_nonoverlapping(answer.as_ptr(), room, answer.len());
        *len = answer.len() as Dword;
    }
    SUCCESS
}

/// # Safety
/// Called by pcscd: `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IFDHCreateChannelByName(lun: Dword, name: *const c_char) -> Response {
    if name.is_null() {
        return COMMUNICATION_ERROR;
    }
    // SAFETY: as this function's own.
    let name = unsafe { CStr::from_ptr(name) };
    match Reader::open(PathBuf::from(OsStr::from_bytes(name.to_bytes()))) {
        Ok(reader) => {
            readers().insert(lun, Arc::new(Mutex::new(reader)));
            SUCCESS
        }
        Err(trouble) => response(trouble),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn IFDHCreateChannel(_lun: Dword, _channel: Dword) -> Response {
    NOT_SUPPORTED
}

#[unsafe(no_mangle)]
pub extern "C" fn IFDHCloseChannel(lun: Dword) -> Response {
    readers().remove(&lun);
    SUCCESS
}

/// # Safety
/// Called by pcscd: `len` says how much there is room for at `value`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IFDHGetCapabilities(
    _lun: Dword,
    tag: Dword,
    len: *mut Dword,
    value: *mut u8,
) -> Response {
    if len.is_null() {
        return COMMUNICATION_ERROR;
    }
    // SAFETY: as this function's own.
    let most = unsafe { *len };
    let answer: &[u8] = match tag {
        TAG_ATR => &ATR,
        TAG_SLOT_THREAD_SAFE | TAG_THREAD_SAFE | TAG_SLOTS_NUMBER => &[1],
        TAG_SIMULTANEOUS_ACCESS => &[16],
        _ => return ERROR_TAG,
    };
    // SAFETY: as this function's own.
    unsafe { put(answer, value, most, len) }
}

#[unsafe(no_mangle)]
pub extern "C" fn IFDHSetCapabilities(_lun: Dword, _tag: Dword, _len: Dword, _value: *mut u8) -> Response {
    NOT_SUPPORTED
}

#[unsafe(no_mangle)]
pub extern "C" fn IFDHSetProtocolParameters(
    _lun: Dword,
    _protocol: Dword,
    _flags: u8,
    _pts1: u8,
    _pts2: u8,
    _pts3: u8,
) -> Response {
    SUCCESS
}

/// # Safety
/// Called by pcscd: there is room for 33 bytes at `atr`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IFDHPowerICC(lun: Dword, action: Dword, atr: *mut u8, len: *mut Dword) -> Response {
    let answer: &[u8] = if action == POWER_DOWN { &[] } else { &ATR };
    match with(lun, |reader| reader.card()) {
        Ok(_) => {
            // SAFETY: as this function's own.
            unsafe { put(answer, atr, 33, len) }
        }
        Err(_) => COMMUNICATION_ERROR,
    }
}

/// `SCARD_IO_HEADER`, which is passed by value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IoHeader {
    protocol: Dword,
    length: Dword,
}

/// # Safety
/// Called by pcscd: `command` holds `command_len` bytes, `answer` has room for `*answer_len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IFDHTransmitToICC(
    lun: Dword,
    _send: IoHeader,
    command: *const u8,
    command_len: Dword,
    answer: *mut u8,
    answer_len: *mut Dword,
    _receive: *mut IoHeader,
) -> Response {
    // SAFETY: as this function's own.
    let (command, most) = unsafe { (given(command, command_len), answer_len.as_ref().copied().unwrap_or(0)) };
    match with(lun, |reader| reader.transmit(command)) {
        // SAFETY: as this function's own.
        Ok(said) => unsafe { put(&said, answer, most, answer_len) },
        Err(_) => COMMUNICATION_ERROR,
    }
}

/// # Safety
/// Called by pcscd: `command` holds `command_len` bytes, `answer` has room for `answer_most`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IFDHControl(
    lun: Dword,
    code: Dword,
    command: *const u8,
    command_len: Dword,
    answer: *mut u8,
    answer_most: Dword,
    answer_len: *mut Dword,
) -> Response {
    if code != ESCAPE {
        return NOT_SUPPORTED;
    }
    // SAFETY: as this function's own.
    let command = unsafe { given(command, command_len) };
    match with(lun, |reader| reader.escape(command)) {
        // SAFETY: as this function's own.
        Ok(said) => unsafe { put(&said, answer, answer_most, answer_len) },
        Err(trouble) => trouble,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn IFDHICCPresence(lun: Dword) -> Response {
    match with(lun, |reader| reader.card()) {
        Ok(_) => ICC_PRESENT,
        Err(trouble) => trouble,
    }
}
