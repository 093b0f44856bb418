//! The stdio streams of a process that is yet to run.

use crate::bridge::Patience;
use crate::connection::GuestConnection;
use crate::error::Result;
use crate::message::MessageType;
use crate::process_config::ProcessConfig;
use crate::request::{self, StdioPorts};
use crate::response::{Answer, Expected};
use crate::stdio::StdioStream;

/// The ports a process's streams will be dialled at, bound before it is asked for. Clones are the same streams.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
/// # let container = guest.create_container("Pipes", &init)?;
/// # let init = container.create_process(&ProcessConfig::init())?;
/// let config = ProcessConfig::new(["cat"]).without_stderr();
/// let pipes = container.pipes(&config)?;
/// let [stdin, stdout, stderr] = pipes.streams();
/// assert!(stdin.is_some() && stdout.is_some() && stderr.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Pipes {
    ports: StdioPorts,
    streams: [Option<StdioStream>; 3],
}

impl Pipes {
    /// Binds a port for each stream that `config` wants.
    pub(crate) fn bind(guest: &GuestConnection, config: &ProcessConfig) -> Result<Self> {
        let mut ports = [0; 3];
        let mut streams = [None, None, None];
        for (index, wanted) in config.wanted().into_iter().enumerate() {
            if wanted {
                let (port, listener) = guest.ports().listen_stdio()?;
                ports[index] = port;
                streams[index] = Some(StdioStream::new(listener, guest.bridge_handle()));
            }
        }
        let [stdin, stdout, stderr] = ports;
        let ports = StdioPorts {
            stdin,
            stdout,
            stderr,
        };
        Ok(Self { ports, streams })
    }

    /// Asks the guest to run a process on these streams and returns its id.
    pub(crate) fn execute(
        &self,
        guest: &GuestConnection,
        container_id: &str,
        config: &ProcessConfig,
    ) -> Result<u32> {
        let answer = guest.bridge().call(
            MessageType::EXECUTE_PROCESS,
            &request::execute_process(container_id, config, self.ports),
            Expected::ProcessId,
            Patience::Final,
        )?;
        let Answer::ProcessId(pid) = answer else {
            unreachable!("the reader decodes what the call expects")
        };
        Ok(pid)
    }

    /// Returns standard input, output and error, where they were asked for.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("streams", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// use std::io::Read;
    /// let config = ProcessConfig::new(["echo", "hello"]);
    /// let pipes = container.pipes(&config)?;
    /// container.execute(&config, &pipes)?;
    /// let [_, stdout, _] = pipes.streams();
    /// let mut text = String::new();
    /// stdout.expect("asked for").read_to_string(&mut text).expect("it comes");
    /// assert_eq!(text, "hello\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn streams(&self) -> [Option<StdioStream>; 3] {
        self.streams.clone()
    }
}
