//! Driving loads: each one step by step until it waits, succeeds or fails.

use super::stack::Strings;
use super::{About, Image, Load, Step, Trouble};
use crate::errno::Errno;
use crate::identity::Identity;
use crate::limits::{LOAD_STEPS, PATH_BYTES};
use crate::process::{Life, Notices, ProcessId};
use crate::space::{BREAK_SPREAD_PAGES, FileId, SpaceId};
use crate::system::System;
use agent::kernel::LoadError;
use agent::limits::ERROR_PATH_BYTES;
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::user::Context;

/// What an error's path ends with when it was cut.
const CUT_MARK: &str = "…";

/// How far one step came.
pub(super) enum Progress {
    /// This is next.
    Next(Step),
    /// The program is ready to begin here.
    Done(Start),
}

/// Where a program begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    instruction: u64,
    stack: u64,
}

impl Start {
    /// Sets a task's registers to the beginning.
    pub(super) fn set(self, context: &mut Context) {
        *context = Context::default();
        context.registers.rip = self.instruction;
        context.registers.rsp = self.stack;
    }
}

impl Load {
    /// Returns the files it has open.
    pub(crate) fn files(&self) -> [Option<FileId>; 2] {
        [self.file, self.interpreter].map(|file| file.map(|file| file.id))
    }

    /// Makes a load that is at its beginning.
    pub(crate) const fn new(space: SpaceId, strings: Strings) -> Self {
        Self {
            space,
            waits: None,
            file: None,
            interpreter: None,
            scripts: 0,
            step: Step::Directory,
            strings,
        }
    }
}

impl<B: Block> System<B> {
    /// Lets the loads go on whose key was woken; returns whether there was one.
    pub(crate) fn wake_loads(&mut self) -> bool {
        let mut woken = false;
        for (_, process) in self.table.processes.iter_mut() {
            if let Life::Loading(load) = &mut process.life
                && load.waits.is_some_and(|key| self.wakes.wakes(key))
            {
                load.waits = None;
                self.loading = true;
                woken = true;
            }
        }
        woken
    }

    /// Does some work on every load that does not wait; returns whether there was one.
    pub(crate) fn advance_loads(&mut self) -> bool {
        if !core::mem::replace(&mut self.loading, false) {
            return false;
        }
        let mut after = None;
        while let Some(id) = self.next_load(after) {
            after = self.table.processes.get(id).map(|process| process.pid.0);
            self.advance_load(id);
        }
        true
    }

    /// Returns the loading process with the smallest pid behind `after` that does not wait.
    fn next_load(&self, after: Option<u32>) -> Option<ProcessId> {
        self.table
            .in_order()
            .filter(|(_, process)| after.is_none_or(|after| process.pid.0 > after))
            .find(
                |(_, process)| matches!(&process.life, Life::Loading(load) if load.waits.is_none()),
            )
            .map(|(id, _)| id)
    }

    fn advance_load(&mut self, id: ProcessId) {
        for _ in 0..LOAD_STEPS {
            let Some(process) = self.table.processes.get_mut(id) else {
                return;
            };
            // The load stands aside while it works, so that its steps may use every table.
            let Life::Loading(mut load) = core::mem::replace(&mut process.life, Life::Stopped)
            else {
                return;
            };
            let result = self.step_load(id, &mut load);
            let Some(process) = self.table.processes.get_mut(id) else {
                return;
            };
            let leader = process.leader;
            match result {
                Ok(Progress::Next(step)) => {
                    load.step = step;
                    process.life = Life::Loading(load);
                }
                Ok(Progress::Done(start)) => {
                    if let Some(task) = leader.and_then(|id| self.table.tasks.get_mut(id)) {
                        start.set(&mut task.context);
                    }
                    self.keep_executable(id, &load);
                    self.notify(id, Notices::LOADED);
                    return;
                }
                Err(Trouble::Wait(key)) => {
                    load.waits = Some(key);
                    process.life = Life::Loading(load);
                    return;
                }
                Err(Trouble::Again) => {
                    process.life = Life::Loading(load);
                    self.loading = true;
                    return;
                }
                Err(Trouble::Failed(errno, reason, about)) => {
                    self.fail_load(id, &load, errno, reason, about);
                    return;
                }
            }
        }
        self.loading = true;
    }

    /// Does one step.
    pub(super) fn step_load(
        &mut self,
        id: ProcessId,
        load: &mut Load,
    ) -> Result<Progress, Trouble> {
        Ok(Progress::Next(match load.step {
            Step::Directory => {
                self.enter_directory(id, load)?;
                self.name_user(load)?
            }
            Step::User(reading) => self.find_user(id, load, reading)?,
            Step::Search { nth, denied } => self.search_program(id, load, nth, denied)?,
            // Those of execve are copied by the call; an agent's were copied when it spawned.
            Step::Strings { .. } => Step::Look { nth: 0 },
            Step::Look { nth } => self.look_at_program(id, load, nth)?,
            Step::Map => self.map_program(id, load)?,
            Step::Link { image } => Step::Clear {
                image: self.map_linker(load, image)?,
            },
            Step::Clear { image } => {
                let program = load.file.map(|file| (file, image.bias));
                let linker = load.interpreter.map(|file| (file, image.base));
                for (file, bias) in program.into_iter().chain(linker) {
                    self.clear_ends(load.space, file, bias)?;
                }
                Step::Stack { image }
            }
            Step::Stack { image } => {
                return Ok(Progress::Done(self.enter_program(id, load, image)?));
            }
        }))
    }

    /// Finds or makes the working directory.
    fn enter_directory(&mut self, id: ProcessId, load: &Load) -> Result<(), Trouble> {
        let mut path = [0; PATH_BYTES];
        let path = self.read_cstring(
            load.space,
            load.strings.directory,
            &mut path,
            Errno::ENAMETOOLONG,
        )?;
        self.open_directories(id, path)
            .map_err(|stall| match Trouble::from(stall) {
                Trouble::Failed(errno, reason, _) => {
                    Trouble::Failed(errno, reason, About::Directory)
                }
                later => later,
            })
    }

    /// Finishes the address space; returns where the program begins.
    fn enter_program(
        &mut self,
        id: ProcessId,
        load: &Load,
        image: Image,
    ) -> Result<Start, Trouble> {
        let identity = self.identity_of(id, load)?;
        let clock = self.map_clock(load.space);
        let stack = self.finish_stack(load, &image, &identity, clock)?;
        let end = image.end.next_multiple_of(PAGE_BYTES as u64);
        let gap = self.random.next_u64() % BREAK_SPREAD_PAGES * PAGE_BYTES as u64;
        let space = self.space_mut(load.space)?;
        space.break_start = end + gap;
        space.break_end = space.break_start;
        Ok(Start {
            instruction: image.start,
            stack,
        })
    }

    /// Returns on whose behalf a process runs once it is the program that was loaded. Who shares its root with others is
    /// given no more rights than it has: they could show it other files (Linux `check_unsafe_exec`).
    fn identity_of(&self, id: ProcessId, load: &Load) -> Result<Identity, Errno> {
        let mut identity = self.identity(id)?.clone();
        let file = load.file.and_then(|file| self.shown.get(file.id));
        let place = file.ok_or(Errno::ENOENT)?.place.by_ref();
        let [mut user, mut group] = [None; 2];
        let directories = self.process(id)?.directories;
        if directories.is_some_and(|directories| !self.files.is_shared(directories)) {
            [user, group] = self.files.acts_for(place);
        }
        identity.execute(user, group);
        Ok(identity)
    }

    /// Remembers which file a process executes and acts as that says; the load is not its user any more.
    pub(super) fn keep_executable(&mut self, id: ProcessId, load: &Load) {
        if let (Ok(new), Ok(identity)) = (self.identity_of(id, load), self.identity_mut(id)) {
            *identity = new;
        }
        if let Some(file) = load.file
            && let Some(shown) = self.shown.get(file.id)
            && let Some(process) = self.table.processes.get_mut(id)
        {
            let place = self.files.share_program(shown.place.by_ref());
            if let Some(before) = process.executable.replace(place) {
                self.files.release_program(before);
            }
        }
        self.drop_load(load);
    }

    fn fail_load(
        &mut self,
        id: ProcessId,
        load: &Load,
        errno: Errno,
        reason: &'static str,
        about: About,
    ) {
        let error = self.changes.take_failure().unwrap_or_else(|| {
            let at = match about {
                About::Program => load.strings.called_by(),
                About::Directory => load.strings.directory,
                About::User => load.strings.user,
            };
            let mut path = [0; PATH_BYTES];
            let path = self
                .read_cstring(load.space, at, &mut path, Errno::ENAMETOOLONG)
                .unwrap_or_default();
            LoadError {
                errno: i32::from(errno.number()),
                reason,
                path: cut(path),
                holder: None,
            }
        });
        self.drop_load(load);
        self.drop_tasks(id);
        self.drop_belongings(id);
        if let Some(process) = self.table.processes.get_mut(id) {
            process.life = Life::Failed(error);
        }
        self.notify(id, Notices::LOADED);
    }
}

/// Makes a path fit an error; what is not UTF-8 becomes U+FFFD.
fn cut(path: &[u8]) -> heapless::String<ERROR_PATH_BYTES> {
    let mut text = heapless::String::new();
    append_cut(&mut text, path);
    text
}

/// Puts a path behind what an error's path begins with.
pub(crate) fn append_cut(text: &mut heapless::String<ERROR_PATH_BYTES>, path: &[u8]) {
    for chunk in path.utf8_chunks() {
        let mark = if chunk.invalid().is_empty() {
            ""
        } else {
            "\u{fffd}"
        };
        for part in [chunk.valid(), mark] {
            for character in part.chars() {
                if text.len() + character.len_utf8() + CUT_MARK.len() > ERROR_PATH_BYTES {
                    // There is room for the mark: it was counted with every character before.
                    let _ = text.push_str(CUT_MARK);
                    return;
                }
                // The room was counted just now.
                let _ = text.push(character);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut_with_a_mark_and_never_inside_a_character() {
        let longest = [b'a'; ERROR_PATH_BYTES - CUT_MARK.len()];
        assert_eq!(cut(&longest).as_bytes(), longest);
        let longer = [b'a'; ERROR_PATH_BYTES];
        assert!(cut(&longer).ends_with(CUT_MARK));
        let wide = "ü".repeat(ERROR_PATH_BYTES);
        assert!(cut(wide.as_bytes()).ends_with(CUT_MARK));
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(cut(b"a\xffb").as_str(), "a\u{fffd}b");
    }
}
