//! What is different about sockets to the host (vsock(7)): connecting, their options, and the machine's own number.

use super::socket::is_nonblocking;
use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{Connecting, Family, PIPE_BYTES, SocketId};
use crate::limits::VSOCK_CONNECT_MS;
use crate::system::System;
use crate::wait::{Stall, WakeKey};
use core::time::Duration;
use hal::block::Block;

/// Level of their options: AF_VSOCK itself.
const LEVEL: i32 = Family::Vsock as i32;

/// SO_VM_SOCKETS_BUFFER_SIZE, _BUFFER_MIN_SIZE and _BUFFER_MAX_SIZE (linux/vm_sockets.h).
const BUFFER_SIZES: core::ops::RangeInclusive<i32> = 0..=2;
/// SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD and _NEW, which are the same here.
const CONNECT_TIMEOUT: [i32; 2] = [6, 8];

const MICROS: u64 = 1_000_000;

/// connect(2).
///
/// The time it may take is the agent's to watch, so a call that waits has no deadline of its own. A signal ends it, whatever
/// its handler asked for, as on Linux; the attempt goes on, and a further call waits for it.
pub(super) fn connect<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    socket: SocketId,
    address: &[u8],
) -> Outcome {
    let sockets = &system.files.sockets;
    match sockets.connecting(socket)? {
        Connecting::Done if call.progress == 0 => return Err(Errno::EISCONN.into()),
        Connecting::Done => return Ok(0),
        Connecting::UnderWay if call.progress == 0 && is_nonblocking(system, call) => {
            return Err(Errno::EALREADY.into());
        }
        Connecting::No if call.progress > 0 => {
            let error = system.files.socket_mut(socket)?.take_error();
            return Err(error.unwrap_or(Errno::ECONNRESET).into());
        }
        Connecting::No => {
            let mut parts = system.file_parts(call.process)?;
            let sockets = &mut parts.files.sockets;
            sockets.dial(&mut parts.context, socket, address)?;
            if is_nonblocking(system, call) {
                return Err(Errno::EINPROGRESS.into());
            }
        }
        Connecting::UnderWay => {}
    }
    call.progress = 1;
    call.restart = Restart::Never;
    Err(Stall::wait(WakeKey::SocketWritable(socket.index())))
}

/// setsockopt(2) beside SOL_SOCKET. Buffers have one size, whatever is asked for.
pub(super) fn setsockopt<B: Block>(
    system: &mut System<B>,
    call: &Call,
    socket: SocketId,
) -> Outcome {
    permit(system, call, socket)?;
    match call.int(2) {
        option if BUFFER_SIZES.contains(&option) => {
            if call.int(4) < 8 {
                return Err(Errno::EINVAL.into());
            }
            system.read_u64(call.space, call.address(3))?;
        }
        option if CONNECT_TIMEOUT.contains(&option) => {
            if call.int(4) < 16 {
                return Err(Errno::EINVAL.into());
            }
            let seconds = system.read_u64(call.space, call.address(3))?;
            let micros = system.read_u64(call.space, call.address(3).offset(8)?)?;
            if seconds > u64::from(u32::MAX) || micros >= MICROS {
                return Err(Errno::ERANGE.into());
            }
            let time = Duration::new(seconds, micros as u32 * 1000);
            // None is the usual one.
            system.files.socket_mut(socket)?.timeouts[2] = (!time.is_zero()).then_some(time);
        }
        _ => return Err(Errno::ENOPROTOOPT.into()),
    }
    Ok(0)
}

/// getsockopt(2) beside SOL_SOCKET.
pub(super) fn getsockopt<B: Block>(
    system: &mut System<B>,
    call: &Call,
    socket: SocketId,
) -> Outcome {
    permit(system, call, socket)?;
    let room = system.read_u32(call.space, call.address(4))?;
    let time = system.files.socket(socket)?.timeouts[2];
    let time = time.unwrap_or(Duration::from_millis(VSOCK_CONNECT_MS));
    let (words, len) = match call.int(2) {
        option if BUFFER_SIZES.contains(&option) => ([PIPE_BYTES as u64, 0], 8),
        option if CONNECT_TIMEOUT.contains(&option) => {
            ([time.as_secs(), u64::from(time.subsec_micros())], 16)
        }
        _ => return Err(Errno::ENOPROTOOPT.into()),
    };
    if (room as usize) < len {
        return Err(Errno::EINVAL.into());
    }
    let words = words.map(u64::to_le_bytes);
    system.write_user(call.space, call.address(3), &words.as_flattened()[..len])?;
    system.write_user(call.space, call.address(4), &(len as u32).to_le_bytes())?;
    Ok(0)
}

/// Refuses levels that a socket has not.
fn permit<B: Block>(system: &System<B>, call: &Call, socket: SocketId) -> Result<(), Errno> {
    match system.files.socket(socket)?.family() {
        Family::Unix => Err(Errno::EOPNOTSUPP),
        Family::Vsock if call.int(1) == LEVEL => Ok(()),
        Family::Vsock => Err(Errno::ENOPROTOOPT),
    }
}
