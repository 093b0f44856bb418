//! What a supervisor does for the commands that ask it.

use super::channel::{Channel, Listener};
use super::message::{GuestStatus, JournalLine, ProcessRow, Reply, Request, Status};
use super::processes::Processes;
use super::{session, supervisor};
use crate::explain::explain;
use crate::failure::{Failure, Result};
use crate::host_process;
use crate::program::{self, Limits, Program, Shell};
use mote_host::vm::{DiskAddress, Line};
use mote_host::{GuestConnection, MappedDisk, PropertyType, Resource, Vm};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The id of the container of a main program that needs one.
const CONTAINER_ID: &str = "main";

/// The machine that takes disks while it runs.
const PLUGGABLE: &str = "q35";

/// The first logical unit of disks that are attached while the VM runs: those it is started with are below.
const FIRST_LUN: u8 = 32;

/// Most bytes of text in one packet, whatever JSON makes of them: six for one at worst.
const TEXT_BYTES: usize = super::channel::LONGEST_PACKET_BYTES / 8;

/// How often it is looked whether who waits is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A named VM and all that is known of it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    /// Declared before the VM, so that it ends first.
    pub(super) guest: GuestConnection,
    pub(super) vm: Vm,
    pub(super) processes: Processes,
    pub(super) machine: String,
    pub(super) memory_mib: u32,
    pub(super) disks: Mutex<Vec<PathBuf>>,
    pub(super) root: Option<PathBuf>,
    pub(super) started: SystemTime,
    /// Counts programs that were run, for names of their containers.
    pub(super) sessions: AtomicU64,
    /// Counts disks that were attached while the VM runs and are there still: no more than it has ports.
    pub(super) attached: AtomicU8,
}

/// Takes connections for ever, each in a thread.
pub(super) fn accept(server: &Arc<Server>, listener: &Listener) {
    loop {
        match listener.accept() {
            Ok(channel) => {
                let server = Arc::clone(server);
                thread::spawn(move || serve(&server, &channel));
            }
            // Out of descriptors: others end meanwhile.
            Err(_) => thread::sleep(LOOK_AGAIN),
        }
    }
}

fn serve(server: &Arc<Server>, channel: &Channel) {
    let reply = match channel.receive() {
        Ok(Some(request)) => server.answer(request, channel),
        // Somebody looked whether there is somebody.
        Ok(None) => return,
        Err(error) => Err(Failure::io("cannot read the request", &error)),
    };
    let reply = reply.unwrap_or_else(|failure| Reply::failed(&failure));
    // A command that is gone needs no answer.
    let _ = channel.send(&reply);
}

impl Server {
    /// Runs the main program.
    pub(super) fn start_main(self: &Arc<Self>, program: &Program, limits: Limits) -> Result<()> {
        let config = program.config(self.root.as_deref())?.without_stdin();
        let (process, container) = program::start(
            &self.guest,
            &config,
            Shell::VmIfPossible,
            CONTAINER_ID,
            limits,
        )?;
        let entry = self.processes.add(process, container, program.args.clone());
        supervisor::keep_output(self, &entry.process);
        self.processes.set_main(entry);
        Ok(())
    }

    /// Answers a request; what comes back is its last reply.
    fn answer(self: &Arc<Self>, request: Request, channel: &Channel) -> Result<Reply> {
        match request {
            Request::Status => Ok(Reply::Status(Box::new(self.status()))),
            Request::Execute(program) => session::run(self, &program, channel),
            Request::Processes => self.rows().map(Reply::Processes),
            Request::Statistics => self.statistics(),
            Request::Journal { from, follow } => self.journal(from, follow, channel),
            Request::Signal { pid, signal } => self.signal(pid, signal),
            Request::Wait { pid } => self.wait(pid, channel),
            Request::AttachDisk { file, mount } => self.attach_disk(&file, mount.as_deref()),
            Request::DumpStacks => {
                let text = self.guest.dump_stacks()?;
                send_text(channel, &text)?;
                Ok(Reply::Done)
            }
            Request::Down { force } => {
                self.end(force);
                Ok(Reply::Done)
            }
        }
    }

    /// Adds to a failure what became of the VM.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        explain(&self.vm, failure)
    }

    /// Ends the VM: in order, or at once; the former becomes the latter when it takes too long.
    pub(super) fn end(&self, force: bool) {
        if force || self.vm.power_off().is_err() {
            self.vm.kill();
        }
    }

    fn status(&self) -> Status {
        let capabilities = self.guest.capabilities();
        let vmm_pid = self.vm.vmm_pid().ok();
        let timeline = self.vm.timeline();
        let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs();
        Status {
            name: self.name.clone(),
            pid: std::process::id(),
            vmm_pid,
            machine: self.machine.clone(),
            memory_mib: self.memory_mib,
            disks: self
                .disks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            started: seconds(self.started.duration_since(UNIX_EPOCH).ok()),
            uptime_seconds: seconds(self.started.elapsed().ok()),
            boot_microseconds: timeline.negotiated_at.and_then(|negotiated| {
                let boot = negotiated.duration_since(timeline.launched_at);
                u64::try_from(boot.as_micros()).ok()
            }),
            paused: self.vm.is_paused().unwrap_or(false),
            resident_bytes: vmm_pid.and_then(host_process::resident_bytes),
            guest: GuestStatus {
                os: self.guest.os().to_owned(),
                protocol: self.guest.protocol(),
                signal_process: capabilities.signal_process,
                dump_stacks: capabilities.dump_stacks,
                delete_container_state: capabilities.delete_container_state,
            },
            main: self.processes.main().map(|entry| entry.row()),
            processes_running: self
                .processes
                .all()
                .iter()
                .filter(|entry| entry.process.exit_code().is_err())
                .count(),
            directory: self.vm.run_directory().to_owned(),
        }
    }

    /// Returns what this process has started, with what the guest knows of it and of others.
    fn rows(&self) -> Result<Vec<ProcessRow>> {
        let mut rows: Vec<ProcessRow> = self
            .processes
            .all()
            .iter()
            .map(|entry| entry.row())
            .collect();
        let details = match self.guest.properties(&[PropertyType::ProcessList]) {
            Ok(properties) => properties.process_list,
            // A guest that tells of containers only: what is known here must do.
            Err(error) if error.hresult().is_some() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for process in details {
            let ours = rows
                .iter_mut()
                .find(|row| row.pid == process.pid && row.exit_code.is_none());
            let cpu = (process.user_time_100ns + process.kernel_time_100ns) / 10;
            let row = match ours {
                Some(row) => row,
                None => {
                    rows.push(ProcessRow {
                        pid: process.pid,
                        command: process.image_name.iter().cloned().collect(),
                        ..ProcessRow::default()
                    });
                    rows.last_mut().expect("just pushed")
                }
            };
            row.cpu_microseconds = Some(cpu);
            row.memory_bytes = Some(process.memory_commit_bytes);
        }
        Ok(rows)
    }

    /// Returns what the VM uses, inside and outside.
    fn statistics(&self) -> Result<Reply> {
        let guest = match self.guest.properties(&[PropertyType::Statistics]) {
            Ok(properties) => properties.metrics.map(|metrics| metrics.document),
            Err(error) if error.hresult().is_some() => None,
            Err(error) => return Err(error.into()),
        };
        let pid = self.vm.vmm_pid().ok();
        Ok(Reply::Statistics(json!({
            "name": self.name,
            "host": {
                "cpu_microseconds": pid.and_then(host_process::cpu_microseconds),
                "resident_bytes": pid.and_then(host_process::resident_bytes),
            },
            "memory_mib": self.memory_mib,
            "guest": guest,
        })))
    }

    fn journal(&self, from: u64, follow: bool, channel: &Channel) -> Result<Reply> {
        let journal = self.vm.journal();
        let mut next = from;
        loop {
            let Some(lines) =
                journal.wait_since(next, if follow { LOOK_AGAIN } else { Duration::ZERO })
            else {
                return Ok(Reply::Done);
            };
            if let Some(last) = lines.last() {
                next = last.number + 1;
            }
            let is_empty = lines.is_empty();
            for packet in packets(lines) {
                send(channel, &Reply::Lines(packet))?;
            }
            if !follow || (is_empty && channel.is_hung_up()) {
                return Ok(Reply::Done);
            }
        }
    }

    fn signal(&self, pid: Option<u32>, signal: i32) -> Result<Reply> {
        let entry = self.processes.find(pid)?;
        if entry.process.signal(signal)? {
            return Ok(Reply::Done);
        }
        Err(Failure::new(format!(
            "process {} has ended already",
            entry.process.pid()
        )))
    }

    fn wait(&self, pid: Option<u32>, channel: &Channel) -> Result<Reply> {
        let entry = self.processes.find(pid)?;
        loop {
            match entry.process.wait_timeout(LOOK_AGAIN) {
                Ok(code) => return Ok(Reply::Exited { code }),
                Err(error) if error.is_timeout() && !channel.is_hung_up() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn attach_disk(&self, file: &Path, mount: Option<&str>) -> Result<Reply> {
        if self.machine != PLUGGABLE {
            return Err(Failure::new(format!(
                "{} runs on a {}, which takes no disks while it runs",
                self.name, self.machine
            ))
            .hint(format!("start it with `mote up --machine {PLUGGABLE}`")));
        }
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let address = DiskAddress {
            controller: 0,
            lun: FIRST_LUN + self.attached.load(Ordering::Relaxed),
        };
        self.vm.attach_disk(file, address)?;
        if let Some(path) = mount {
            let disk = Resource::MappedVirtualDisk(MappedDisk::new(address, path));
            if let Err(error) = self.guest.add(&disk) {
                // It is of no use where it is; the first error counts. A guest that has found it lets it go first, and one
                // that has not refuses: either way it can be pulled.
                let _ = self.guest.remove(&Resource::ScsiDevice(address));
                if self.vm.detach_disk(address).is_err() {
                    self.attached.fetch_add(1, Ordering::Relaxed);
                }
                return Err(error.into());
            }
        }
        self.attached.fetch_add(1, Ordering::Relaxed);
        disks.push(file.to_owned());
        Ok(Reply::Done)
    }
}

/// Sends a reply that is not the last one.
fn send(channel: &Channel, reply: &Reply) -> Result<()> {
    channel
        .send(reply)
        .map_err(|error| Failure::io("cannot answer", &error))
}

fn send_text(channel: &Channel, text: &str) -> Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(TEXT_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        send(channel, &Reply::Text(part.to_owned()))?;
        rest = after;
    }
    Ok(())
}

/// Distributes lines over packets.
fn packets(lines: Vec<Line>) -> Vec<Vec<JournalLine>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    let mut bytes = 0;
    for line in lines {
        /// What stands around a text: member names, number, source.
        const AROUND: usize = 64;
        if bytes + line.text.len() + AROUND > TEXT_BYTES && !packet.is_empty() {
            packets.push(std::mem::take(&mut packet));
            bytes = 0;
        }
        bytes += line.text.len() + AROUND;
        packet.push(JournalLine {
            number: line.number,
            source: line.source.name().to_owned(),
            text: line.text,
        });
    }
    if !packet.is_empty() {
        packets.push(packet);
    }
    packets
}
