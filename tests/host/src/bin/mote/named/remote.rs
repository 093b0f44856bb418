//! A program in the VM of a supervisor, seen from the command that runs it.

use super::client::Client;
use super::message::{Reply, Request, Steer};
use crate::failure::{Failure, Result};
use crate::job::Job;
use crate::program::Program;
use crate::terminal::Size;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The program.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Arc<Client>,
    end: Mutex<Receiver<Result<u32>>>,
}

impl Remote {
    /// Runs a program; also returns its streams: input, output, error.
    pub(crate) fn start(
        client: Client,
        program: Program,
    ) -> Result<(Self, [Option<UnixStream>; 3])> {
        let has_terminal = program.terminal;
        client.send(&Request::Execute(program))?;
        let (reply, descriptors) = client
            .channel
            .receive_with::<Reply>()
            .map_err(|error| Failure::io("cannot read the supervisor's answer", &error))?
            .ok_or_else(|| client.gone())?;
        let Reply::Started { .. } = reply.into_result()? else {
            return Err(Failure::new("the supervisor answered something else"));
        };
        let mut sockets = descriptors.into_iter().map(UnixStream::from);
        let streams = [
            sockets.next(),
            sockets.next(),
            // With a terminal, errors go where the output goes.
            if has_terminal { None } else { sockets.next() },
        ];
        let client = Arc::new(client);
        let (sender, end) = mpsc::channel();
        let receiving = Arc::clone(&client);
        thread::spawn(move || {
            let end = match receiving.receive() {
                Ok(Reply::Exited { code }) => Ok(code),
                Ok(_) => Err(Failure::new("the supervisor answered something else")),
                Err(failure) => Err(failure),
            };
            // Nobody waits any more: the command is ending.
            let _ = sender.send(end);
        });
        Ok((
            Self {
                client,
                end: Mutex::new(end),
            },
            streams,
        ))
    }
}

impl Job for Remote {
    fn signal(&self, signal: i32) {
        // As below.
        let _ = self.client.channel.send(&Steer::Signal(signal));
    }

    fn resize(&self, size: Size) {
        // A supervisor that is gone is noticed by who waits for the program.
        let _ = self.client.channel.send(&Steer::Resize {
            columns: size.columns,
            rows: size.rows,
        });
    }

    fn wait(&self, limit: Option<Duration>) -> Result<Option<u32>> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let received = match limit {
            Some(limit) => end.recv_timeout(limit),
            None => end.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(end) => end.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.client.gone()),
        }
    }
}
