//! The times of files: utimensat, and what it was before.

use super::path::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PathArgument, check_flags, last_of,
};
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::NewTime;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use core::time::Duration;
use hal::block::Block;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What follows a time's seconds, by how many nanoseconds one of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction(u64);

/// `struct utimbuf`.
const NONE: Fraction = Fraction(0);
/// `struct timeval`.
const MICROS: Fraction = Fraction(1000);
/// `struct timespec`.
const NANOS: Fraction = Fraction(1);

/// utime(2).
pub(super) fn utime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, PathArgument::plain(call, 0), (1, NONE), 0)
}

/// utimes(2).
pub(super) fn utimes<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, PathArgument::plain(call, 0), (1, MICROS), 0)
}

/// futimesat(2).
pub(super) fn futimesat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, PathArgument::at(call, 0), (2, MICROS), 0)
}

/// utimensat(2).
pub(super) fn utimensat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(3);
    set(system, call, PathArgument::at(call, 0), (2, NANOS), flags)
}

fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    (nth, fraction): (usize, Fraction),
    flags: u32,
) -> Outcome {
    let [accessed, modified] = read(system, call, call.address(nth), fraction)?;
    if [accessed, modified] == [NewTime::Keep; 2] {
        // Nothing else is looked at.
        return Ok(0);
    }
    check_flags(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    if path.address.is_null() && path.from != AT_FDCWD {
        // futimens(3).
        check_flags(flags, 0)?;
        return system.with_open_place(call, 0, &mut |files, context, place| {
            files.set_times(context, place, accessed, modified)?;
            Ok(0)
        });
    }
    let last = last_of(flags);
    system.with_place(call, path, last, flags, &mut |files, context, place| {
        files.set_times(context, place, accessed, modified)?;
        Ok(0)
    })
}

/// Reads the times of the last read and the last change; without an address both are now.
fn read<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
    fraction: Fraction,
) -> Result<[NewTime; 2], Stall> {
    const NOW: u64 = 0x3fff_ffff;
    const OMIT: u64 = 0x3fff_fffe;
    let mut times = [NewTime::Now; 2];
    if at.is_null() {
        return Ok(times);
    }
    let bytes = if fraction == NONE { 8 } else { 16 };
    for (nth, time) in times.iter_mut().enumerate() {
        let at = at.offset(nth as u64 * bytes)?;
        let seconds = system.read_u64(call.space, at)?;
        let part = if fraction == NONE {
            0
        } else {
            system.read_u64(call.space, at.offset(8)?)?
        };
        *time = match part {
            NOW if fraction == NANOS => NewTime::Now,
            OMIT if fraction == NANOS => NewTime::Keep,
            _ if part.saturating_mul(fraction.0) < NANOS_PER_SECOND => {
                // Before 1970 is taken as 1970.
                let seconds = u64::try_from(seconds as i64).unwrap_or(0);
                NewTime::At(Duration::new(seconds, (part * fraction.0) as u32))
            }
            _ => return Err(Errno::EINVAL.into()),
        };
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use crate::bench::{Bench, exit};
    use crate::tests::{AT, call, map, steps};
    use agent::kernel::ExitStatus;
    use fakes::user::Step::{self, *};
    use std::vec;
    use std::vec::Vec;

    const PIPE: u64 = 22;
    const UTIMENSAT: u64 = 280;
    const HERE: u64 = -100_i64 as u64;
    const NAME: u64 = AT + 64;

    fn set(from: u64, path: u64, times: u64, flags: u64, answer: i64) -> Vec<Step> {
        vec![call(UTIMENSAT, &[from, path, times, flags]), Expect(answer)]
    }

    #[test]
    fn a_descriptor_alone_has_no_flags_and_where_nothing_changes_nothing_is_looked_at() {
        let mut bench = Bench::new(256);
        let keep = [0_u64, 0x3fff_fffe].map(u64::to_le_bytes).concat();
        let status = bench.finish(steps(vec![
            map(1, 3),
            vec![
                call(PIPE, &[AT]),
                Expect(0),
                Store(AT, [keep.clone(), keep].concat()),
                Store(NAME, b"/none\0".to_vec()),
            ],
            set(0, 0, 0, 0x100, -22),
            set(0, 0, 0, 0x1000, -22),
            set(HERE, NAME, 0, 0, -2),
            set(HERE, NAME, 0, 2, -22),
            set(HERE, NAME, AT, 0, 0),
            set(HERE, NAME, AT, 2, 0),
            set(99, 0, AT, 0, 0),
            vec![exit(0)],
        ]));
        assert_eq!(status, ExitStatus::Exited(0));
    }
}
