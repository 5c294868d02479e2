//! Single exchanges with a board, each limited in time and its answer compared whole: tokio-modbus checks the echo of
//! a write by `debug_assert` only, so that in a release build another coil's late echo would pass for this one's.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_modbus::{
    ExceptionCode, ProtocolError, Request, Response, Slave,
    client::{Client as _, Context, tcp},
};

use super::transport::{PULSE, Transport};
use crate::control::Inputs;

/// What is asked of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Inputs { count: u8 },
    Coil(u8),
    Pulse { coil: u8, address: u16, units: u16 },
    SwitchOff(u8),
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Inputs { count } => write!(f, "reading {count} inputs"),
            Ask::Coil(coil) => write!(f, "reading coil {coil}"),
            Ask::Pulse { coil, units, .. } => {
                write!(f, "a pulse of {} ms on coil {coil}", u32::from(*units) * 100)
            }
            Ask::SwitchOff(coil) => write!(f, "switching coil {coil} off"),
        }
    }
}

/// Why an exchange failed. All but `Refused` leave the connection in doubt.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{ask}: no answer within {} ms", within.as_millis())]
    Silent { ask: Ask, within: Duration },
    #[error("{ask}: {source}")]
    Line { ask: Ask, source: io::Error },
    #[error("{ask}: the board refuses: {exception}")]
    Refused { ask: Ask, exception: ExceptionCode },
    #[error("{ask}: the answer is not one to this request")]
    Stray { ask: Ask },
    #[error("{ask}: what the board echoes is not what it was told")]
    Echo { ask: Ask },
    #[error("{ask}: {got} bits came where {expected} were due")]
    Length { ask: Ask, expected: usize, got: usize },
}

impl Fault {
    /// Whether late answers may still come, so that no further one could be trusted on this connection.
    pub fn is_in_doubt(&self) -> bool {
        !matches!(self, Fault::Refused { .. })
    }
}

/// One connection.
pub struct Exchange {
    context: Context,
    within: Duration,
}

impl Exchange {
    pub fn over<T>(socket: T, unit: u8, within: Duration) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug + 'static,
    {
        Exchange { context: tcp::attach_slave(Transport::over(socket), Slave(unit)), within }
    }

    pub async fn inputs(&mut self, count: u8) -> Result<Inputs, Fault> {
        let ask = Ask::Inputs { count };
        let Response::ReadDiscreteInputs(bits) =
            self.call(ask, Request::ReadDiscreteInputs(0, u16::from(count))).await?
        else {
            return Err(Fault::Stray { ask });
        };
        // Whole bytes come; what is beyond the count is padding.
        let expected = usize::from(count).div_ceil(8) * 8;
        if bits.len() != expected {
            return Err(Fault::Length { ask, expected, got: bits.len() });
        }
        let on = bits.iter().take(usize::from(count)).enumerate().filter(|&(_, &on)| on);
        Ok(Inputs(on.fold(0, |all, (n, _)| all | 1_u64.checked_shl(n as u32).unwrap_or(0))))
    }

    /// Whether the coil is driven.
    pub async fn coil(&mut self, coil: u8) -> Result<bool, Fault> {
        let ask = Ask::Coil(coil);
        let Response::ReadCoils(bits) = self.call(ask, Request::ReadCoils(u16::from(coil), 1)).await? else {
            return Err(Fault::Stray { ask });
        };
        match *bits.as_slice() {
            [driven, _, _, _, _, _, _, _] => Ok(driven),
            _ => Err(Fault::Length { ask, expected: 8, got: bits.len() }),
        }
    }

    /// Function 05 with a time as its value, in units of 100 ms.
    pub async fn pulse(&mut self, coil: u8, address: u16, units: u16) -> Result<(), Fault> {
        let ask = Ask::Pulse { coil, address, units };
        let ([a, b], [c, d]) = (address.to_be_bytes(), units.to_be_bytes());
        let told = [a, b, c, d];
        let echo = self.call(ask, Request::Custom(PULSE, (&told[..]).into())).await?;
        let expected = Response::Custom(PULSE, told.to_vec().into());
        if echo == expected { Ok(()) } else { Err(Fault::Echo { ask }) }
    }

    pub async fn switch_off(&mut self, coil: u8) -> Result<(), Fault> {
        let ask = Ask::SwitchOff(coil);
        let echo = self.call(ask, Request::WriteSingleCoil(u16::from(coil), false)).await?;
        let expected = Response::WriteSingleCoil(u16::from(coil), false);
        if echo == expected { Ok(()) } else { Err(Fault::Echo { ask }) }
    }

    async fn call(&mut self, ask: Ask, request: Request<'_>) -> Result<Response, Fault> {
        let within = self.within;
        match timeout(within, self.context.call(request)).await {
            Err(_) => Err(Fault::Silent { ask, within }),
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(exception))) => Err(Fault::Refused { ask, exception }),
            Ok(Err(tokio_modbus::Error::Transport(source))) => Err(Fault::Line { ask, source }),
            Ok(Err(tokio_modbus::Error::Protocol(
                ProtocolError::HeaderMismatch { .. } | ProtocolError::FunctionCodeMismatch { .. },
            ))) => Err(Fault::Stray { ask }),
        }
    }
}
