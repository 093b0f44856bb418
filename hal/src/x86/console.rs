//! The 16550 serial port COM1, polled.

use super::port::Port;
use crate::console::Console;

/// Polls of the line status before a byte is given up. A byte takes the hardware 87 µs at 115200 baud; a poll is an exit
/// to the VMM and takes at least a tenth of a microsecond, so this is several times what a working port needs.
const MAX_POLLS: u32 = 4096;

/// Bytes the transmitter takes at once when it is empty: its FIFO (16550 data sheet). One poll is paid for this many.
const FIFO_BYTES: usize = 16;

/// Line status: transmitter holding register (or FIFO) empty.
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// COM1 as every VMM has it, or has it not: an absent port reads as 0 (Firecracker) or 0xff, neither may stall us.
#[derive(Debug)]
pub struct Serial {
    data: Port,
    status: Port,
    /// After one time-out nothing is waited for any more.
    stuck: bool,
}

impl Serial {
    /// Sets up COM1: 8 bits, no parity, FIFO on, no interrupts. The speed is left as it is; no VMM has one.
    #[must_use]
    pub fn com1() -> Self {
        // SAFETY: the registers of a serial port have no effect on memory.
        let data = unsafe { Port::new(0x3f8) };
        // SAFETY: as above (interrupt enable).
        let interrupts = unsafe { Port::new(0x3f9) };
        // SAFETY: as above (FIFO control).
        let fifo = unsafe { Port::new(0x3fa) };
        // SAFETY: as above (line control).
        let line = unsafe { Port::new(0x3fb) };
        // SAFETY: as above (line status).
        let status = unsafe { Port::new(0x3fd) };
        interrupts.write_u8(0);
        fifo.write_u8(0x07); // enable, clear both directions
        line.write_u8(0x03); // 8 bits, no parity, one stop bit, divisor latch off
        Self {
            data,
            status,
            stuck: false,
        }
    }

    fn is_ready(&self) -> bool {
        let polls = if self.stuck { 1 } else { MAX_POLLS };
        (0..polls).any(|_| {
            let status = self.status.read_u8();
            // All ones is an absent port: saying "ready" would only cost exits.
            status != 0xff && status & TRANSMITTER_EMPTY != 0
        })
    }
}

impl Console for Serial {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO_BYTES) {
            if !self.is_ready() {
                self.stuck = true;
                return;
            }
            self.stuck = false;
            for &byte in chunk {
                self.data.write_u8(byte);
            }
        }
    }
}
