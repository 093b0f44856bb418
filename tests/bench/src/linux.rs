//! The same static program in mote and on Debian's cloud kernel, in the same QEMU with the same words on its command line.
//!
//! `tests/programs/src/bin/yardstick.rs` tries twelve things and says what each took. Both kernels get the same initrd; mote
//! is asked to run the program, Linux has busybox as its init, which runs it and prints to the serial port after all was
//! measured. The two take turns, so that both see the same machine, and the median of all rounds of all boots counts.
//! The program counts by the time stamp counter, which is the machine's: on a busy host Linux takes it for unstable and
//! falls back to a clock of 4 ms. What a count is worth is said by mote's clock, which was measured by the local timer.
//!
//! Linux runs as Debian ships it, its mitigations included: under QEMU's translator the processor it finds is one that
//! needs no separate page tables.

use crate::bed::{Bed, Effort};
use crate::statistics::Samples;
use anyhow::{Context, Result, ensure};
use mote_host::initrd::{Archive, find_busybox};
use mote_host::vm::{Acceleration, VmConfig};
use mote_host::{Machine, ProcessConfig, Vm};
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// RAM of both: what Linux unpacks itself and the initrd in.
const MEMORY_MIB: u32 = 256;
/// Rounds in one boot.
const ROUNDS: usize = 3;
/// Boots of each kernel.
const BOOTS: usize = 7;
/// How long a boot of Linux with all its rounds may take under the translator.
const PATIENCE: Duration = Duration::from_secs(180);
/// The program's path on both.
const PROGRAM: &str = "/bin/yardstick";

/// What is compared: the program's name for it, the title, and the part of Linux's time that is the goal.
const LINES: [(&str, &str, f64); 13] = [
    ("null", "null call (getppid)", 1.0),
    ("into", "into the kernel (umask)", NO_GOAL),
    ("getpid", "getpid", 1.0),
    ("fork_exit", "fork, exit", 1.0),
    ("fork_exec_exit", "fork, exec, exit", 0.5),
    ("thread", "thread create, join", 1.0),
    ("switch", "context switch over a pipe", 1.0),
    ("fault", "page fault", 1.0),
    ("map_touch", "mmap, touch, unmap 64 KiB", 1.0),
    ("read_64k", "read 64 KiB, cached", 1.0),
    ("create_unlink", "file create, unlink", 1.0),
    ("signal", "signal delivery", 1.0),
    ("poll_100", "poll of 100 descriptors", 1.0),
];

/// The goal of what is shown without one.
const NO_GOAL: f64 = f64::INFINITY;

/// Both columns, in the order of [`LINES`].
#[derive(Debug)]
pub struct Comparison {
    mote: Vec<Samples>,
    linux: Vec<Samples>,
}

/// Boots both kernels in turn and has them measured. `kernel` is Debian's.
///
/// # Errors
///
/// Which of them did not get through the program, and its last words.
pub fn compare(bed: &Bed, kernel: &Path, effort: Effort) -> Result<Comparison> {
    let archive = archive(bed)?;
    let mut mote = vec![Vec::new(); LINES.len()];
    let mut linux = vec![Vec::new(); LINES.len()];
    let mut rates = Vec::new();
    for boot in 1..=effort.repetitions(BOOTS) {
        eprintln!("measuring mote and Linux, boot {boot} …");
        let said = in_mote(bed, &archive)?;
        rates.push(nanoseconds_per_count(&said).context("in mote")?);
        gather(&mut mote, &said).context("in mote")?;
        gather(&mut linux, &in_linux(kernel, &archive)?).context("in Linux")?;
    }
    let rate = Samples::new(rates).context("no boot")?.median();
    let samples = |columns: Vec<Vec<f64>>| -> Result<Vec<Samples>> {
        let scaled = |column: Vec<f64>| column.into_iter().map(|counts| counts * rate).collect();
        let each = columns.into_iter().map(scaled).map(Samples::new);
        each.collect::<Option<_>>().context("nothing was measured")
    };
    Ok(Comparison {
        mote: samples(mote)?,
        linux: samples(linux)?,
    })
}

/// The initrd of both: busybox, the program, and what Linux begins with.
fn archive(bed: &Bed) -> Result<Vec<u8>> {
    let program = bed.program("yardstick");
    let program =
        fs::read(&program).with_context(|| format!("{} is missing", program.display()))?;
    // Linux's serial port stays closed while something is measured: what is printed there stops the processor.
    let init = format!(
        "#!/bin/busybox sh\n\
         /bin/busybox mount -t proc proc /proc\n\
         {PROGRAM} {ROUNDS} >/tmp/said 2>&1 </dev/console\n\
         echo \"code $?\"\n\
         /bin/busybox cat /tmp/said\n\
         echo the end\n\
         exec /bin/busybox reboot -f\n"
    );
    Ok(Archive::new()
        .directory("dev")
        .directory("proc")
        .directory("tmp")
        .file("bin/busybox", 0o755, &find_busybox()?.1)
        .file("bin/yardstick", 0o755, &program)
        .file("init", 0o755, init.as_bytes())
        .finish())
}

fn config(archive: &[u8]) -> VmConfig {
    VmConfig::new()
        .machine(Machine::Microvm)
        .acceleration(Acceleration::Tcg)
        .memory_mib(MEMORY_MIB)
        .initrd_bytes(archive.to_vec())
}

fn in_mote(bed: &Bed, archive: &[u8]) -> Result<String> {
    let vm = Vm::start(config(archive).kernel(bed.image()))?;
    let guest = vm.connect()?;
    let process = guest.create_process(&ProcessConfig::new([PROGRAM, &ROUNDS.to_string()]))?;
    let output = process.output_within(b"", PATIENCE)?;
    ensure!(
        output.exit_code == 0,
        "exit code {}: {}",
        output.exit_code,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn in_linux(kernel: &Path, archive: &[u8]) -> Result<String> {
    // A triple fault is the restart that ends this machine.
    let options = "console=ttyS0 reboot=t rdinit=/init";
    let vm = Vm::start(config(archive).kernel(kernel).kernel_options(options))?;
    let end = vm.wait(PATIENCE);
    let console = vm.console();
    ensure!(
        end.is_ok() && console.contains("code 0\r\n") && console.contains("the end"),
        "it did not get to the end of its init:\n{console}"
    );
    Ok(console)
}

/// Returns what a count of the time stamp counter is worth.
fn nanoseconds_per_count(said: &str) -> Result<f64> {
    let numbers = said.lines().find_map(|line| {
        let (nanoseconds, counts) = line.trim().strip_prefix("clock ")?.split_once(' ')?;
        Some(nanoseconds.parse::<f64>().ok()? / counts.parse::<f64>().ok()?)
    });
    numbers.with_context(|| format!("no clock in what it said:\n{said}"))
}

/// Adds what the program said: lines of a name and a number.
fn gather(columns: &mut [Vec<f64>], said: &str) -> Result<()> {
    for (column, (name, _, _)) in columns.iter_mut().zip(LINES) {
        let before = column.len();
        let values = said.lines().filter_map(|line| {
            let (first, number) = line.trim().split_once(' ')?;
            (first == name).then(|| number.parse::<f64>().ok())?
        });
        column.extend(values);
        let count = column.len() - before;
        ensure!(
            count == ROUNDS,
            "{count} values of {name} in {ROUNDS} rounds:\n{said}"
        );
    }
    Ok(())
}

impl Comparison {
    /// One object: for each thing the medians in nanoseconds, and mote's time as a part of Linux's.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        for (name, _, _, mote, linux) in self.rows() {
            let ratio = (mote / linux * 1e3).round() / 1e3;
            object.insert(format!("{name}_mote_ns"), json!(mote as u64));
            object.insert(format!("{name}_linux_ns"), json!(linux as u64));
            object.insert(format!("{name}_ratio"), json!(ratio));
        }
        Value::Object(object)
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, f64, f64, f64)> {
        let medians = self.mote.iter().zip(&self.linux);
        LINES
            .into_iter()
            .zip(medians)
            .map(|((name, title, goal), (mote, linux))| {
                (name, title, goal, mote.median(), linux.median())
            })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mote.first().map_or(0, Samples::count);
        let title = format!("median of {count}, µs");
        writeln!(
            f,
            "{title:<30}{:>10} {:>10} {:>7}  goal",
            "mote", "Linux", "ratio"
        )?;
        for (_, title, goal, mote, linux) in self.rows() {
            let ratio = mote / linux;
            let verdict = match goal {
                NO_GOAL => String::new(),
                _ if ratio <= goal => format!("  ≤ {goal} met"),
                _ => format!("  ≤ {goal} MISSED"),
            };
            writeln!(
                f,
                "{title:<30}{:>10.2} {:>10.2} {ratio:>7.2}{verdict}",
                mote / 1e3,
                linux / 1e3
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run says in which everything takes `nanoseconds`, round by round.
    fn said(nanoseconds: &[u32]) -> String {
        let mut text = String::from("[    0.1] booting\r\n");
        for value in nanoseconds {
            for (name, _, _) in LINES {
                text += &format!("{name} {value}\r\n");
            }
        }
        text
    }

    fn comparison(mote: f64, linux: f64) -> Comparison {
        let column = |value| vec![Samples::new(vec![value]).unwrap(); LINES.len()];
        Comparison {
            mote: column(mote),
            linux: column(linux),
        }
    }

    #[test]
    fn every_round_of_every_thing_is_gathered() {
        let mut columns = vec![Vec::new(); LINES.len()];
        gather(&mut columns, &said(&[1, 2, 3])).unwrap();
        assert!(columns.iter().all(|column| *column == [1.0, 2.0, 3.0]));
    }

    #[test]
    fn a_round_that_is_missing_is_an_error_that_names_the_thing() {
        let mut columns = vec![Vec::new(); LINES.len()];
        let error = gather(&mut columns, &said(&[1, 2])).unwrap_err();
        assert!(error.to_string().contains("2 values of null"), "{error}");
    }

    #[test]
    fn a_count_is_worth_what_the_clock_went_meanwhile() {
        let rate = nanoseconds_per_count("null 7\r\nclock 1000 4000\r\n").unwrap();
        assert_eq!(rate, 0.25);
        assert!(nanoseconds_per_count("null 7\n").is_err());
    }

    #[test]
    fn spawning_has_to_take_half_of_linuxs_time_and_the_rest_no_more() {
        let verdicts = |mote| {
            let table = comparison(mote, 1000.0).to_string();
            let missed = |line: &str| line.ends_with("MISSED");
            table.lines().skip(1).map(missed).collect::<Vec<_>>()
        };
        assert!(verdicts(500.0).iter().all(|missed| !missed));
        assert_eq!(verdicts(501.0).iter().filter(|missed| **missed).count(), 1);
        assert_eq!(verdicts(1000.0).iter().filter(|missed| **missed).count(), 1);
        let goals = LINES.iter().filter(|(_, _, goal)| *goal != NO_GOAL);
        assert_eq!(
            verdicts(1001.0).iter().filter(|missed| **missed).count(),
            goals.count()
        );
    }

    #[test]
    fn the_object_has_three_keys_for_each_thing() {
        let object = comparison(250.0, 1000.0).json();
        assert_eq!(object.as_object().unwrap().len(), 3 * LINES.len());
        assert_eq!(object["fork_exit_mote_ns"], 250);
        assert_eq!(object["fork_exit_linux_ns"], 1000);
        assert_eq!(object["fork_exit_ratio"], 0.25);
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let table = comparison(123_456_789.0, 123_456_789.0).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80));
    }
}
