//! The user a program is to run as, when the host names one: `user` or `user:group`, each by name or by number, looked up in
//! `/etc/passwd` and `/etc/group` of the program's own root (gcs-protocol §7.1.1, passwd(5), group(5)).
//!
//! | named          | user id             | group id                                  |
//! |----------------|---------------------|-------------------------------------------|
//! | `name`         | the user's          | the user's                                |
//! | `number`       | the number          | that user's, 0 when nobody has the number |
//! | `…:name`       | as above            | the group's                               |
//! | `…:number`     | as above            | the number                                |
//!
//! A list is read a window at a time, one in each step of the load, so that a long one holds nobody up. Lines that say
//! nothing are passed over, as getpwnam(3) does.

use super::{About, Load, Step, Trouble};
use crate::errno::Errno;
use crate::fs::{Kind, Last, Start};
use crate::limits::{USER_LIST_BYTES, USER_NAME_BYTES, USER_WINDOW_BYTES};
use crate::process::ProcessId;
use crate::program::ProgramFile;
use crate::system::{FileParts, System};
use hal::block::Block;

/// A list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `/etc/passwd`.
    Users,
    /// `/etc/group`.
    Groups,
}

impl List {
    const fn path(self) -> &'static [u8] {
        match self {
            Self::Users => b"/etc/passwd",
            Self::Groups => b"/etc/group",
        }
    }

    /// Says that nobody in the list has the name.
    const fn nobody(self) -> &'static str {
        match self {
            Self::Users => "no user of this name in /etc/passwd",
            Self::Groups => "no group of this name in /etc/group",
        }
    }
}

/// Where the reading of a list has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    list: List,
    at: u64,
    /// The line at `at` was looked at; only its end is yet to be found.
    is_inside: bool,
}

impl Reading {
    const fn of(list: List) -> Self {
        Self {
            list,
            at: 0,
            is_inside: false,
        }
    }
}

/// A name or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named<'a> {
    Name(&'a [u8]),
    Number(u32),
}

impl<'a> Named<'a> {
    fn of(text: &'a [u8]) -> Self {
        number(text).map_or(Self::Name(text), Self::Number)
    }
}

/// Whom a host has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted<'a> {
    user: Named<'a>,
    group: Option<Named<'a>>,
}

impl<'a> Wanted<'a> {
    /// Reads `user` or `user:group`.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.split(|&byte| byte == b':');
        let wanted = Self {
            user: Named::of(parts.next()?),
            group: parts.next().map(Named::of),
        };
        parts.next().is_none().then_some(wanted)
    }

    /// Returns whom to look for in a list.
    const fn of(self, list: List) -> Option<Named<'a>> {
        match list {
            List::Users => Some(self.user),
            List::Groups => self.group,
        }
    }
}

/// What a window of a list comes to.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Who was looked for: the id and, of a user, the group's.
    Ids(u32, u32),
    /// Nobody; the next window begins so far behind this one, and perhaps inside a line that was looked at.
    Next { bytes: usize, is_inside: bool },
}

impl<B: Block> System<B> {
    /// Sees whether the host named a user; the step after that.
    pub(super) fn name_user(&mut self, load: &Load) -> Result<Step, Trouble> {
        let mut text = [0; USER_NAME_BYTES];
        let text = self.user_name(load, &mut text)?;
        if text.is_empty() {
            return Ok(Step::SEARCH);
        }
        match Wanted::parse(text) {
            Some(_) => Ok(Step::User(Reading::of(List::Users))),
            None => Err(failed("this is neither a user nor user:group")),
        }
    }

    /// Looks for a part of the name in the next window of its list; the step after that.
    pub(super) fn find_user(
        &mut self,
        id: ProcessId,
        load: &mut Load,
        reading: Reading,
    ) -> Result<Step, Trouble> {
        let mut text = [0; USER_NAME_BYTES];
        let text = self.user_name(load, &mut text)?;
        let wanted = Wanted::parse(text).ok_or(Errno::EINVAL)?;
        let list = reading.list;
        let Some(named) = wanted.of(list) else {
            return self.keep_user(id);
        };
        let found = match named {
            Named::Number(number) if wanted.group.is_some() => Found::Ids(number, 0),
            _ => self.look_into(id, load, reading, named)?,
        };
        let (own, group) = match (found, named) {
            (Found::Ids(own, group), _) => (own, group),
            (Found::Next { bytes, is_inside }, _) if bytes > 0 => {
                return Ok(Step::User(Reading {
                    list,
                    at: reading.at + bytes as u64,
                    is_inside,
                }));
            }
            (_, Named::Number(number)) => (number, 0),
            (_, Named::Name(_)) => return Err(failed(list.nobody())),
        };
        if let Some(file) = load.file.take() {
            self.release_file(file.id);
        }
        let identity = self.identity_mut(id)?;
        match list {
            List::Users => {
                identity.become_user(own, group);
                Ok(Step::User(Reading::of(List::Groups)))
            }
            List::Groups => {
                let user = identity.user.real;
                identity.become_user(user, own);
                self.keep_user(id)
            }
        }
    }

    /// Reads a window of a list and looks for somebody in it; behind the last window nothing is `Next`.
    fn look_into(
        &mut self,
        id: ProcessId,
        load: &mut Load,
        reading: Reading,
        named: Named<'_>,
    ) -> Result<Found, Trouble> {
        if load.file.is_none() {
            load.file = self.open_list(id, reading.list)?;
        }
        let mut window = [0; USER_WINDOW_BYTES];
        let left = load
            .file
            .map_or(0, |file| file.bytes.saturating_sub(reading.at));
        let window = &mut window[..left.min(USER_WINDOW_BYTES as u64) as usize];
        if let Some(file) = load.file {
            self.read_file(file.id, reading.at, window)
                .map_err(about_user)?;
        }
        let is_last = left == window.len() as u64;
        Ok(look(
            window,
            is_last,
            reading.is_inside,
            reading.list,
            named,
        ))
    }

    /// Opens a list in a process's root, whoever may read it; `None` when it is not there.
    fn open_list(&mut self, id: ProcessId, list: List) -> Result<Option<ProgramFile>, Trouble> {
        let directories = self.process(id)?.directories.ok_or(Errno::ENOENT)?;
        let FileParts {
            files, mut context, ..
        } = self.own_file_parts();
        let (root, working) = files.origin(directories)?;
        let start = Start {
            root: root.by_ref(),
            base: root.by_ref(),
        };
        let found = files.walk(&mut context, start, list.path(), Last::Follow);
        files.release_place(root);
        files.release_place(working);
        let place = match found {
            Ok(place) => place,
            Err(stall) if stall.errno() == Some(Errno::ENOENT) => return Ok(None),
            Err(stall) => return Err(about_user(stall.into())),
        };
        let bytes = match self.files.attributes(place.by_ref()) {
            Ok(file) if file.kind == Kind::Regular && file.size <= USER_LIST_BYTES => file.size,
            _ => {
                self.files.release_place(place);
                return Err(failed(
                    "a list of users is no file of up to USER_LIST_BYTES",
                ));
            }
        };
        let id = self.show_file(place)?;
        Ok(Some(ProgramFile { id, bytes }))
    }

    /// The user is known: a container's further processes run as its first one does, unless they are told otherwise.
    fn keep_user(&mut self, id: ProcessId) -> Result<Step, Trouble> {
        let identity = self.identity(id)?;
        let user = (identity.user.real, identity.group.real);
        let process = self.process(id)?;
        let (view, pid) = (process.view, process.pid.0);
        if let Some(entry) = self.views.get_mut(view)
            && entry.init == pid
        {
            entry.user = Some(user);
        }
        Ok(Step::SEARCH)
    }

    /// Reads what the host has named.
    fn user_name<'b>(
        &mut self,
        load: &Load,
        buffer: &'b mut [u8; USER_NAME_BYTES],
    ) -> Result<&'b [u8], Trouble> {
        let at = load.strings.user;
        Ok(self.read_cstring(load.space, at, buffer, Errno::ENAMETOOLONG)?)
    }
}

fn failed(reason: &'static str) -> Trouble {
    Trouble::Failed(Errno::EINVAL, reason, About::User)
}

/// Says that a trouble with a list is one with the user.
fn about_user(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(errno, reason, _) => Trouble::Failed(errno, reason, About::User),
        later => later,
    }
}

/// Looks for somebody in a window of a list, line by line. `is_last` is whether the list ends with the window.
fn look(window: &[u8], is_last: bool, mut is_inside: bool, list: List, named: Named<'_>) -> Found {
    let mut start = 0;
    while start < window.len() {
        let rest = &window[start..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        if end.is_none() && !is_last && start > 0 {
            // Its end is in the next window, which begins with it.
            return Found::Next {
                bytes: start,
                is_inside,
            };
        }
        let line = &rest[..end.unwrap_or(rest.len())];
        // Of a line longer than a window, the beginning counts up to where a field ends for certain.
        let is_whole = end.is_some() || is_last;
        let known = match line.iter().rposition(|&byte| byte == b':') {
            Some(colon) if !is_whole => &line[..colon],
            _ => line,
        };
        if !is_inside && let Some(ids) = ids(known, list, named) {
            return ids;
        }
        is_inside = !is_whole;
        start += line.len() + 1;
    }
    Found::Next {
        bytes: if is_last { 0 } else { window.len() },
        is_inside,
    }
}

/// Returns the ids a line tells, if it is about somebody.
fn ids(line: &[u8], list: List, named: Named<'_>) -> Option<Found> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next()?;
    fields.next()?;
    let own = number(fields.next()?)?;
    let group = match list {
        List::Users => number(fields.next()?)?,
        List::Groups => 0,
    };
    let is_it = match named {
        Named::Name(wanted) => wanted == name,
        Named::Number(wanted) => wanted == own,
    };
    is_it.then_some(Found::Ids(own, group))
}

/// Reads an id: decimal digits and nothing else.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec::Vec;

    /// Reads a whole list through windows of `width` bytes, as a load does.
    fn search(text: &[u8], width: usize, list: List, named: Named<'_>) -> Option<(u32, u32)> {
        let (mut at, mut is_inside) = (0, false);
        loop {
            let end = text.len().min(at + width);
            match look(&text[at..end], end == text.len(), is_inside, list, named) {
                Found::Ids(own, group) => return Some((own, group)),
                Found::Next { bytes: 0, .. } => return None,
                Found::Next {
                    bytes,
                    is_inside: inside,
                } => (at, is_inside) = (at + bytes, inside),
            }
        }
    }

    const USERS: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\nbad\nodd:x:-1:2\nodder:x:5\n\
        alice:x:1000:100:A:/home:/bin/sh\ndup:x:1000:7::\nlast:x:4294967295:8";

    #[test]
    fn a_name_is_split_at_one_colon_and_no_more() {
        let name = Named::Name;
        let wanted = |user, group| Some(Wanted { user, group });
        assert_eq!(Wanted::parse(b"a"), wanted(name(b"a"), None));
        assert_eq!(Wanted::parse(b"7"), wanted(Named::Number(7), None));
        let both = wanted(name(b"a"), Some(Named::Number(5)));
        assert_eq!(Wanted::parse(b"a:5"), both);
        let odd = wanted(name(b"-7"), Some(name(b"4294967296")));
        assert_eq!(Wanted::parse(b"-7:4294967296"), odd);
        assert_eq!(Wanted::parse(b"a:"), wanted(name(b"a"), Some(name(b""))));
        assert_eq!(Wanted::parse(b"a:b:c"), None);
    }

    #[test]
    fn users_are_found_by_name_and_number_through_windows_of_any_width() {
        for width in 40..USERS.len() + 2 {
            let find = |named| search(USERS, width, List::Users, named);
            assert_eq!(find(Named::Name(b"root")), Some((0, 0)));
            assert_eq!(find(Named::Name(b"alice")), Some((1000, 100)), "{width}");
            assert_eq!(find(Named::Number(1000)), Some((1000, 100)), "the first");
            assert_eq!(find(Named::Name(b"last")), Some((u32::MAX, 8)));
            for nobody in [&b"bad"[..], b"odd", b"odder", b"", b"alic", b"x"] {
                assert_eq!(find(Named::Name(nobody)), None, "{nobody:?}");
            }
        }
    }

    #[test]
    fn a_line_longer_than_a_window_counts_by_its_beginning_and_is_passed_over() {
        let members: Vec<u8> = b"m,".repeat(100);
        let list = [b"big:x:77:", &members[..], b"\nnext:x:78:\n"].concat();
        for width in 12..list.len() + 2 {
            let find = |named| search(&list, width, List::Groups, named);
            assert_eq!(find(Named::Name(b"big")), Some((77, 0)), "{width}");
            assert_eq!(find(Named::Name(b"next")), Some((78, 0)), "{width}");
            assert_eq!(find(Named::Name(b"m")), None);
        }
        // A number that is cut by the window's end is not taken for a shorter one.
        let long = format!("{}:x:1234567:\n", "n".repeat(20));
        for width in 1..long.len() {
            let found = search(long.as_bytes(), width, List::Groups, Named::Number(1234));
            assert_eq!(found, None, "{width}");
        }
    }

    #[test]
    fn an_empty_list_knows_nobody() {
        for named in [Named::Name(b""), Named::Number(0)] {
            assert_eq!(search(b"", 8, List::Users, named), None);
            assert_eq!(search(b"\n\n\n", 8, List::Users, named), None);
        }
    }

    #[test]
    fn an_id_is_a_number_of_thirty_two_bits() {
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for bad in [&b""[..], b"4294967296", b"-1", b"+1", b" 1", b"1 ", b"0x1"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
