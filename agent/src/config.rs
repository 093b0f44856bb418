//! What the kernel command line says about the session.
//!
//! hcsshim boots its Linux guest with a command line whose part behind `--` is init's argument vector; mote reads the
//! same words (gcs-protocol §2.1, hcsshim `internal/uvm/create_lcow.go`), so it can be put in that guest's place:
//!
//! ```text
//! … -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug
//!       └ entropy port       └ log port                                  └ log level
//! ```
//!
//! Options of mote's own stand anywhere and win over these:
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `mote.entropy_port=N` | port that sends random bytes; 0 = do not dial | 1 |
//! | `mote.log_port=N` | port that takes the log; 0 = do not dial | 109 |
//! | `mote.bridge_port=N` | port that takes the bridge | 1073741824 |
//! | `mote.log_level=L` | `error`, `warn`, `info`, `debug` or `trace` | `info` |
//!
//! A command line that starts `/bin/gcs` but names no entropy or log port means that nobody listens there.

use core::fmt;
use hal::vsock::Port;
use log::LevelFilter;

/// The bridge's port (hcsshim `internal/gcs/prot` `LinuxGcsVsockPort`).
pub const BRIDGE_PORT: Port = Port(0x4000_0000);
/// The entropy port (hcsshim `internal/vm/vmutils` `LinuxEntropyVsockPort`).
pub const ENTROPY_PORT: Port = Port(1);
/// The log port (hcsshim `internal/vm/vmutils` `LinuxLogVsockPort`).
pub const LOG_PORT: Port = Port(109);

/// Where the host listens and how much it wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Port that sends random bytes; `None`: not dialled.
    pub entropy: Option<Port>,
    /// Port that takes log lines; `None`: not dialled.
    pub log: Option<Port>,
    /// Port that takes the bridge.
    pub bridge: Port,
    /// What is worth logging.
    pub log_level: LevelFilter,
}

impl Config {
    /// What holds when the command line says nothing.
    pub const DEFAULT: Self = Self {
        entropy: Some(ENTROPY_PORT),
        log: Some(LOG_PORT),
        bridge: BRIDGE_PORT,
        log_level: LevelFilter::Info,
    };

    /// Reads a kernel command line. Words that are not meant for the agent are passed over.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first option whose value cannot be read.
    pub fn from_command_line(line: &str) -> Result<Self, ConfigError> {
        let mut config = Self::DEFAULT;
        let mut words = line.split_ascii_whitespace();
        if words.any(|word| word == "--") {
            config.read_init_arguments(&mut words)?;
        }
        for word in line.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            match name {
                "mote.entropy_port" => config.entropy = port("mote.entropy_port", value)?,
                "mote.log_port" => config.log = port("mote.log_port", value)?,
                "mote.bridge_port" => {
                    config.bridge =
                        port("mote.bridge_port", value)?.ok_or(ConfigError("mote.bridge_port"))?;
                }
                "mote.log_level" => {
                    config.log_level = value.parse().or(Err(ConfigError("mote.log_level")))?;
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// Reads `[-e port] [/bin/vsockexec [-i p] [-o p] [-e p]] /bin/gcs [flags]`, the words hcsshim's init is given.
    fn read_init_arguments(
        &mut self,
        words: &mut dyn Iterator<Item = &str>,
    ) -> Result<(), ConfigError> {
        let mut program = Program::Init;
        let (mut entropy, mut log) = (None, None);
        while let Some(word) = words.next() {
            match (program, word) {
                (Program::Init, "-e") => entropy = port("-e", words.next().unwrap_or(""))?,
                (Program::Relay, "-e" | "-o") => log = port("-e", words.next().unwrap_or(""))?,
                (Program::Relay, "-i") => {
                    words.next();
                }
                (Program::Gcs, "-loglevel" | "--loglevel") => {
                    self.log_level = log_level(words.next().unwrap_or(""))?;
                }
                (Program::Init, path) if path.ends_with("/vsockexec") => program = Program::Relay,
                (Program::Init | Program::Relay, path) if path.ends_with("/gcs") => {
                    program = Program::Gcs;
                }
                _ => {}
            }
        }
        if program != Program::Init {
            self.entropy = entropy;
            self.log = log;
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Whose flags the words are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Init,
    Relay,
    Gcs,
}

/// Reads a port number; 0 means none.
fn port(option: &'static str, value: &str) -> Result<Option<Port>, ConfigError> {
    let number: u32 = value.parse().or(Err(ConfigError(option)))?;
    Ok((number != 0).then_some(Port(number)))
}

/// Reads a level by the names of logrus, which the Linux guest uses.
fn log_level(name: &str) -> Result<LevelFilter, ConfigError> {
    Ok(match name {
        "trace" => LevelFilter::Trace,
        "debug" => LevelFilter::Debug,
        "info" => LevelFilter::Info,
        "warn" | "warning" => LevelFilter::Warn,
        "error" | "fatal" | "panic" => LevelFilter::Error,
        _ => return Err(ConfigError("-loglevel")),
    })
}

/// An option of the kernel command line whose value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError(pub &'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel command line: bad value for {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_command_line_means_the_defaults() {
        assert_eq!(Config::from_command_line(""), Ok(Config::DEFAULT));
    }

    #[test]
    fn reads_the_command_line_hcsshim_builds() {
        let line = "initcall_blacklist=virtio_vsock_init 8250_core.nr_uarts=0 panic=-1 quiet pci=off nr_cpus=2 \
                    brd.rd_nr=0 pmtmr=0 -- -e 3 /bin/vsockexec -r -e 110 /bin/gcs -v4 -log-format json -loglevel debug";
        let config = Config::from_command_line(line).unwrap();
        assert_eq!(config.entropy, Some(Port(3)));
        assert_eq!(config.log, Some(Port(110)));
        assert_eq!(config.bridge, BRIDGE_PORT);
        assert_eq!(config.log_level, LevelFilter::Debug);
    }

    #[test]
    fn a_gcs_without_ports_dials_neither() {
        let config = Config::from_command_line("quiet -- /bin/gcs -v4").unwrap();
        assert_eq!((config.entropy, config.log), (None, None));
    }

    #[test]
    fn words_behind_the_dashes_that_start_no_gcs_change_nothing() {
        let config = Config::from_command_line("quiet -- single").unwrap();
        assert_eq!(config, Config::DEFAULT);
    }

    #[test]
    fn motes_own_options_win() {
        let line = "mote.log_port=0 mote.bridge_port=7 mote.log_level=trace -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4";
        let config = Config::from_command_line(line).unwrap();
        assert_eq!(config.entropy, Some(ENTROPY_PORT));
        assert_eq!(config.log, None);
        assert_eq!(config.bridge, Port(7));
        assert_eq!(config.log_level, LevelFilter::Trace);
    }

    #[test]
    fn names_the_option_it_cannot_read() {
        for (line, option) in [
            ("mote.entropy_port=x", "mote.entropy_port"),
            ("mote.bridge_port=0", "mote.bridge_port"),
            ("mote.log_port=4294967296", "mote.log_port"),
            ("quiet -- -e", "-e"),
            ("quiet -- /bin/gcs -loglevel loud", "-loglevel"),
        ] {
            assert_eq!(Config::from_command_line(line), Err(ConfigError(option)));
        }
    }
}
