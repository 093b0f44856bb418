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
//! A command line that starts `/bin/gcs` but names no entropy or log port means that nobody listens there. Of the flags of
//! the Linux guest (`cmd/gcs/main.go`), with one dash or two, their value behind `=` or as the next word:
//!
//! | flag | here |
//! |---|---|
//! | `-loglevel L` | understood |
//! | `-r` of `vsockexec` | understood: a log that is lost is dialled again |
//! | `-v4` | always so |
//! | `-initial-policy-stance deny`, `-use-inouterr` | refused: nothing here enforces a policy; there is no bridge but the one over vsock |
//! | the names in [`PASSED_OVER`] | passed over: there is nothing here that they could change |
//! | any other | passed over with a warning that names it |

use core::fmt;
use hal::vsock::Port;
use hal::words::{Words, cut};
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
    /// Whether a log that is lost is dialled again.
    pub log_redial: bool,
}

/// Ports of the host that are not for programs: they carry the session, and who reached one could speak in its place.
///
/// These are entropy, log and bridge, wherever the command line has put them, and everything from the bridge's usual port on,
/// where hosts take the standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedPorts {
    named: [Option<Port>; 2],
    from: Port,
}

impl ReservedPorts {
    /// Returns whether a port is one of them.
    #[must_use]
    pub fn has(&self, port: Port) -> bool {
        port >= self.from || self.named.contains(&Some(port))
    }
}

/// Flags of the Linux guest about its clock, its files, its memory groups and the format of its log.
pub const PASSED_OVER: [&str; 9] = [
    "v4",
    "disable-time-sync",
    "log-format",
    "logfile",
    "kmsgLogLevel",
    "scrub-logs",
    "core-dump-location",
    "root-mem-reserve-bytes",
    "gcs-mem-limit-bytes",
];

impl Config {
    /// What holds when the command line says nothing.
    pub const DEFAULT: Self = Self {
        entropy: Some(ENTROPY_PORT),
        log: Some(LOG_PORT),
        bridge: BRIDGE_PORT,
        log_level: LevelFilter::Info,
        log_redial: false,
    };

    /// Returns the ports that are not for programs.
    #[must_use]
    pub fn reserved_ports(&self) -> ReservedPorts {
        ReservedPorts {
            named: [self.entropy, self.log],
            from: self.bridge.min(BRIDGE_PORT),
        }
    }

    /// Reads a kernel command line. Words that are not meant for the agent are passed over.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first option whose value cannot be read.
    pub fn from_command_line(line: &str) -> Result<Self, ConfigError> {
        let mut config = Self::DEFAULT;
        let mut words = Words::new(line);
        if words.any(|word| word == "--") {
            config.read_init_arguments(&mut words)?;
        }
        for word in Words::new(line) {
            let Some(option) = word.strip_prefix("mote.") else {
                continue;
            };
            let (name, Some(value)) = cut(option, b'=') else {
                continue;
            };
            match name {
                "entropy_port" => config.entropy = port("mote.entropy_port", value)?,
                "log_port" => config.log = port("mote.log_port", value)?,
                "bridge_port" => {
                    config.bridge =
                        port("mote.bridge_port", value)?.ok_or(ConfigError("mote.bridge_port"))?;
                }
                "log_level" => {
                    config.log_level = value.parse().or(Err(ConfigError("mote.log_level")))?;
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// Reads `[-e port] [/bin/vsockexec [-i p] [-o p] [-e p]] /bin/gcs [flags]`, the words hcsshim's init is given.
    fn read_init_arguments(&mut self, words: &mut Words<'_>) -> Result<(), ConfigError> {
        let mut program = Program::Init;
        let (mut entropy, mut log) = (None, None);
        while let Some(word) = words.next() {
            match (program, word) {
                (Program::Init, "-e") => entropy = port("-e", words.next().unwrap_or(""))?,
                (Program::Relay, "-e" | "-o") => log = port("-e", words.next().unwrap_or(""))?,
                (Program::Relay, "-i") => {
                    words.next();
                }
                (Program::Relay, "-r") => self.log_redial = true,
                (Program::Gcs, flag) if flag.starts_with('-') => {
                    self.read_gcs_flag(flag.trim_start_matches('-'), words)?;
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

    fn read_gcs_flag(&mut self, flag: &str, words: &mut Words<'_>) -> Result<(), ConfigError> {
        let (name, value) = cut(flag, b'=');
        match name {
            "loglevel" => {
                self.log_level = log_level(value.or_else(|| words.next()).unwrap_or(""))?;
            }
            "initial-policy-stance" => {
                if value.or_else(|| words.next()) != Some("allow") {
                    return Err(ConfigError("-initial-policy-stance"));
                }
            }
            "use-inouterr" => return Err(ConfigError("-use-inouterr")),
            _ if PASSED_OVER.contains(&name) => {}
            _ => log::warn!("kernel command line: gcs flag -{name} is not known"),
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
    fn the_ports_of_the_session_are_not_for_programs_wherever_they_are() {
        let reserved = Config::DEFAULT.reserved_ports();
        for port in [1, 109, 0x4000_0000, 0x4000_0001, u32::MAX] {
            assert!(reserved.has(Port(port)), "{port}");
        }
        for port in [0, 2, 108, 110, 0x3fff_ffff] {
            assert!(!reserved.has(Port(port)), "{port}");
        }
        let line = "mote.bridge_port=5000 mote.log_port=5 mote.entropy_port=0";
        let moved = Config::from_command_line(line)
            .expect("good")
            .reserved_ports();
        for (port, is_reserved) in [
            (1, false),
            (5, true),
            (109, false),
            (4999, false),
            (5000, true),
        ] {
            assert_eq!(moved.has(Port(port)), is_reserved, "{port}");
        }
        let line = "mote.bridge_port=1342177280 mote.log_port=1342177282";
        let high = Config::from_command_line(line)
            .expect("good")
            .reserved_ports();
        assert!(high.has(Port(0x4000_0001)) && !high.has(Port(109)));
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
    fn the_relays_own_flag_has_a_lost_log_dialled_again() {
        let line = "-- -e 1 /bin/vsockexec -r -e 109 /bin/gcs -v4";
        assert!(Config::from_command_line(line).unwrap().log_redial);
        let line = "-- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -r";
        assert!(!Config::from_command_line(line).unwrap().log_redial);
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for flag in [
            "-loglevel debug",
            "--loglevel debug",
            "-loglevel=debug",
            "--loglevel=debug",
        ] {
            let line = std::format!("-- /bin/vsockexec -e 109 /bin/gcs -v4 {flag}");
            let config = Config::from_command_line(&line).unwrap();
            assert_eq!(config.log_level, LevelFilter::Debug, "{flag}");
        }
    }

    #[test]
    fn every_flag_of_the_linux_guest_is_passed_over_by_name() {
        let line = "-- -e 1 -w /bin/vsockexec -e 109 /bin/gcs -v4 -disable-time-sync -core-dump-location /var/gcs \
                    -scrub-logs=false -log-format text -logfile /tmp/log -kmsgLogLevel 7 -root-mem-reserve-bytes 78643200 \
                    -gcs-mem-limit-bytes=52428800 -initial-policy-stance allow -loglevel error";
        let config = Config::from_command_line(line).unwrap();
        let expected = Config {
            log_level: LevelFilter::Error,
            ..Config::DEFAULT
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn an_unknown_flag_changes_nothing() {
        let line = "-- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -from-the-future yes";
        assert_eq!(Config::from_command_line(line), Ok(Config::DEFAULT));
    }

    #[test]
    fn a_policy_that_denies_and_a_bridge_over_pipes_are_refused_by_name() {
        for (flag, name) in [
            ("-initial-policy-stance deny", "-initial-policy-stance"),
            ("-initial-policy-stance", "-initial-policy-stance"),
            ("-use-inouterr", "-use-inouterr"),
        ] {
            let line = std::format!("-- /bin/gcs -v4 {flag}");
            assert_eq!(Config::from_command_line(&line), Err(ConfigError(name)));
        }
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
