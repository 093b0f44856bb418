//! `mote kill`: a signal for a process of a VM.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::client::ask;
use crate::named::message::Request;
use crate::named::place::Name;
use clap::Args;

/// Names of the signals, in the order of their Linux numbers, which begin at 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Send a signal to a process of a VM
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mote kill web              # SIGTERM to the main program\n  mote kill box 7 -s KILL"
)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// The process; without it the main program
    pid: Option<u32>,

    /// The signal, by name or number
    #[arg(short, long, default_value = "TERM", value_parser = parse_signal)]
    signal: i32,
}

fn parse_signal(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            1..=31 => Ok(number),
            _ => Err("signals have numbers from 1 to 31".into()),
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS
        .iter()
        .position(|signal| *signal == name)
        .and_then(|index| i32::try_from(index + 1).ok())
        .ok_or_else(|| format!("there is no signal {text:?}"))
}

/// Sends it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let request = Request::Signal {
        pid: arguments.pid,
        signal: arguments.signal,
    };
    ask(&arguments.name, &request)?;
    Ok(ExitCode(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("KILL", 9),
            ("sigterm", 15),
            ("1", 1),
            ("31", 31),
            ("SYS", 31),
        ] {
            assert_eq!(parse_signal(text), Ok(number), "{text}");
        }
        for bad in ["0", "32", "-1", "NOSUCH", ""] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
    }
}
