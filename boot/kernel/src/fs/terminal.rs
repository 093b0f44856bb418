//! Terminals as files: `/dev/tty`, `/dev/ptmx`, `/dev/pts`.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Attributes, Kind};
use crate::fs::context::Context;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::device::{Device, device_number};
use crate::fs::flags::OpenFlags;
use crate::fs::proc::ProcNode;
use crate::fs::table::TableId;
use crate::limits::TERMINAL_FRAMES;
use crate::tty::{Side, TerminalEnd, TerminalId};
use hal::block::Block;

/// `/dev/tty`: the terminal of one's own session.
pub(super) const OWN: u64 = device_number(5, 0);

/// `/dev/ptmx`: a new terminal's master.
pub(super) const MASTERS: u64 = device_number(5, 2);

/// The group of terminals (`tty` in every distribution's `/etc/group`).
pub(super) const GROUP: u32 = 5;

/// Returns the device number of a slave.
pub(super) const fn slave_number(number: u32) -> u64 {
    device_number(136, number)
}

impl<B: Block> Files<B> {
    /// Opens a character device.
    pub(super) fn open_device(
        &mut self,
        context: &mut Context<'_>,
        special: u64,
        flags: OpenFlags,
    ) -> Result<Target, Errno> {
        if let Some(device) = Device::from_number(special) {
            return Ok(Target::Device(device));
        }
        let asker = context.processes.current();
        let session = context
            .processes
            .files(asker)
            .map_or(0, |files| files.session);
        let own = self.terminals.of_session(session);
        let id = match special {
            MASTERS => {
                self.room_for_terminal(context);
                return Ok(Target::Terminal(self.terminals.create(context)?));
            }
            OWN => own.ok_or(Errno::ENXIO)?,
            _ => {
                // Minor numbers below 256 lie together; there are fewer terminals.
                let number = (special & 0xff) as u32;
                self.terminals
                    .numbered(number, context.account)
                    .filter(|_| special == slave_number(number))
                    .ok_or(Errno::ENXIO)?
            }
        };
        let end = self
            .terminals
            .open_slave(id, context.can(Capabilities::SYS_ADMIN))?;
        let takes = !flags.contains(OpenFlags::NOCTTY) && flags.access().contains(Access::READ);
        if takes && session == asker.0 && own.is_none() && self.terminals.session(id).0 == 0 {
            // A session's leader leads the group of the same number.
            self.terminals.set_session(id, session, session);
        }
        Ok(Target::Terminal(end))
    }

    /// Makes frames free for a terminal, if there are none and some can be had at once.
    pub(crate) fn room_for_terminal(&mut self, context: &mut Context<'_>) {
        if context.pool.available() < TERMINAL_FRAMES {
            // Without room the terminal will not be made.
            let _ = self.make_room(context.pool, context.accounts);
        }
    }

    /// Puts the slave of a terminal at a process's three standard descriptors.
    ///
    /// # Errors
    ///
    /// EIO when the terminal is gone; EMFILE, ENFILE, ENOMEM.
    pub(crate) fn attach_terminal(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        id: TerminalId,
    ) -> Result<(), Errno> {
        let target = Target::Terminal(self.terminals.open_slave(id, true)?);
        let description = self.describe(context, target, None, OpenFlags::RDWR)?;
        for fd in 0..3 {
            // The two further descriptors count one more reference each.
            if fd > 0 {
                self.hold_description(description);
            }
            self.install_at(context, table, fd, description, false)?;
        }
        Ok(())
    }

    /// Opens a terminal's slave beside a master (TIOCGPTPEER).
    ///
    /// # Errors
    ///
    /// EIO while it is locked; EMFILE, ENFILE, ENOMEM.
    pub(crate) fn open_peer(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        id: TerminalId,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let target = Target::Terminal(
            self.terminals
                .open_slave(id, context.can(Capabilities::SYS_ADMIN))?,
        );
        let description = self.describe(context, target, None, flags)?;
        let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        self.install(context, table, 0, description, close_on_exec)
    }

    /// Returns the terminal an open file leads to, and by which side.
    pub(crate) fn terminal(&self, id: DescriptionId) -> Option<TerminalEnd> {
        match self.descriptions.get(id)?.target {
            Target::Terminal(end) => Some(end),
            _ => None,
        }
    }

    /// Returns what stat(2) says of a terminal that was not opened by a name.
    pub(super) fn terminal_attributes(
        &self,
        context: &Context<'_>,
        end: TerminalEnd,
    ) -> Attributes {
        let number = end.id.index();
        let uid = match self.terminals.owned(number, context.account) {
            Some((known, _, uid)) if known == number => uid,
            _ => 0,
        };
        let mut attributes = ProcNode::Terminal(number, uid).attributes(context);
        if end.side == Side::Master {
            attributes.special = MASTERS;
        }
        debug_assert_eq!(attributes.kind, Kind::Character);
        attributes
    }
}
