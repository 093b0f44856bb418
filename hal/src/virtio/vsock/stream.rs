//! One connection, borrowed for reading and writing.

use super::connection::{Reading, Writing};
use super::device::VirtioVsock;
use crate::vsock::StreamError;
use embedded_io::{BufRead, ErrorType, Read, ReadReady, Write, WriteReady};
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

/// The stream of a connection of [`VirtioVsock`].
#[derive(Debug)]
pub struct VirtioStream<'a, H: Hal + 'static, T: Transport> {
    device: &'a mut VirtioVsock<H, T>,
    index: usize,
}

impl<'a, H: Hal + 'static, T: Transport> VirtioStream<'a, H, T> {
    pub(super) const fn new(device: &'a mut VirtioVsock<H, T>, index: usize) -> Self {
        Self { device, index }
    }
}

impl<H: Hal + 'static, T: Transport> ErrorType for VirtioStream<'_, H, T> {
    type Error = StreamError;
}

impl<H: Hal + 'static, T: Transport> ReadReady for VirtioStream<'_, H, T> {
    /// Returns whether there are bytes, the end or an error to be read.
    fn read_ready(&mut self) -> Result<bool, StreamError> {
        Ok(self.device.connections[self.index].reading() != Reading::Nothing)
    }
}

impl<H: Hal + 'static, T: Transport> BufRead for VirtioStream<'_, H, T> {
    fn fill_buf(&mut self) -> Result<&[u8], StreamError> {
        let device = &*self.device;
        let connection = &device.connections[self.index];
        match connection.reading() {
            Reading::Data => Ok(device
                .store
                .front(&connection.inbox, device.receiver.buffers())),
            Reading::End => Ok(&[]),
            Reading::Nothing => Err(StreamError::NotReady),
            Reading::Reset => Err(StreamError::Reset),
        }
    }

    fn consume(&mut self, count: usize) {
        self.device.consume(self.index, count);
    }
}

impl<H: Hal + 'static, T: Transport> Read for VirtioStream<'_, H, T> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, StreamError> {
        let mut done = 0;
        while done < to.len() {
            let part = match self.fill_buf() {
                Ok([]) => break,
                Ok(part) => part,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            let count = part.len().min(to.len() - done);
            to[done..done + count].copy_from_slice(&part[..count]);
            self.consume(count);
            done += count;
        }
        Ok(done)
    }
}

impl<H: Hal + 'static, T: Transport> WriteReady for VirtioStream<'_, H, T> {
    /// Returns whether a write would take something. If not, [`crate::vsock::Event::Writable`] follows.
    fn write_ready(&mut self) -> Result<bool, StreamError> {
        let writing = self.device.connections[self.index].writing();
        match writing {
            Writing::Send => Ok(self.device.has_room(self.index)),
            Writing::Lose => Ok(true),
            Writing::NotConnected => Err(StreamError::NotConnected),
            Writing::Reset => Err(StreamError::Reset),
        }
    }
}

impl<H: Hal + 'static, T: Transport> Write for VirtioStream<'_, H, T> {
    fn write(&mut self, from: &[u8]) -> Result<usize, StreamError> {
        let writing = self.device.connections[self.index].writing();
        match writing {
            Writing::Send => Ok(self.device.write(self.index, from)),
            Writing::Lose => Ok(from.len()),
            Writing::NotConnected => Err(StreamError::NotConnected),
            Writing::Reset => Err(StreamError::Reset),
        }
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.device.push_out(self.index);
        Ok(())
    }
}

impl<H: Hal + 'static, T: Transport> VirtioVsock<H, T> {
    /// Removes bytes that were read and opens the window again.
    fn consume(&mut self, index: usize, count: usize) {
        let connection = &mut self.connections[index];
        let receiver = &mut self.receiver;
        let done = self
            .store
            .consume(&mut connection.inbox, count, |buffer| receiver.post(buffer));
        let owed_before = connection.receive.owes_update();
        connection.on_forwarded(done as u32);
        // A reader that takes half a window at a time is a busy one.
        if connection.receive.owes_update()
            && !owed_before
            && let Some(window) = self
                .windows
                .grow(connection.purpose, connection.receive.window())
        {
            connection.receive.grow(window);
        }
        self.refresh(index);
        self.is_behind = true;
    }

    /// Takes as much of `from` as there is credit and room for.
    fn write(&mut self, index: usize, from: &[u8]) -> usize {
        let mut done = 0;
        while done < from.len() {
            let rest = &from[done..];
            let credit = self.connections[index].send.available();
            if credit == 0 || !self.has_slot(index, rest.len().min(credit)) {
                self.connections[index].on_blocked(rest.len(), self.now);
                break;
            }
            let connection = &mut self.connections[index];
            let Some(open) = &mut connection.open else {
                break;
            };
            let count = self.transmitter.fill(open, &rest[..rest.len().min(credit)]);
            connection.send.on_sent(count);
            done += count;
        }
        self.refresh(index);
        self.is_behind = true;
        done
    }

    fn has_room(&mut self, index: usize) -> bool {
        let connection = &self.connections[index];
        let credit = connection.send.available();
        // What the writer could not get rid of last time tells how much it is about to write.
        let wanted = connection.wanted.max(1);
        let has_room = credit > 0 && self.has_slot(index, wanted.min(credit));
        if !has_room {
            self.connections[index].on_blocked(wanted, self.now);
            self.refresh(index);
        }
        has_room
    }

    /// Makes sure that the connection has an open slot with room; a full one is sent.
    fn has_slot(&mut self, index: usize, bytes: usize) -> bool {
        let mut bytes = bytes;
        if let Some(open) = self.connections[index].open {
            if self.transmitter.room(open) > 0 {
                return true;
            }
            self.send_open(index);
            // Who has filled one slot will fill another.
            bytes = bytes.max(self.transmitter.small_bytes());
        }
        let purpose = self.connections[index].purpose;
        let mut open = self.transmitter.open(bytes, purpose);
        if open.is_none() && !self.is_out_of_use() {
            if let Err(fault) = self.transmitter.reap() {
                self.on_fault(fault);
                return false;
            }
            open = self.transmitter.open(bytes, purpose);
        }
        self.connections[index].open = open;
        open.is_some()
    }
}
