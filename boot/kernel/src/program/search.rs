//! Looking for a program: a name with a slash is a path, any other is tried in each directory of `PATH`.

use super::{About, Load, Step, Trouble};
use crate::errno::Errno;
use crate::limits::PATH_BYTES;
use crate::process::ProcessId;
use crate::system::System;
use crate::wait::{Stall, Why};
use hal::block::Block;

/// Where programs are looked for when the environment has no `PATH` (agent::kernel::Program).
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A path under construction.
pub(super) type PathBuffer = [u8; PATH_BYTES];

impl<B: Block> System<B> {
    /// Tries the next candidate; the step after it.
    pub(super) fn search_program(
        &mut self,
        process: ProcessId,
        load: &mut Load,
        nth: u32,
        denied: bool,
    ) -> Result<Step, Trouble> {
        let mut path = [0; PATH_BYTES];
        let (path, searches) = match self.candidate(load, nth, &mut path)? {
            Some(Candidate::Path(path, origin)) => (path, origin == Origin::List),
            Some(Candidate::TooLong) => {
                return Ok(Step::Search {
                    nth: nth + 1,
                    denied,
                });
            }
            None if denied => {
                return Err(Trouble::Failed(
                    Errno::EACCES,
                    Errno::EACCES.text(),
                    About::Program,
                ));
            }
            None => {
                return Err(Trouble::Failed(
                    Errno::ENOENT,
                    "no such file or directory",
                    About::Program,
                ));
            }
        };
        match self.open_program(process, path).map_err(Stall::why) {
            Ok(file) => {
                load.file = Some(file);
                Ok(Step::Look { nth })
            }
            // execvp(3): go on looking, but remember that one was there.
            Err(Why::Error(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG)) if searches => {
                Ok(Step::Search {
                    nth: nth + 1,
                    denied,
                })
            }
            Err(Why::Error(Errno::EACCES)) if searches => Ok(Step::Search {
                nth: nth + 1,
                denied: true,
            }),
            Err(why) => Err(Stall::from(why).into()),
        }
    }

    /// Writes the path of the file that was found as the `nth` candidate.
    pub(super) fn found_path<'b>(
        &mut self,
        load: &Load,
        nth: u32,
        buffer: &'b mut PathBuffer,
    ) -> Result<&'b [u8], Stall> {
        match self.candidate(load, nth, buffer)? {
            Some(Candidate::Path(path, _)) => Ok(path),
            _ => Err(Errno::ENOENT.into()),
        }
    }

    /// Writes the `nth` candidate's path; `None` behind the last.
    fn candidate<'b>(
        &mut self,
        load: &Load,
        nth: u32,
        buffer: &'b mut PathBuffer,
    ) -> Result<Option<Candidate<'b>>, Stall> {
        // The name is read to where the path will stand, so that two buffers are enough.
        let name = self.read_cstring(
            load.space,
            load.strings.arguments,
            buffer,
            Errno::ENAMETOOLONG,
        )?;
        let (length, is_path) = (name.len(), name.contains(&b'/'));
        if length == 0 {
            return Err(Errno::ENOENT.into());
        }
        if is_path {
            return Ok((nth == 0).then_some(Candidate::Path(&buffer[..length], Origin::Name)));
        }
        let mut list = [0; PATH_BYTES];
        let list = match load.strings.path {
            Some(at) => self.read_cstring(load.space, at, &mut list, Errno::ENAMETOOLONG)?,
            None => DEFAULT_PATH,
        };
        Ok(list
            .split(|&byte| byte == b':')
            .nth(nth as usize)
            .map(|directory| join(directory, length, buffer)))
    }
}

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The program was named by a path.
    Name,
    /// A directory of `PATH`; there may be more.
    List,
}

/// A path to try.
#[derive(Debug, PartialEq, Eq)]
enum Candidate<'b> {
    /// This one.
    Path(&'b [u8], Origin),
    /// It is longer than a path may be, so nothing can stand there.
    TooLong,
}

/// Writes `directory/` before the name that stands at the buffer's start; an empty directory is the working directory
/// (environ(7)).
fn join<'b>(directory: &[u8], name: usize, buffer: &'b mut PathBuffer) -> Candidate<'b> {
    let directory: &[u8] = if directory.is_empty() {
        b"."
    } else {
        directory
    };
    let length = directory.len() + 1 + name;
    if length >= buffer.len() {
        return Candidate::TooLong;
    }
    buffer.copy_within(..name, directory.len() + 1);
    buffer[..directory.len()].copy_from_slice(directory);
    buffer[directory.len()] = b'/';
    Candidate::Path(&buffer[..length], Origin::List)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer with the name `ls` at its start.
    fn named() -> PathBuffer {
        let mut buffer = [0; PATH_BYTES];
        buffer[..2].copy_from_slice(b"ls");
        buffer
    }

    #[test]
    fn joins_directory_and_name_with_one_slash() {
        assert_eq!(
            join(b"/bin", 2, &mut named()),
            Candidate::Path(b"/bin/ls", Origin::List)
        );
        assert_eq!(
            join(b"", 2, &mut named()),
            Candidate::Path(b"./ls", Origin::List)
        );
    }

    #[test]
    fn a_candidate_is_at_most_as_long_as_a_path() {
        let fits = [b'a'; PATH_BYTES - 1 - 3];
        assert!(matches!(join(&fits, 2, &mut named()), Candidate::Path(..)));
        let long = [b'a'; PATH_BYTES - 3];
        assert_eq!(join(&long, 2, &mut named()), Candidate::TooLong);
    }
}
