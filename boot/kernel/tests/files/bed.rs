//! A machine with nothing but memory, an account and disks made of bytes.

use agent::kernel::{Input, Pid};
pub(crate) use fakes::disk::Disk;
use hal::clock::Instant;
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;
use kernel::account::{Account, AccountId, Accounts, Resource};
use kernel::errno::Errno;
use kernel::fs::{
    Context, Credentials, DescriptionId, Existing, Files, Last, Listed, OpenFlags, PipeId, Place,
    PlaceRef, ProcessFiles, Processes, Random, Report, Rules, Sink, Span, Start, TableId,
};
use kernel::wait::{Stall, WakeQueue, Why};
use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

/// One process with pid 7.
pub(crate) struct OneProcess {
    pub(crate) table: Cell<Option<TableId>>,
    pub(crate) directories: Cell<Option<kernel::fs::DirectoriesId>>,
}

impl Processes for OneProcess {
    fn current(&self) -> Pid {
        Pid(7)
    }

    fn after(&self, pid: u32) -> Option<Pid> {
        (pid < 7).then_some(Pid(7))
    }

    fn current_task(&self) -> u32 {
        8
    }

    fn task_after(&self, pid: Pid, tid: u32) -> Option<u32> {
        // Two tasks.
        [7, 8].into_iter().find(|&task| pid == Pid(7) && task > tid)
    }

    fn files(&self, pid: Pid) -> Option<ProcessFiles<'_>> {
        (pid == Pid(7)).then(|| ProcessFiles {
            table: self.table.get(),
            directories: self.directories.get(),
            executable: None,
            uid: 0,
            gid: 0,
            session: 7,
        })
    }

    fn report(&self, report: Report, out: &mut dyn Sink) {
        match report {
            Report::Version => out.put(b"Linux version 5.15\n"),
            Report::Name(..) => out.put(b"prog\n"),
        }
    }
}

struct Dice(u8);

impl Random for Dice {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stall> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(13);
            *byte = self.0;
        }
        Ok(())
    }
}

/// The machine.
pub(crate) struct Bed {
    pub(crate) pool: FramePool,
    pub(crate) accounts: Accounts,
    pub(crate) account: AccountId,
    pub(crate) credentials: Credentials,
    pub(crate) largest_file: u64,
    pub(crate) wakes: WakeQueue,
    pub(crate) processes: OneProcess,
    random: Dice,
    pub(crate) files: Files<Disk>,
    pub(crate) root: Option<Place>,
    pub(crate) table: TableId,
    /// Two frames that stand for a program's pages.
    page: Option<Frame>,
    /// How often something had to wait.
    pub(crate) stalls: u64,
}

/// Most waits of one operation before it counts as stuck.
const PATIENCE: u32 = 20_000;

impl Bed {
    pub(crate) fn new(frames: usize, disks: Vec<Disk>) -> Self {
        Self::of_cache(frames, frames, disks)
    }

    /// A machine whose page cache has a table for `pages` pages only.
    pub(crate) fn of_cache(frames: usize, pages: usize, disks: Vec<Disk>) -> Self {
        let mut pool = fakes::memory::frame_pool(frames);
        let mut accounts = Accounts::new(8);
        let account = accounts.insert(Account::unlimited()).unwrap();
        let mut files = Files::new(pages);
        for disk in disks {
            assert!(files.add_disk(disk).is_ok());
        }
        let table = files.new_table().unwrap();
        let page = pool.take_zeroed().unwrap();
        let processes = OneProcess {
            table: Cell::new(Some(table)),
            directories: Cell::new(None),
        };
        Self {
            pool,
            accounts,
            account,
            credentials: Credentials::default(),
            largest_file: u64::MAX,
            wakes: WakeQueue::default(),
            processes,
            random: Dice(1),
            files,
            root: None,
            table,
            page: Some(page),
            stalls: 0,
        }
    }

    /// A machine whose root is mounted.
    pub(crate) fn mounted(frames: usize, disks: Vec<Disk>) -> Self {
        let mut bed = Self::new(frames, disks);
        bed.mount().unwrap();
        bed
    }

    pub(crate) fn mount(&mut self) -> Result<(), Errno> {
        let root = self.run(|files, context| files.mount_root(context))?;
        let (a, b) = (
            self.files.share_place(root.by_ref()),
            self.files.share_place(root.by_ref()),
        );
        let directories = self.files.new_directories(a, b).unwrap();
        self.processes.directories.set(Some(directories));
        self.root = Some(root);
        Ok(())
    }

    /// Does something once.
    pub(crate) fn once<T>(
        &mut self,
        act: impl FnOnce(&mut Files<Disk>, &mut Context<'_>) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let mut context = Context {
            pool: &mut self.pool,
            accounts: &mut self.accounts,
            account: self.account,
            credentials: &self.credentials,
            largest_file: self.largest_file,
            wakes: &mut self.wakes,
            now: Instant::ZERO,
            wall: Duration::from_secs(1_000_000),
            processes: &self.processes,
            random: &mut self.random,
        };
        act(&mut self.files, &mut context)
    }

    /// Does something until it is done, letting the disks work whenever it waits.
    pub(crate) fn run<T>(
        &mut self,
        mut act: impl FnMut(&mut Files<Disk>, &mut Context<'_>) -> Result<T, Stall>,
    ) -> Result<T, Errno> {
        for _ in 0..PATIENCE {
            match self.once(&mut act).map_err(Stall::why) {
                Ok(value) => return Ok(value),
                Err(Why::Error(errno)) => return Err(errno),
                Err(Why::Wait(_) | Why::Again) => {
                    self.stalls += 1;
                    self.tear_down();
                    self.files
                        .poll(&mut self.pool, &mut self.wakes, Instant::ZERO);
                }
            }
        }
        panic!("an operation never got done");
    }

    /// Does something from the root directory until it is done.
    pub(crate) fn at<T>(
        &mut self,
        mut act: impl FnMut(&mut Files<Disk>, &mut Context<'_>, Start<'_>) -> Result<T, Stall>,
    ) -> Result<T, Errno> {
        let root = self.files.share_place(self.root.as_ref().unwrap().by_ref());
        let start = Start {
            root: root.by_ref(),
            base: root.by_ref(),
        };
        let result = self.run(|files, context| act(files, context, start));
        self.release(root);
        result
    }

    pub(crate) fn release(&mut self, place: Place) {
        self.once(|files, _| {
            files.release_place(place);
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn walk(&mut self, path: &str, last: Last) -> Result<Place, Errno> {
        self.at(|files, context, start| files.walk(context, start, path.as_bytes(), last))
    }

    pub(crate) fn stat(&mut self, path: &str) -> Result<kernel::fs::Attributes, Errno> {
        let place = self.walk(path, Last::Keep)?;
        let attributes = self.files.attributes(place.by_ref());
        self.release(place);
        attributes
    }

    pub(crate) fn open(&mut self, path: &str, flags: OpenFlags) -> Result<i32, Errno> {
        let table = self.table;
        let id = self.at(|files, context, start| {
            files.open(
                context,
                table,
                start,
                path.as_bytes(),
                (flags, 0o644),
                Rules::empty(),
            )
        })?;
        self.run(|files, context| files.finish_open(context, table, id, flags))
    }

    pub(crate) fn close(&mut self, fd: i32) {
        let table = self.table;
        self.run(|files, context| Ok(files.close(context, table, fd)?))
            .unwrap();
    }

    pub(crate) fn description(&self, fd: i32) -> DescriptionId {
        self.files.description(self.table, fd).unwrap().0
    }

    /// Reads up to a page.
    pub(crate) fn read(
        &mut self,
        fd: i32,
        position: Option<u64>,
        len: usize,
    ) -> Result<Vec<u8>, Errno> {
        let id = self.description(fd);
        let page = self.page.take().unwrap();
        let result = self.run(|files, context| {
            let span = Span {
                frame: page.by_ref(),
                offset: PAGE_BYTES - len,
                len,
            };
            files.read_span(context, id, position, span)
        });
        let bytes = result.map(|count| {
            let start = PAGE_BYTES - len;
            self.pool.bytes(&page)[start..start + count].to_vec()
        });
        self.page = Some(page);
        bytes
    }

    /// Reads a page without a copy for the test.
    pub(crate) fn count_read(&mut self, id: DescriptionId, position: u64) -> usize {
        let page = self.page.take().unwrap();
        let result = self.run(|files, context| {
            let span = Span {
                frame: page.by_ref(),
                offset: 0,
                len: PAGE_BYTES,
            };
            files.read_span(context, id, Some(position), span)
        });
        self.page = Some(page);
        result.unwrap()
    }

    /// Writes up to a page.
    pub(crate) fn write(
        &mut self,
        fd: i32,
        position: Option<u64>,
        bytes: &[u8],
    ) -> Result<usize, Errno> {
        let id = self.description(fd);
        let page = self.page.take().unwrap();
        self.pool.bytes_mut(&page)[..bytes.len()].copy_from_slice(bytes);
        let result = self.run(|files, context| {
            let span = Span {
                frame: page.by_ref(),
                offset: 0,
                len: bytes.len(),
            };
            files.write_span(context, id, position, span, bytes.len())
        });
        self.page = Some(page);
        result
    }

    /// Writes up to a page once, without waiting.
    pub(crate) fn try_write(
        &mut self,
        fd: i32,
        bytes: &[u8],
        whole: usize,
    ) -> Result<usize, Stall> {
        let id = self.description(fd);
        self.with_page(bytes, |files, context, span| {
            files.write_span(context, id, None, span, whole)
        })
    }

    /// Does something once with a program's page that holds `bytes`.
    pub(crate) fn with_page<T>(
        &mut self,
        bytes: &[u8],
        mut act: impl FnMut(&mut Files<Disk>, &mut Context<'_>, Span<'_>) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let page = self.page.take().unwrap();
        self.pool.bytes_mut(&page)[..bytes.len()].copy_from_slice(bytes);
        let result = self.once(|files, context| {
            let span = Span {
                frame: page.by_ref(),
                offset: 0,
                len: bytes.len(),
            };
            act(files, context, span)
        });
        self.page = Some(page);
        result
    }

    pub(crate) fn pipe(&mut self) -> (i32, i32) {
        let table = self.table;
        self.run(|files, context| Ok(files.open_pipe(context, table, OpenFlags::empty())?))
            .unwrap()
    }

    pub(crate) fn offer(&mut self, pipe: PipeId, bytes: &[u8]) -> Input {
        self.run(|files, context| Ok(files.offer(context, pipe, bytes)))
            .unwrap()
    }

    pub(crate) fn consume(&mut self, pipe: PipeId, count: usize) {
        self.run(|files, context| {
            files.pipes.consume(context, pipe, count);
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn close_agent(&mut self, pipe: PipeId) {
        self.run(|files, context| {
            files.pipes.close_agent(context, pipe);
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn read_all(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, OpenFlags::empty())?;
        let mut all = vec![];
        let result = loop {
            match self.read(fd, None, PAGE_BYTES) {
                Ok(bytes) if bytes.is_empty() => break Ok(all),
                Ok(bytes) => all.extend(bytes),
                Err(errno) => break Err(errno),
            }
        };
        self.close(fd);
        result
    }

    pub(crate) fn write_all(&mut self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC;
        let fd = self.open(path, flags)?;
        let mut result = Ok(());
        for piece in bytes.chunks(PAGE_BYTES) {
            let mut done = 0;
            while result.is_ok() && done < piece.len() {
                result = self
                    .write(fd, None, &piece[done..])
                    .map(|count| done += count);
            }
        }
        self.close(fd);
        result
    }

    /// Reads a directory to its end in its own order, doing `act` behind each entry, with its name.
    pub(crate) fn read_directory(
        &mut self,
        path: &str,
        mut act: impl FnMut(&mut Self, &Listed, String),
    ) -> Result<(), Errno> {
        let fd = self.open(path, OpenFlags::DIRECTORY)?;
        let id = self.description(fd);
        let end = loop {
            match self.run(|files, context| files.next_entry(context, id)) {
                Ok(Some(listed)) => {
                    self.files.skip_entry(id, listed.next);
                    let name = String::from_utf8(listed.name.to_vec()).unwrap();
                    act(self, &listed, name);
                }
                Ok(None) => break Ok(()),
                Err(errno) => break Err(errno),
            }
        };
        self.close(fd);
        end
    }

    /// Returns the names in a directory, sorted.
    pub(crate) fn list(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let mut names = vec![];
        self.read_directory(path, |_, _, name| names.push(name))?;
        names.sort();
        Ok(names)
    }

    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), Errno> {
        self.at(|files, context, start| {
            files.make_directory(context, start, path.as_bytes(), 0o755)
        })
    }

    pub(crate) fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.at(|files, context, start| files.unlink(context, start, path.as_bytes()))
    }

    pub(crate) fn remove_directory(&mut self, path: &str) -> Result<(), Errno> {
        self.at(|files, context, start| files.remove_directory(context, start, path.as_bytes()))
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        self.at(|files, context, start| {
            files.move_name(
                context,
                (start, from.as_bytes()),
                (start, to.as_bytes()),
                Existing::Replaced,
            )
        })
    }

    /// Does something that neither waits nor fails.
    pub(crate) fn run_once(&mut self, act: impl FnOnce(&mut Files<Disk>, &mut Context<'_>)) {
        self.once(|files, context| {
            act(files, context);
            Ok(())
        })
        .unwrap();
    }

    fn on_place(
        &mut self,
        path: &str,
        last: Last,
        act: impl Fn(&mut Files<Disk>, &mut Context<'_>, PlaceRef<'_>) -> Result<(), Stall>,
    ) -> Result<(), Errno> {
        let place = self.walk(path, last)?;
        let result = self.run(|files, context| act(files, context, place.by_ref()));
        self.release(place);
        result
    }

    pub(crate) fn truncate(&mut self, path: &str, length: u64) -> Result<(), Errno> {
        self.on_place(path, Last::Follow, |files, context, place| {
            files.truncate(context, place, length)
        })
    }

    pub(crate) fn chmod(&mut self, path: &str, permissions: u16) -> Result<(), Errno> {
        self.on_place(path, Last::Follow, |files, context, place| {
            Ok(files.set_permissions(context, place, permissions)?)
        })
    }

    pub(crate) fn link_target(&mut self, path: &str) -> Result<String, Errno> {
        let place = self.walk(path, Last::Keep)?;
        let mut out = [0; 4096];
        let result =
            self.run(|files, context| files.link_target(context, place.by_ref(), &mut out));
        self.release(place);
        result.map(|length| String::from_utf8(out[..length].to_vec()).unwrap())
    }

    pub(crate) fn link(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let place = self.walk(from, Last::Keep)?;
        let result = self.at(|files, context, start| {
            files.make_link(context, place.by_ref(), start, to.as_bytes())
        });
        self.release(place);
        result
    }

    /// Gives one turn's share of what nobody can reach back; returns whether there was anything.
    pub(crate) fn tear_down(&mut self) -> bool {
        let mut moved = false;
        self.run_once(|files, context| moved = files.tear_down(context));
        moved
    }

    /// Gives everything back that nobody can reach, and forgets what disks have too.
    pub(crate) fn forget_clean(&mut self) {
        while self.tear_down() {}
        for _ in 0..64 {
            self.files.reclaim(&mut self.pool, usize::MAX);
        }
    }

    /// How much of `resource` the account is charged for.
    pub(crate) fn used(&self, resource: Resource) -> u64 {
        self.accounts.get(self.account).unwrap().used(resource)
    }

    /// Lets the account have so much of `resource`.
    pub(crate) fn limit(&mut self, resource: Resource, most: u64) {
        let account = self.accounts.get_mut(self.account).unwrap();
        account.set_limit(resource, most);
    }

    /// Frames charged to the account, once everything was given back that nobody can reach.
    pub(crate) fn used_frames(&mut self) -> u64 {
        while self.tear_down() {}
        self.used(Resource::FileFrames) + self.used(Resource::KernelFrames)
    }

    pub(crate) fn limit_frames(&mut self, frames: u64) {
        self.limit(Resource::FileFrames, frames);
        self.limit(Resource::KernelFrames, frames);
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> Result<(), Errno> {
        self.at(|files, context, start| {
            files.make_symlink(context, start, path.as_bytes(), target.as_bytes())
        })
    }
}

/// Makes an ext4 image of a directory that `fill` filled.
pub(crate) fn image(
    megabytes: u32,
    options: &[&str],
    fill: impl FnOnce(&std::path::Path),
) -> Vec<u8> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let base = std::env::temp_dir().join(format!("mote-files-{}-{count}", std::process::id()));
    let root = base.join("root");
    std::fs::create_dir_all(&root).unwrap();
    fill(&root);
    let file = base.join("image");
    let made = Command::new("mkfs.ext4")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .args(["-q", "-F", "-d"])
        .arg(&root)
        .args(options)
        .arg(&file)
        .arg(format!("{megabytes}M"))
        .output()
        .expect("mkfs.ext4 (package e2fsprogs) is needed: `cargo xtask setup` installs it");
    assert!(
        made.status.success(),
        "mkfs.ext4: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_dir_all(&base).unwrap();
    bytes
}

/// Content that differs in every page.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ at >> 8 ^ at >> 16).wrapping_mul(31) as u8)
        .collect()
}
