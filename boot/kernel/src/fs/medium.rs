//! Disks as the host knows them: found by serial or by order, cut into parts, and given back before they are pulled.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::holder::Busy;
use crate::wait::Stall;
use agent::kernel::{Medium, Part};
use core::fmt::Write;
use hal::block::{Block, SECTOR_BYTES};
use hal::limits::BLOCK_SERIAL_BYTES;

/// What the serial of a disk begins with that the host attached for itself; see [`Medium`].
const ADDRESSES: [&str; 2] = ["scsi-", "pmem-"];

impl<B: Block> Files<B> {
    /// Finds a disk; `None` when there is none, or it works no more.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] while a disk has not told its serial yet.
    pub fn find_disk(&self, medium: Medium) -> Result<Option<u8>, Stall> {
        let mut serial = heapless::String::<BLOCK_SERIAL_BYTES>::new();
        // The longest is `pmem-4294967295`.
        let _ = write!(serial, "{medium}");
        for disk in 0..self.disks.len() as u8 {
            if self.is_addressed(disk)? && self.is_called(disk, &serial) {
                return Ok(Some(disk));
            }
        }
        match medium {
            Medium::Scsi(0, unit) if self.is_working(unit) && !self.is_addressed(unit)? => {
                Ok(Some(unit))
            }
            _ => Ok(None),
        }
    }

    fn is_working(&self, disk: u8) -> bool {
        self.disks.device(disk).is_some_and(|disk| !disk.is_dead())
    }

    fn is_called(&self, disk: u8, serial: &str) -> bool {
        let device = self.disks.device(disk);
        device.is_some_and(|device| !device.is_dead() && device.info().serial == serial)
    }

    /// Returns whether a disk says in its serial what the host calls it. Such a disk is never the root.
    pub(super) fn is_addressed(&self, disk: u8) -> Result<bool, Stall> {
        let Some(device) = self.disks.device(disk) else {
            return Ok(false);
        };
        if !device.is_identified() {
            return Err(Stall::AGAIN);
        }
        let serial = &device.info().serial;
        Ok(ADDRESSES.iter().any(|start| serial.starts_with(start)))
    }

    /// Returns the volume of a whole disk, held for a change that reads it.
    pub(crate) fn hold_disk(&mut self, disk: u8) -> Result<u8, Errno> {
        self.hold_bytes(disk, 0, self.disks.bytes(disk))
    }

    fn hold_bytes(&mut self, disk: u8, start: u64, bytes: u64) -> Result<u8, Errno> {
        let volume = self.volumes.acquire(disk, start, bytes)?;
        self.volumes.hold(volume);
        Ok(volume)
    }

    /// Exchanges a held volume of a whole disk for one of a part of it.
    ///
    /// # Errors
    ///
    /// EIO; ENODATA without a sound partition table, ENXIO without such a partition, EINVAL for bytes that are not whole
    /// sectors of the disk. The volume is still held then.
    pub(crate) fn hold_part(
        &mut self,
        context: &mut Context<'_>,
        whole: u8,
        part: Part,
    ) -> Result<u8, Stall> {
        let (start, bytes) = match part {
            Part::Whole => return Ok(whole),
            Part::Partition(number) => self.find_partition(context, whole, number)?,
            Part::Window { start, bytes } => (start, bytes),
        };
        let volume = self.volumes.get(whole).ok_or(Errno::EIO)?;
        let sector = SECTOR_BYTES as u64;
        let is_inside = start
            .checked_add(bytes)
            .is_some_and(|end| end <= volume.bytes);
        if bytes == 0 || !is_inside || start % sector != 0 || bytes % sector != 0 {
            return Err(Errno::EINVAL.into());
        }
        let disk = volume.disk;
        let held = self.hold_bytes(disk, start, bytes)?;
        self.volumes.release(whole);
        Ok(held)
    }

    /// Gives a held volume back.
    pub(crate) fn release_volume(&mut self, volume: u8) {
        self.volumes.release(volume);
    }

    /// Takes a disk out that is about to be pulled.
    ///
    /// # Errors
    ///
    /// EBUSY while something on it is in use.
    pub fn eject(&mut self, disk: u8) -> Result<Option<B>, Stall> {
        if self.volumes.is_used(disk) {
            let tree = self.tree_on_disk(disk);
            return Err(self.refuse_busy(tree.map(Busy::Lent)).into());
        }
        let device = self.disks.remove(disk)?;
        self.volumes.lose(disk);
        Ok(device)
    }
}
