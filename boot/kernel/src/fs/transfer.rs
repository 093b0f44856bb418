//! Bytes between open files and programs, one page at a time.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Attributes, Kind};
use crate::fs::context::{Context, Span};
use crate::fs::description::{Description, DescriptionId, Target};
use crate::fs::device::Device;
use crate::fs::flags::OpenFlags;
use crate::fs::inode::Node;
use crate::fs::pipe::{PipeEnd, PipeId};
use crate::limits::FILE_BYTES;
use crate::wait::{Stall, WakeKey, Why};
use core::time::Duration;
use hal::block::Block;

bitflags::bitflags! {
    /// What poll(2) says of an open file, with its numbers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Readiness: u16 {
        /// POLLIN: a read would not wait.
        const READ = 0x1;
        /// POLLOUT: a write would not wait.
        const WRITE = 0x4;
        /// POLLERR: the reading end of a pipe is gone.
        const ERROR = 0x8;
        /// POLLHUP: the writing end of a pipe is gone.
        const HANG_UP = 0x10;
        /// POLLNVAL: not open.
        const INVALID = 0x20;
        /// POLLRDHUP: the other end of a socket sends nothing more.
        const READ_HANG_UP = 0x2000;
        /// POLLRDNORM.
        const READ_NORMAL = 0x40;
        /// POLLWRNORM.
        const WRITE_NORMAL = 0x100;
    }
}

impl<B: Block> Files<B> {
    fn open_file(&self, id: DescriptionId) -> Result<&Description, Errno> {
        self.descriptions.get(id).ok_or(Errno::EBADF)
    }

    /// Reads into one page of a program, at `position` or else at the file's own offset, which moves on. Returns how
    /// many bytes; 0 is the end.
    ///
    /// # Errors
    ///
    /// Those of read(2) and pread(2), or what to wait for; never after some bytes were read.
    pub fn read_span(
        &mut self,
        context: &mut Context<'_>,
        id: DescriptionId,
        position: Option<u64>,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let file = self.open_file(id)?;
        if !file.flags.access().contains(Access::READ) || file.target == Target::Nothing {
            return Err(Errno::EBADF.into());
        }
        let at = position.unwrap_or(file.offset);
        let target = file.target;
        let done = match target {
            Target::Nothing => return Err(Errno::EBADF.into()),
            Target::Pipe(..) | Target::Socket(_) if position.is_some() => {
                return Err(Errno::ESPIPE.into());
            }
            // Sockets are read and written by the calls on messages, events as a whole.
            Target::Socket(_) | Target::Event(_) | Target::Epoll(_) => {
                return Err(Errno::EINVAL.into());
            }
            Target::Pipe(pipe, _) => return self.pipes.read(context, pipe, span),
            Target::Terminal(_) if position.is_some() => return Err(Errno::ESPIPE.into()),
            Target::Terminal(end) => return self.terminals.read(context, end, span),
            Target::Device(device) => return device.read(context, span),
            Target::Inode(inode) => {
                let known = self.inodes.get(inode).ok_or(Errno::EIO)?;
                match (&known.node, known.attributes.kind) {
                    (_, Kind::Directory) => return Err(Errno::EISDIR.into()),
                    (Node::Proc(node), _) => {
                        let node = *node;
                        self.read_proc(context, node, at, span)?
                    }
                    _ => self.read_content(context, inode, at, span)?,
                }
            }
        };
        self.advance(id, position, at + done as u64);
        Ok(done)
    }

    /// Writes from one page of a program, at `position` or else at the file's own offset, which moves on. `whole` is
    /// how many bytes the call has left to write, this span's included. Returns how many bytes.
    ///
    /// # Errors
    ///
    /// Those of write(2) and pwrite(2), or what to wait for; never after some bytes were written.
    pub fn write_span(
        &mut self,
        context: &mut Context<'_>,
        id: DescriptionId,
        position: Option<u64>,
        span: Span<'_>,
        whole: usize,
    ) -> Result<usize, Stall> {
        let file = self.open_file(id)?;
        if !file.flags.access().contains(Access::WRITE) || file.target == Target::Nothing {
            return Err(Errno::EBADF.into());
        }
        let (flags, offset, target) = (file.flags, file.offset, file.target);
        let inode = match target {
            Target::Nothing => return Err(Errno::EBADF.into()),
            Target::Pipe(..) | Target::Socket(_) if position.is_some() => {
                return Err(Errno::ESPIPE.into());
            }
            Target::Socket(socket) => return self.send_span(context, socket, span),
            Target::Pipe(pipe, _) => {
                self.room_for_pipe(context)?;
                return self.pipes.write(context, pipe, span, whole);
            }
            Target::Terminal(_) if position.is_some() => return Err(Errno::ESPIPE.into()),
            Target::Terminal(end) => return self.terminals.write(context, end, span),
            Target::Device(device) => return Ok(device.write(span.len)?),
            Target::Event(_) | Target::Epoll(_) => return Err(Errno::EINVAL.into()),
            Target::Inode(inode) => inode,
        };
        let place = file.place.as_ref().ok_or(Errno::EBADF)?.0;
        self.own_entry(place)?;
        let size = self.inodes.get(inode).ok_or(Errno::EIO)?.attributes.size;
        let at = if flags.contains(OpenFlags::APPEND) {
            size
        } else {
            position.unwrap_or(offset)
        };
        let done = self.write_content(context, inode, at, span)?;
        self.advance(id, position, at + done as u64);
        Ok(done)
    }

    fn advance(&mut self, id: DescriptionId, position: Option<u64>, to: u64) {
        if let (None, Some(file)) = (position, self.descriptions.get_mut(id)) {
            file.offset = to;
        }
    }

    /// Returns what to wait for until a call on this file has a chance, and whether it is to wait at all.
    ///
    /// # Errors
    ///
    /// EAGAIN when the file was opened with O_NONBLOCK and `stall` waits for its other end.
    pub fn wait_or_again(&self, id: DescriptionId, stall: Stall) -> Stall {
        let waits_for_peer = matches!(
            stall.why(),
            Why::Wait(
                WakeKey::PipeReadable(_)
                    | WakeKey::PipeWritable(_)
                    | WakeKey::Terminal(_)
                    | WakeKey::SocketReadable(_)
                    | WakeKey::SocketWritable(_)
                    | WakeKey::Event(_)
                    | WakeKey::Signal
            )
        );
        if waits_for_peer && self.is_nonblocking(id) {
            Errno::EAGAIN.into()
        } else {
            stall
        }
    }

    /// Returns whether an open file is not to wait for its other end.
    #[must_use]
    pub fn is_nonblocking(&self, id: DescriptionId) -> bool {
        self.descriptions
            .get(id)
            .is_some_and(|file| file.flags.contains(OpenFlags::NONBLOCK))
    }

    /// Returns what an open file's access mode allows.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn description_access(&self, id: DescriptionId) -> Result<Access, Errno> {
        let file = self.open_file(id)?;
        match file.target {
            Target::Nothing => Err(Errno::EBADF),
            _ => Ok(file.flags.access()),
        }
    }

    /// Returns the pipe an open file is an end of.
    #[must_use]
    pub fn pipe_of(&self, id: DescriptionId) -> Option<PipeId> {
        match self.descriptions.get(id)?.target {
            Target::Pipe(pipe, _) => Some(pipe),
            _ => None,
        }
    }

    /// Returns whether an open file is written to behind its end only.
    #[must_use]
    pub fn is_appending(&self, id: DescriptionId) -> bool {
        self.descriptions
            .get(id)
            .is_some_and(|file| file.flags.contains(OpenFlags::APPEND))
    }

    /// Returns the offset of a file that can be read at a position.
    ///
    /// # Errors
    ///
    /// EINVAL for pipes and the like.
    pub fn offset_for_copy(&self, id: DescriptionId) -> Result<u64, Errno> {
        let file = self.open_file(id)?;
        match file.target {
            Target::Inode(_) => Ok(file.offset),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Returns where SEEK_SET, SEEK_CUR or SEEK_END count from; what has no offset counts from 0.
    ///
    /// # Errors
    ///
    /// EINVAL for another `whence`, EBADF.
    pub fn offset_from(&self, id: DescriptionId, whence: u16) -> Result<i64, Errno> {
        let file = self.open_file(id)?;
        let base = match (whence, file.target) {
            (0, _) => 0,
            (1, _) => file.offset,
            (2, Target::Inode(inode)) => self.inodes.get(inode).ok_or(Errno::EIO)?.attributes.size,
            (2, _) => 0,
            _ => return Err(Errno::EINVAL),
        };
        Ok(base as i64)
    }

    /// Moves a file's offset; `whence` has lseek(2)'s numbers.
    ///
    /// # Errors
    ///
    /// ESPIPE, EINVAL, ENXIO, EBADF.
    pub fn seek(&mut self, id: DescriptionId, offset: i64, whence: u32) -> Result<u64, Errno> {
        const SET: u32 = 0;
        const CURRENT: u32 = 1;
        const END: u32 = 2;
        const DATA: u32 = 3;
        const HOLE: u32 = 4;
        let file = self.open_file(id)?;
        let inode = match file.target {
            Target::Pipe(..) | Target::Socket(_) | Target::Terminal(_) => {
                return Err(Errno::ESPIPE);
            }
            Target::Device(_) | Target::Event(_) | Target::Epoll(_) => return Ok(0),
            Target::Nothing => return Err(Errno::EBADF),
            Target::Inode(inode) => inode,
        };
        let attributes = self.inodes.get(inode).ok_or(Errno::EIO)?.attributes;
        let size = attributes.size;
        let start = match whence {
            SET => 0,
            CURRENT => file.offset,
            END => size,
            DATA | HOLE => {
                // Every file is one run of data with a hole behind it; that is always a truthful answer.
                let at = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                if at >= size {
                    return Err(Errno::ENXIO);
                }
                let to = if whence == DATA { at } else { size };
                self.advance(id, None, to);
                return Ok(to);
            }
            _ => return Err(Errno::EINVAL),
        };
        let to = start.checked_add_signed(offset).ok_or(Errno::EINVAL)?;
        if to > i64::MAX as u64 || (to > FILE_BYTES && attributes.kind == Kind::Regular) {
            return Err(Errno::EINVAL);
        }
        self.advance(id, None, to);
        Ok(to)
    }

    /// Returns what poll(2) says of an open file.
    #[must_use]
    pub fn readiness(&self, id: DescriptionId) -> Readiness {
        match self.descriptions.get(id) {
            Some(file) => self.readiness_of(file),
            None => Readiness::INVALID,
        }
    }

    /// Returns what poll(2) says of an open file.
    pub(super) fn readiness_of(&self, file: &Description) -> Readiness {
        let read = Readiness::READ | Readiness::READ_NORMAL;
        let write = Readiness::WRITE | Readiness::WRITE_NORMAL;
        match file.target {
            Target::Nothing => Readiness::INVALID,
            Target::Inode(_) | Target::Device(_) => read | write,
            Target::Socket(socket) => self.sockets.readiness(socket),
            // `watch` knows.
            Target::Event(_) | Target::Epoll(_) => Readiness::empty(),
            Target::Pipe(pipe, PipeEnd::Read) => {
                let (bytes, is_broken) = self.pipes.reading(pipe);
                let mut ready = Readiness::empty();
                ready.set(read, bytes > 0);
                // Who opened a named pipe that nobody wrote to yet waits for the first one.
                let is_left = is_broken && self.pipes.openings(pipe, PipeEnd::Read) != file.offset;
                ready.set(Readiness::HANG_UP, is_left);
                ready
            }
            Target::Terminal(end) => self.terminals.readiness(end),
            Target::Pipe(pipe, end) => {
                let mut ready = Readiness::empty();
                ready.set(
                    read,
                    end == PipeEnd::Both && self.pipes.readable_bytes(pipe) > 0,
                );
                ready.set(write, self.pipes.is_writable(pipe));
                ready.set(Readiness::ERROR, self.pipes.is_broken(pipe, end));
                ready
            }
        }
    }

    /// Returns how many bytes can be read at once (ioctl FIONREAD).
    ///
    /// # Errors
    ///
    /// ENOTTY for what has no such number.
    pub fn readable_bytes(&self, id: DescriptionId) -> Result<u64, Errno> {
        let file = self.open_file(id)?;
        match file.target {
            Target::Pipe(pipe, _) => Ok(self.pipes.readable_bytes(pipe) as u64),
            Target::Socket(socket) => Ok(self.sockets.readable_bytes(socket) as u64),
            Target::Inode(inode) => {
                let attributes = self.inodes.get(inode).ok_or(Errno::EIO)?.attributes;
                if attributes.kind != Kind::Regular {
                    return Err(Errno::ENOTTY);
                }
                Ok(attributes.size.saturating_sub(file.offset))
            }
            // Terminals count for themselves.
            Target::Device(_)
            | Target::Terminal(_)
            | Target::Event(_)
            | Target::Epoll(_)
            | Target::Nothing => Err(Errno::ENOTTY),
        }
    }

    /// Returns what stat(2) says of an open file.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn attributes_of(
        &self,
        context: &Context<'_>,
        id: DescriptionId,
    ) -> Result<Attributes, Errno> {
        let file = self.open_file(id)?;
        if let Some(place) = &file.place {
            return self.attributes_at(place.0);
        }
        let (kind, number, special) = match file.target {
            Target::Device(device) => (Kind::Character, 0, device.number()),
            Target::Pipe(pipe, _) => (Kind::Fifo, u64::from(pipe.index()) + 1, 0),
            Target::Socket(socket) => (Kind::Socket, u64::from(socket.index()) + 1, 0),
            Target::Inode(inode) => {
                return Ok(self.inodes.get(inode).ok_or(Errno::EIO)?.attributes);
            }
            Target::Terminal(end) => return Ok(self.terminal_attributes(context, end)),
            Target::Event(event) => (Kind::Regular, u64::from(event.index()) + 1, 0),
            Target::Epoll(epoll) => (Kind::Regular, u64::from(epoll.index()) + 1, 0),
            Target::Nothing => return Err(Errno::EBADF),
        };
        Ok(Attributes {
            kind,
            permissions: match kind {
                Kind::Fifo | Kind::Regular => 0o600,
                Kind::Socket => 0o777,
                _ => 0o666,
            },
            uid: context.credentials.uid,
            gid: context.credentials.gid,
            size: 0,
            links: 1,
            number,
            device: PIPE_DEVICE,
            special,
            blocks: 0,
            accessed: Duration::ZERO,
            modified: Duration::ZERO,
            changed: Duration::ZERO,
        })
    }

    /// Changes the status flags fcntl(F_SETFL) can change.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn set_flags(&mut self, id: DescriptionId, mut flags: OpenFlags) -> Result<(), Errno> {
        // Others have no owner to be told of anything.
        flags.set(
            OpenFlags::ASYNC,
            flags.contains(OpenFlags::ASYNC) && self.tells_owner(id),
        );
        let file = self.descriptions.get_mut(id).ok_or(Errno::EBADF)?;
        file.flags = (file.flags - OpenFlags::CHANGEABLE) | (flags & OpenFlags::CHANGEABLE);
        Ok(())
    }

    /// Returns whether an open file is a device that has a random generator behind it.
    #[must_use]
    pub fn is_random(&self, id: DescriptionId) -> bool {
        self.descriptions.get(id).is_some_and(|file| {
            matches!(
                file.target,
                Target::Device(Device::Random | Device::Urandom)
            )
        })
    }
}

/// `st_dev` of what has no name.
const PIPE_DEVICE: u64 = 0xd;
