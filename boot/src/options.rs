//! What the kernel command line says to the machine itself. The agent reads its own words from the same line.
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `mote.serial_level=L` | what is worth writing to the serial port: `off`, `error`, `warn`, `info`, `debug`, `trace` | `warn`, and `error` while the host takes the log |
//! | `mote.debug_exit` | power off through `isa-debug-exit` (status 33), so that a test can tell it from a crash | off |
//! | `mote.self_test` | try user mode, traps and time, then power off; only in the profile `image-debug` | off |
//! | `mote.self_test=panic`, `=fault`, `=overflow` | end at once by a panic, a fault of the kernel, its stack's end | off |
//! | `mote.self_test=late` | end by a panic once the host has negotiated, so that its log has the last words | off |

use crate::self_test::SelfTest;
use hal::words::{Words, cut};
use log::LevelFilter;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) serial_level: LevelFilter,
    /// The same while the host takes the log: a line costs a tenth of a millisecond there, and would be there twice.
    pub(crate) serial_level_beside_log: LevelFilter,
    pub(crate) debug_exit: bool,
    pub(crate) self_test: Option<SelfTest>,
}

impl Options {
    /// Reads the command line; `Err` names the word whose value cannot be read.
    pub(crate) fn from_command_line(line: &str) -> Result<Self, &str> {
        let mut options = Self {
            serial_level: LevelFilter::Warn,
            serial_level_beside_log: LevelFilter::Error,
            debug_exit: false,
            self_test: None,
        };
        for word in Words::new(line) {
            let Some(option) = word.strip_prefix("mote.") else {
                continue;
            };
            match cut(option, b'=') {
                ("serial_level", Some(level)) => {
                    options.serial_level = level.parse().map_err(|_| word)?;
                    options.serial_level_beside_log = options.serial_level;
                }
                ("debug_exit", None) => options.debug_exit = true,
                ("self_test", None) => options.self_test = Some(SelfTest::Trials),
                ("self_test", Some(name)) => {
                    options.self_test = Some(SelfTest::from_name(name).ok_or(word)?);
                }
                _ => {}
            }
        }
        Ok(options)
    }
}
