//! Flags of open(2) and of the `*at` calls, with the numbers of x86-64 Linux (asm-generic/fcntl.h).

use crate::errno::Errno;
use crate::fs::attributes::Access;

bitflags::bitflags! {
    /// Flags of open(2). The access mode is in the two lowest bits and is not a flag: see [`OpenFlags::access`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// O_WRONLY. Access mode: writing.
        const WRONLY = 0o1;
        /// O_RDWR. Access mode: reading and writing.
        const RDWR = 0o2;
        /// O_CREAT. Make the file if there is none.
        const CREAT = 0o100;
        /// O_EXCL. With CREAT: there must be none.
        const EXCL = 0o200;
        /// O_NOCTTY. Do not take the terminal.
        const NOCTTY = 0o400;
        /// O_TRUNC. Cut to nothing.
        const TRUNC = 0o1000;
        /// O_APPEND. Write behind the end.
        const APPEND = 0o2000;
        /// O_NONBLOCK. Never wait for the other end.
        const NONBLOCK = 0o4000;
        /// O_DSYNC. Data is on the disk when a write returns.
        const DSYNC = 0o10000;
        /// O_ASYNC. Signals on readiness.
        const ASYNC = 0o20000;
        /// O_DIRECT. Past the cache.
        const DIRECT = 0o40000;
        /// O_LARGEFILE. Files above 2 GiB.
        const LARGEFILE = 0o100_000;
        /// O_DIRECTORY. It must be a directory.
        const DIRECTORY = 0o200_000;
        /// O_NOFOLLOW. It must not be a symbolic link.
        const NOFOLLOW = 0o400_000;
        /// O_NOATIME. Leave the time of last read.
        const NOATIME = 0o1_000_000;
        /// O_CLOEXEC. Close on execve.
        const CLOEXEC = 0o2_000_000;
        /// O_SYNC. All is on the disk when a write returns.
        const SYNC = 0o4_000_000;
        /// O_PATH. A place only; neither reading nor writing.
        const PATH = 0o10_000_000;
        /// O_TMPFILE. A file without a name.
        const TMPFILE = 0o20_000_000;
    }
}

impl OpenFlags {
    /// What fcntl(F_SETFL) can change.
    pub const CHANGEABLE: Self = Self::APPEND
        .union(Self::NONBLOCK)
        .union(Self::ASYNC)
        .union(Self::DIRECT)
        .union(Self::NOATIME);

    /// What an open file description remembers and fcntl(F_GETFL) shows.
    pub(super) const KEPT: Self = Self::CHANGEABLE
        .union(Self::WRONLY)
        .union(Self::RDWR)
        .union(Self::DSYNC)
        .union(Self::SYNC)
        .union(Self::LARGEFILE)
        .union(Self::DIRECTORY)
        .union(Self::NOFOLLOW)
        .union(Self::PATH)
        .union(Self::TMPFILE);

    /// Returns what the access mode allows. Mode 3 allows neither (it exists for ioctls).
    #[must_use]
    pub const fn access(self) -> Access {
        match self.bits() & 3 {
            0 => Access::READ,
            1 => Access::WRITE,
            2 => Access::READ.union(Access::WRITE),
            _ => Access::empty(),
        }
    }

    /// Checks a program's flags. Unknown bits are ignored, as open(2) always did.
    ///
    /// # Errors
    ///
    /// EINVAL for O_TMPFILE without O_DIRECTORY, with O_CREAT, or without the right to write.
    pub fn from_program(bits: u64) -> Result<Self, Errno> {
        let flags = Self::from_bits_truncate(bits as u32);
        if flags.contains(Self::PATH) {
            return Ok(flags & (Self::PATH | Self::DIRECTORY | Self::NOFOLLOW | Self::CLOEXEC));
        }
        if flags.contains(Self::TMPFILE)
            && (!flags.contains(Self::DIRECTORY)
                || flags.contains(Self::CREAT)
                || !flags.access().contains(Access::WRITE))
        {
            return Err(Errno::EINVAL);
        }
        Ok(flags)
    }
}

/// What a look-up does with a symbolic link in the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Goes where it points.
    Follow,
    /// Stops at the link itself, unless a slash behind it asks for what it points to.
    Keep,
    /// Stops at the link itself, whatever is behind it: for a name that is made or removed.
    Name,
}
