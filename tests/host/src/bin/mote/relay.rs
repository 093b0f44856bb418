//! This process's standard streams and those of the program.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// The key that, pressed [`ESCAPES`] times in a row, gives a terminal up whose program does not answer: `Ctrl-]`.
const ESCAPE: u8 = 0x1d;
const ESCAPES: usize = 3;

/// The threads that copy output; they end with it.
#[derive(Debug)]
pub(crate) struct Relay {
    outputs: Vec<JoinHandle<()>>,
}

/// What standard input is.
pub(crate) enum Input {
    /// Bytes, all of them the program's.
    Bytes,
    /// A raw terminal, with a key that ends the session by calling this.
    Terminal(Box<dyn FnOnce() + Send>),
}

impl Relay {
    /// Connects the streams that are there: input, output, error.
    pub(crate) fn start(streams: [Option<UnixStream>; 3], input: Input) -> io::Result<Self> {
        let [stdin, stdout, stderr] = streams;
        if let Some(stdin) = stdin {
            spawn("mote-stdin", move || copy_input(&stdin, input))?;
        }
        let outputs = [
            stdout.map(|stream| spawn("mote-stdout", move || copy_output(stream, io::stdout()))),
            stderr.map(|stream| spawn("mote-stderr", move || copy_output(stream, io::stderr()))),
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
fn copy_input(stdin: &UnixStream, input: Input) {
    let mut escape = match input {
        Input::Bytes => None,
        Input::Terminal(give_up) => Some((Escape::default(), give_up)),
    };
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if let Some((keys, _)) = &mut escape
                    && keys.has_come(&buffer[..count])
                    && let Some((_, give_up)) = escape.take()
                {
                    give_up();
                    return;
                }
                if (&*stdin).write_all(&buffer[..count]).is_err() {
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
    let _ = stdin.shutdown(Shutdown::Write);
}

/// Counts the escape key.
#[derive(Debug, Default)]
struct Escape(usize);

impl Escape {
    fn has_come(&mut self, typed: &[u8]) -> bool {
        for &byte in typed {
            self.0 = if byte == ESCAPE { self.0 + 1 } else { 0 };
            if self.0 == ESCAPES {
                return true;
            }
        }
        false
    }
}

/// Copies until the program's output ends. If this side cannot take it, the program is told by EPIPE or SIGPIPE, as it
/// would be without a VM between.
fn copy_output(mut stream: UnixStream, mut output: impl Write) {
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
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The VM is gone; waiting for the program says so.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_counts_in_a_row_only() {
        let mut escape = Escape::default();
        assert!(!escape.has_come(b"\x1d\x1d"));
        assert!(!escape.has_come(b"x\x1d\x1d"));
        assert!(escape.has_come(b"\x1d"));
    }
}
