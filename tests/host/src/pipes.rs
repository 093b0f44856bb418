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
    #[must_use]
    pub fn streams(&self) -> [Option<StdioStream>; 3] {
        self.streams.clone()
    }
}
