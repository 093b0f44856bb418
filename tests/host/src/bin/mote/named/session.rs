//! A program that a command runs in a named VM: it ends with the command.

use super::channel::Channel;
use super::message::{Reply, Steer};
use super::server::Server;
use crate::failure::{Failure, Result};
use crate::job::Job;
use crate::program::{self, Limits, Program, Shell};
use crate::terminal::Size;
use rustix::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// Runs a program, hands its streams to the command and passes on what the command says. The last reply is its end.
pub(super) fn run(server: &Arc<Server>, program: &Program, channel: &Channel) -> Result<Reply> {
    let config = program.config(server.root.as_deref())?;
    let id = format!("exec-{}", server.sessions.fetch_add(1, Ordering::Relaxed));
    let (mut process, container) = program::start(
        &server.guest,
        &config,
        Shell::VmIfPossible,
        &id,
        Limits::default(),
    )?;
    let has_container = container.is_some();
    let streams = process.detach_stdio()?;
    let entry = server
        .processes
        .add(process, container, program.args.clone());
    let started = Reply::Started {
        pid: entry.process.pid(),
    };
    let descriptors: Vec<_> = streams.iter().flatten().map(AsFd::as_fd).collect();
    let told = channel.send_with(&started, &descriptors);
    // The command has its own now; the program's output ends when these are gone too.
    drop(descriptors);
    drop(streams);
    if let Err(error) = told {
        kill(&entry.process);
        return Err(Failure::io("cannot answer", &error));
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                match channel.receive() {
                    Ok(Some(Steer::Signal(signal))) => {
                        Job::signal(&*entry.process, signal);
                    }
                    Ok(Some(Steer::Resize { columns, rows })) => {
                        entry.process.resize(Size { columns, rows });
                    }
                    // The command is gone, or was answered.
                    Ok(None) | Err(_) => {
                        if entry.process.exit_code().is_err() {
                            kill(&entry.process);
                        }
                        return;
                    }
                }
            }
        });
        let reply = match entry.process.wait() {
            Ok(code) => Reply::Exited { code },
            Err(error) => Reply::failed(&server.explain(error.into())),
        };
        if has_container {
            // The guest has room for few; one it does not forget now it forgets with the VM.
            let _ = server.guest.delete_container_state(&id);
        }
        // A command that is gone needs no answer. It closes its end after this, which ends the thread above.
        let _ = channel.send(&reply);
    });
    Ok(Reply::Done)
}

fn kill(process: &mote_host::Process) {
    // One that has ended meanwhile, or whose VM has, is as dead as it was to be.
    let _ = process.kill();
}
