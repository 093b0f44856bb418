//! This process's standard streams and those of the program.

use mote_host::{Process, StdioStream};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// The threads that copy output; they end with it.
#[derive(Debug)]
pub(crate) struct Relay {
    outputs: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Connects all three streams.
    pub(crate) fn start(process: &Arc<Process>) -> io::Result<Self> {
        let input = Arc::clone(process);
        spawn("mote-stdin", move || copy_input(&input))?;
        let outputs = [
            process
                .stdout()
                .map(|stream| spawn("mote-stdout", move || copy_output(stream, io::stdout()))),
            process
                .stderr()
                .map(|stream| spawn("mote-stderr", move || copy_output(stream, io::stderr()))),
        ];
        let outputs = outputs.into_iter().flatten().collect::<Result<_, _>>()?;
        Ok(Self { outputs })
    }

    /// Waits until everything the program wrote has been written here.
    pub(crate) fn finish(self) {
        for output in self.outputs {
            // A thread that panicked has said so itself.
            let _ = output.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}

/// Copies until this side's input ends, then ends the program's. The thread may outlive the program: reading a terminal
/// cannot be interrupted.
fn copy_input(process: &Process) {
    let Some(mut stdin) = process.stdin() else {
        return;
    };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if stdin.write_all(&buffer[..count]).is_err() {
                    // The program has ended or closed its input.
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                eprintln!("mote: cannot read standard input: {error}");
                break;
            }
        }
    }
    // A program that has ended needs no end of input.
    let _ = process.close_stdin();
}

/// Copies until the program's output ends. If this side cannot take it, the program is told by EPIPE or SIGPIPE, as it
/// would be without a VM between.
fn copy_output(mut stream: StdioStream, mut output: impl Write) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if output
                    .write_all(&buffer[..count])
                    .and_then(|()| output.flush())
                    .is_err()
                {
                    stream.close();
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The VM is gone; waiting for the program says so.
            Err(_) => return,
        }
    }
}
