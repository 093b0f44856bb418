//! Addresses of sockets: files of the tree, and abstract names, which begin with a NUL and are known inside one pod.

use super::{Family, Socket, SocketId, Sockets, State};
use crate::errno::Errno;
use crate::fs::inode::InodeId;
use crate::fs::text::Text;
use crate::limits::WORK_NAMINGS;
use crate::wait::Stall;

impl Sockets {
    /// Returns the socket that stands behind a file.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED.
    pub(in crate::fs) fn at_file(&self, file: InodeId) -> Result<SocketId, Errno> {
        self.find(|socket| socket.file == Some(file))
            .ok_or(Errno::ECONNREFUSED)
    }

    /// Returns the socket that `asker` knows by an abstract name, which begins with a NUL.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED, EBADF when `asker` is gone.
    pub(in crate::fs) fn at_name(&self, asker: SocketId, name: &[u8]) -> Result<SocketId, Errno> {
        let pod = self.get(asker)?.pod;
        self.find(|socket| {
            socket.family == Family::Unix
                && socket.is_bound
                && socket.pod == pod
                && socket.address.as_deref() == Some(name)
        })
        .ok_or(Errno::ECONNREFUSED)
    }

    /// Returns the socket that stands behind a file, or that has an abstract name.
    pub(super) fn find(&self, is_it: impl Fn(&Socket) -> bool) -> Option<SocketId> {
        self.table
            .iter()
            .find_map(|(id, socket)| is_it(socket).then_some(id))
    }

    /// Refuses a second address.
    pub(in crate::fs) fn permit_address(&self, id: SocketId) -> Result<(), Errno> {
        match self.get(id)?.address {
            Some(_) => Err(Errno::EINVAL),
            None => Ok(()),
        }
    }

    /// Gives a socket its address, and the file that stands for it when that is a path.
    ///
    /// # Errors
    ///
    /// ENOMEM, EADDRINUSE.
    pub(in crate::fs) fn set_address(
        &mut self,
        id: SocketId,
        address: &[u8],
        file: Option<InodeId>,
    ) -> Result<(), Errno> {
        if file.is_none() && self.at_name(id, address).is_ok() {
            return Err(Errno::EADDRINUSE);
        }
        let address = Text::copy_of(address)?;
        let socket = self.get_mut(id)?;
        socket.address = Some(address);
        socket.is_bound = true;
        socket.file = file;
        Ok(())
    }

    /// Gives a socket an abstract name of its own: a NUL and five digits, as Linux does.
    ///
    /// # Errors
    ///
    /// ENOMEM; [`Stall::AGAIN`] while no free one is found. There are more names than sockets.
    pub(in crate::fs) fn name_itself(&mut self, id: SocketId) -> Result<(), Stall> {
        for _ in 0..WORK_NAMINGS {
            self.last_name = (self.last_name + 1) & 0xf_ffff;
            let mut name = [0; 6];
            for (nth, place) in name[1..].iter_mut().enumerate() {
                let digit = (self.last_name >> (16 - 4 * nth)) & 0xf;
                *place = b"0123456789abcdef"[digit as usize];
            }
            match self.set_address(id, &name, None) {
                Err(Errno::EADDRINUSE) => {}
                named => return Ok(named?),
            }
        }
        Err(Stall::AGAIN)
    }

    /// Returns the bytes of a socket's own address behind the family.
    pub(in crate::fs) fn address(&self, id: SocketId) -> Result<&[u8], Errno> {
        Ok(self.get(id)?.address.as_deref().unwrap_or_default())
    }

    /// Returns the bytes of the address a socket is connected to.
    pub(in crate::fs) fn peer_address(&self, id: SocketId) -> Result<&[u8], Errno> {
        match self.get(id)?.state {
            State::Connected(peer) => Ok(self.address(peer).unwrap_or_default()),
            _ => Err(Errno::ENOTCONN),
        }
    }
}
