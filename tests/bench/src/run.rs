//! All measurements, in order.

use crate::bed::{Bed, Effort};
use crate::report::{Goal, Report, Row};
use crate::statistics::Samples;
use crate::{boot, call, container, exec, idle, load, memory, reconnect, stream, whole};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use mote_host::{ProcessConfig, Vm};
use std::fs;
use std::time::Duration;

/// The size that `cargo xtask test` holds the image to.
const IMAGE_BYTES: f64 = 400.0 * 1024.0;
/// What may lie between the floor and a negotiated protocol.
const ABOVE_FLOOR_MS: f64 = 15.0;

/// Measures everything.
///
/// # Errors
///
/// Which measurement failed, and why.
pub fn all(bed: &Bed, effort: Effort) -> Result<Report> {
    let mut report = Report::default();
    let progress = Progress::new();

    let bytes = fs::metadata(bed.image())
        .context("the image was not built")?
        .len();
    report.add(row(
        "image",
        "bytes",
        vec![bytes as f64],
        Goal::AtMost(IMAGE_BYTES),
        "image_bytes",
    )?);

    measure(&progress, "least RAM", || {
        let small = memory::least_mib(bed, &exec::small())?;
        report.add(row(
            "least RAM, small program",
            "MiB",
            vec![small.into()],
            Goal::AtMost(4.0),
            "min_ram_small_mib",
        )?);
        let busybox = memory::least_mib(bed, &exec::busybox())?;
        report.add(row(
            "least RAM, busybox",
            "MiB",
            vec![busybox.into()],
            Goal::None,
            "min_ram_busybox_mib",
        )?);
        Ok(())
    })?;

    measure(&progress, "boot", || {
        let boots = boot::measure(bed, effort)?;
        let floor = row(
            "boot, two instructions",
            "ms",
            milliseconds(&boots.floor),
            Goal::None,
            "boot_floor_ms",
        )?;
        let goal = Goal::AtMost(floor.samples.median() + ABOVE_FLOOR_MS);
        report.add(floor);
        report.add(row(
            "boot to negotiated",
            "ms",
            milliseconds(&boots.negotiated),
            goal,
            "boot_negotiated_ms",
        )?);
        Ok(())
    })?;

    measure(&progress, "mote run -- true", || {
        report.add(row(
            "mote run -- true, whole process",
            "ms",
            milliseconds(&whole::run_true(bed, effort)?),
            Goal::None,
            "run_true_ms",
        )?);
        Ok(())
    })?;

    let vm = Vm::start(bed.config())?;
    let guest = vm.connect()?;
    measure(&progress, "idle", || {
        let percent = idle::percent(&vm, effort)?;
        report.add(row(
            "idle VM, of a host core",
            "%",
            vec![percent],
            Goal::AtMost(2.0),
            "idle_cpu_percent",
        )?);
        report.add(row(
            "the same, memory of the host",
            "MiB",
            vec![whole::memory_mib(&vm)?],
            Goal::None,
            "idle_memory_mib",
        )?);
        Ok(())
    })?;
    measure(&progress, "round trips", || {
        let times = microseconds(&call::round_trips(&guest, effort)?);
        let row = row(
            "request round trip",
            "µs",
            times,
            Goal::AtMost(150.0),
            "rpc_p50_us",
        )?;
        report.add(Row {
            p99_key: Some("rpc_p99_us"),
            ..row
        });
        report.add(self::row(
            "64 requests outstanding",
            "/s",
            call::rates(&guest, effort)?,
            Goal::AtLeast(10_000.0),
            "rpc_64_per_s",
        )?);
        Ok(())
    })?;
    measure(&progress, "round trips beside a load", || {
        let vm = Vm::start(bed.config())?;
        let guest = vm.connect()?;
        let spinners = row(
            "round trip beside 4 spinning",
            "µs",
            microseconds(&load::beside_spinners(&guest, effort)?),
            Goal::None,
            "rpc_spinners_p50_us",
        )?;
        report.add(Row {
            p99_key: Some("rpc_spinners_p99_us"),
            ..spinners
        });
        let bomb = row(
            "round trip beside a fork bomb",
            "µs",
            microseconds(&load::beside_a_fork_bomb(&guest, effort)?),
            Goal::None,
            "rpc_fork_bomb_p50_us",
        )?;
        report.add(Row {
            p99_key: Some("rpc_fork_bomb_p99_us"),
            ..bomb
        });
        Ok(())
    })?;
    measure(&progress, "processes", || {
        let alone = |config: &ProcessConfig| -> Result<_> {
            let times = exec::one_at_a_time(|| guest.create_process(config), effort)?;
            Ok(microseconds(&times))
        };
        report.add(row(
            "exec to exit, small",
            "µs",
            alone(&exec::small())?,
            Goal::AtMost(1000.0),
            "exec_small_p50_us",
        )?);
        report.add(row(
            "the same with three streams",
            "µs",
            alone(&exec::small_with_streams())?,
            Goal::None,
            "",
        )?);
        report.add(row(
            "exec to exit, busybox",
            "µs",
            alone(&exec::busybox())?,
            Goal::AtMost(4000.0),
            "exec_busybox_p50_us",
        )?);
        report.add(row(
            "64 at once",
            "processes/s",
            exec::at_once(&guest, effort)?,
            Goal::None,
            "exec_64_per_s",
        )?);
        Ok(())
    })?;
    measure(&progress, "containers", || {
        report.add(row(
            "exec in a container, small",
            "µs",
            microseconds(&container::processes(&guest, effort)?),
            Goal::AtMost(3000.0),
            "exec_container_p50_us",
        )?);
        report.add(row(
            "container's life, small init",
            "µs",
            microseconds(&container::cycles(&guest, effort)?),
            Goal::AtMost(10_000.0),
            "container_cycle_p50_us",
        )?);
        Ok(())
    })?;
    measure(&progress, "streams", || {
        let goal = Goal::AtLeast(300.0);
        report.add(row(
            "stdin to cat to stdout",
            "MiB/s",
            stream::echo(&guest, effort)?,
            Goal::None,
            "echo_mib_s",
        )?);
        report.add(row(
            "stdout",
            "MiB/s",
            stream::stdout(&guest, effort)?,
            goal,
            "stdout_mib_s",
        )?);
        report.add(row(
            "stdin",
            "MiB/s",
            stream::stdin(&guest, effort)?,
            goal,
            "stdin_mib_s",
        )?);
        Ok(())
    })?;
    measure(&progress, "system call", || {
        report.add(row(
            "null system call (umask)",
            "ns",
            call::null_call(&guest, effort)?,
            Goal::None,
            "null_call_ns",
        )?);
        Ok(())
    })?;
    measure(&progress, "reconnection", || {
        report.add(row(
            "back after the host is",
            "ms",
            milliseconds(&reconnect::times(&vm, guest, effort)?),
            Goal::AtMost(10.0),
            "reconnect_ms",
        )?);
        Ok(())
    })?;
    Ok(report)
}

fn row(
    title: &'static str,
    unit: &'static str,
    values: Vec<f64>,
    goal: Goal,
    key: &'static str,
) -> Result<Row> {
    let samples = Samples::new(values).with_context(|| format!("nothing was measured: {title}"))?;
    Ok(Row {
        title,
        unit,
        samples,
        goal,
        median_key: key,
        p99_key: None,
    })
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

fn microseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e6).collect()
}

fn measure(
    progress: &Progress,
    what: &'static str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    progress.say(what);
    work().with_context(|| format!("measuring {what}"))
}

/// Says on a terminal what is being measured.
struct Progress(ProgressBar);

impl Progress {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner:.cyan} Measuring {msg} {elapsed:.dim}")
            .expect("the template is constant and has been tried");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    fn say(&self, what: &'static str) {
        self.0.set_message(what);
        if self.0.is_hidden() {
            eprintln!("measuring {what} …");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
