//! Sockets as open files: made, bound to names of the tree, accepted, and sent through one another.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::change::Make;
use crate::fs::context::{Context, Span};
use crate::fs::description::{DescriptionId, Target};
use crate::fs::flags::{Last, OpenFlags};
use crate::fs::socket::{Message, Shut, Socket, SocketId, SocketKind, SocketType};
use crate::fs::table::TableId;
use crate::fs::walk::Start;
use crate::limits::MAX_RIGHTS;
use crate::wait::Stall;
use alloc::vec::Vec;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Returns the socket an open file is.
    ///
    /// # Errors
    ///
    /// EBADF, ENOTSOCK.
    pub fn socket_of(&self, id: DescriptionId) -> Result<SocketId, Errno> {
        match self.descriptions.get(id).ok_or(Errno::EBADF)?.target {
            Target::Socket(socket) => Ok(socket),
            Target::Nothing => Err(Errno::EBADF),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// Returns a socket.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn socket(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.sockets.get(id)
    }

    /// Returns a socket for changing its options.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, Errno> {
        self.sockets.get_mut(id)
    }

    fn install_socket(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        socket: SocketId,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        let target = Target::Socket(socket);
        let description = self.describe(context, target, None, flags | OpenFlags::RDWR)?;
        self.install(context, table, 0, description, close_on_exec)
    }

    /// Makes a socket of a pod and puts it at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM.
    pub fn open_socket(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        of: SocketType,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let socket = self.sockets.create(context, of, context.account)?;
        self.install_socket(context, table, socket, flags)
    }

    /// Makes two sockets of a pod that are connected to each other.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM.
    pub fn open_socket_pair(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        of: SocketType,
        flags: OpenFlags,
    ) -> Result<(i32, i32), Errno> {
        let one = self.sockets.create(context, of, context.account)?;
        let first = self.install_socket(context, table, one, flags)?;
        let second = self
            .sockets
            .create(context, of, context.account)
            .and_then(|other| {
                self.sockets.join(one, other)?;
                self.install_socket(context, table, other, flags)
            });
        match second {
            Ok(second) => Ok((first, second)),
            Err(errno) => {
                self.close(context, table, first)?;
                Err(errno)
            }
        }
    }

    /// Gives a socket an address: the bytes of a `sockaddr_un` behind the family. None at all means one of its own.
    ///
    /// # Errors
    ///
    /// EINVAL when it has one, EADDRINUSE, and those of mknod(2); [`Stall::AGAIN`] while no name of its own is found.
    pub fn bind_socket(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        id: SocketId,
        address: &[u8],
        permissions: u16,
    ) -> Result<(), Stall> {
        let is_free = self.sockets.permit_address(id);
        match address {
            [] => {
                is_free?;
                self.sockets.name_itself(id)
            }
            [0, ..] => Ok(is_free.and_then(|()| self.sockets.set_address(id, address, None))?),
            path => {
                let length = path.iter().position(|&byte| byte == 0);
                let end = length.unwrap_or(path.len());
                let found = self.resolve(context, start, &path[..end], Last::Name)?;
                let kind = Make::Special(Kind::Socket, 0);
                let is_new = self
                    .dentries
                    .get(found.entry.0)
                    .is_ok_and(|entry| entry.inode.is_none());
                let made = match is_free {
                    _ if !is_new => Err(Errno::EADDRINUSE),
                    Ok(()) => self.make(context, &found, kind, permissions),
                    Err(errno) => Err(errno),
                };
                self.release_resolved(found);
                let file = made?;
                let mut address = [0; ADDRESS_BYTES + 1];
                address[..end].copy_from_slice(&path[..end]);
                Ok(self.sockets.set_address(id, &address[..=end], Some(file))?)
            }
        }
    }

    /// Finds the socket that `asker` means by an address.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED, and those of a walk.
    pub fn find_socket(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        asker: SocketId,
        address: &[u8],
    ) -> Result<SocketId, Stall> {
        match address {
            [] => Err(Errno::EINVAL.into()),
            [0, ..] => Ok(self.sockets.at_name(asker, address)?),
            path => {
                let length = path.iter().position(|&byte| byte == 0);
                let path = &path[..length.unwrap_or(path.len())];
                let place = self.walk(context, start, path, Last::Follow)?;
                let inode = self.inode_at(place.0);
                let attributes = self.attributes_at(place.0);
                self.release_place(place);
                let attributes = attributes?;
                attributes.permit(context.credentials, Access::WRITE)?;
                if attributes.kind != Kind::Socket {
                    return Err(Errno::ECONNREFUSED.into());
                }
                Ok(self.sockets.at_file(inode?)?)
            }
        }
    }

    /// Lets connections come.
    ///
    /// # Errors
    ///
    /// Those of listen(2).
    pub fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
        self.sockets.listen(id, backlog)
    }

    /// Connects a socket.
    ///
    /// # Errors
    ///
    /// Those of connect(2).
    pub fn connect(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        to: SocketId,
    ) -> Result<(), Stall> {
        self.sockets.connect(context, id, to)
    }

    /// Takes the oldest connection and puts it at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// Those of accept(2).
    pub fn accept(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        listener: SocketId,
        flags: OpenFlags,
    ) -> Result<i32, Stall> {
        // What is full must be noticed before a connection is taken.
        self.table_mut(table)?.reserve(0)?;
        self.permit_description(context)?;
        let socket = self.sockets.accept(context, listener)?;
        Ok(self.install_socket(context, table, socket, flags)?)
    }

    /// Returns the bytes of a socket's address behind the family, or of that of its other end.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    pub fn socket_address(&self, id: SocketId, of_peer: bool) -> Result<&[u8], Errno> {
        if of_peer {
            self.sockets.peer_address(id)
        } else {
            self.sockets.address(id)
        }
    }

    /// Ends directions of a connection.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    pub fn shut_socket(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        shut: Shut,
    ) -> Result<(), Errno> {
        self.sockets.shut(context, id, shut)
    }

    /// Returns who receives what `id` sends, once it has room for `len` bytes.
    ///
    /// # Errors
    ///
    /// Those of send(2), or what to wait for.
    pub fn prepare_send(
        &mut self,
        id: SocketId,
        to: Option<SocketId>,
        len: usize,
    ) -> Result<SocketId, Stall> {
        let to = self.sockets.receiver(id, to)?;
        self.sockets.permit_message(to, len)?;
        Ok(to)
    }

    /// Puts bytes of one page of a program into a socket's queue; returns how many.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn put_into_socket(
        &mut self,
        context: &mut Context<'_>,
        to: SocketId,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        self.sockets.put(context, to, span)
    }

    /// Sends bytes of one page of the kernel's, for a copy from another file.
    ///
    /// # Errors
    ///
    /// Those of send(2), or what to wait for.
    pub(super) fn send_span(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let to = self.prepare_send(id, None, span.len)?;
        let put = self.sockets.put(context, to, span)?;
        let is_whole = put == span.len || self.sockets.get(id)?.kind() == SocketKind::Stream;
        if is_whole && self.finish_send(context, id, to, put, Vec::new()).is_ok() {
            return Ok(put);
        }
        self.sockets.take_back(context, to, put);
        Err(Errno::ENOMEM.into())
    }

    /// Takes the last `count` bytes back that were put.
    pub fn take_back_from_socket(&mut self, context: &mut Context<'_>, to: SocketId, count: usize) {
        self.sockets.take_back(context, to, count);
    }

    /// Holds the open files that `fds` mean, to be sent to `to`.
    ///
    /// # Errors
    ///
    /// EBADF, EINVAL for too many, ETOOMANYREFS, ENOMEM.
    pub fn hold_rights(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        to: SocketId,
        fds: &[i32],
    ) -> Result<Vec<DescriptionId>, Errno> {
        let mut rights = Vec::new();
        if fds.is_empty() {
            return Ok(rights);
        }
        if fds.len() > MAX_RIGHTS {
            return Err(Errno::EINVAL);
        }
        self.sockets.permit_receiver(to)?;
        rights
            .try_reserve_exact(fds.len())
            .map_err(|_| Errno::ENOMEM)?;
        for &fd in fds {
            match self.right(table, to, fd) {
                Ok(id) => rights.push(id),
                Err(errno) => {
                    self.release_rights(context, rights);
                    return Err(errno);
                }
            }
        }
        Ok(rights)
    }

    fn right(&mut self, table: TableId, to: SocketId, fd: i32) -> Result<DescriptionId, Errno> {
        let (id, file) = self.description(table, fd)?;
        if let Target::Socket(socket) = file.target {
            self.sockets.permit_right(socket, to)?;
            self.sockets.count_in_flight(socket, 1);
        }
        self.hold_description(id);
        Ok(id)
    }

    /// Gives open files back that were sent and not received.
    pub fn release_rights(&mut self, context: &mut Context<'_>, rights: Vec<DescriptionId>) {
        for id in rights {
            self.leave_flight(id);
            self.release_description(context, id);
        }
    }

    fn leave_flight(&mut self, id: DescriptionId) {
        if let Some(Target::Socket(socket)) = self.descriptions.get(id).map(|file| file.target) {
            self.sockets.count_in_flight(socket, -1);
        }
    }

    /// Makes the last `len` bytes that were put a message.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn finish_send(
        &mut self,
        context: &mut Context<'_>,
        from: SocketId,
        to: SocketId,
        len: usize,
        rights: Vec<DescriptionId>,
    ) -> Result<(), Errno> {
        self.sockets
            .finish(context, from, to, len, rights)
            .map_err(|(errno, rights)| {
                self.release_rights(context, rights);
                errno
            })
    }

    /// Returns the message that is received next; `None` at the end of what comes.
    ///
    /// # Errors
    ///
    /// Those of recv(2), or what to wait for.
    pub fn next_message(&mut self, id: SocketId) -> Result<Option<&Message>, Stall> {
        self.sockets.next_message(id)
    }

    /// Returns the bytes of the address the next message came from, behind the family.
    pub fn next_sender(&self, id: SocketId) -> &[u8] {
        self.sockets.next_sender(id)
    }

    /// Copies bytes of the next message from `skip` on into a page of a program; they stay.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn copy_message(
        &self,
        context: &mut Context<'_>,
        id: SocketId,
        skip: usize,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        self.sockets.copy_out(context, id, skip, span)
    }

    /// Takes bytes of the next message out; a message that is not a stream's goes whole. Its open files are the caller's.
    pub fn take_message(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        count: usize,
    ) -> Vec<DescriptionId> {
        self.sockets.take(context, id, count)
    }

    /// Puts a received open file at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// EMFILE, ENOMEM; the file is given back.
    pub fn accept_right(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        right: DescriptionId,
        close_on_exec: bool,
    ) -> Result<i32, Errno> {
        self.leave_flight(right);
        self.install(context, table, 0, right, close_on_exec)
    }

    /// Lets a socket go with its last descriptor: what it has not received, and who it has not accepted.
    pub(super) fn close_socket(&mut self, context: &mut Context<'_>, id: SocketId) {
        // A connection that was not accepted has none of its own, and queues hold no sockets with open files in
        // theirs: this goes three levels deep at most.
        while let Some(connection) = self.sockets.unaccepted(id) {
            self.drop_socket(context, connection, true);
        }
        self.drop_socket(context, id, false);
    }

    /// Lets a socket go; who is connected with it hears of a reset when something was `unread`.
    fn drop_socket(&mut self, context: &mut Context<'_>, id: SocketId, mut unread: bool) {
        while let Ok(Some(message)) = self.sockets.next_message(id) {
            let len = message.len;
            unread = true;
            let rights = self.sockets.take(context, id, len);
            self.release_rights(context, rights);
        }
        self.sockets.remove(context, id, unread);
    }
}

/// Bytes of a `sockaddr_un` behind the family.
pub const ADDRESS_BYTES: usize = 108;
