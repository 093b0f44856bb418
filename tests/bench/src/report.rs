//! The results: a table for people, one JSON object for scripts, and the goals.

use crate::statistics::Samples;
use serde_json::{Map, Number, Value};
use std::fmt;

/// What a value has to keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// It is good when it is small.
    AtMost(f64),
    /// It is good when it is large.
    AtLeast(f64),
    /// It stands beside others to compare with.
    None,
}

impl Goal {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
            Self::None => None,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured, for people.
    pub title: &'static str,
    /// The unit of the values.
    pub unit: &'static str,
    /// The measurements.
    pub samples: Samples,
    /// What the median, or the p99 of a row whose key says so, has to keep to.
    pub goal: Goal,
    /// The JSON key of the median.
    pub median_key: &'static str,
    /// The JSON key of the p99, where there is one.
    pub p99_key: Option<&'static str>,
}

/// All results of a run, in the order of measurement.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

/// The keys of the JSON object, all of them, in this order.
pub const KEYS: [&str; 25] = [
    "image_bytes",
    "min_ram_small_mib",
    "min_ram_busybox_mib",
    "boot_floor_ms",
    "boot_negotiated_ms",
    "rpc_p50_us",
    "rpc_p99_us",
    "rpc_64_per_s",
    "rpc_spinners_p50_us",
    "rpc_spinners_p99_us",
    "rpc_fork_bomb_p50_us",
    "rpc_fork_bomb_p99_us",
    "exec_small_p50_us",
    "exec_busybox_p50_us",
    "exec_64_per_s",
    "exec_container_p50_us",
    "container_cycle_p50_us",
    "reconnect_ms",
    "echo_mib_s",
    "stdout_mib_s",
    "stdin_mib_s",
    "null_call_ns",
    "idle_cpu_percent",
    "idle_memory_mib",
    "run_true_ms",
];

impl Report {
    /// Adds a line.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The median of the line with that key.
    pub fn median(&self, key: &str) -> Option<f64> {
        Some(
            self.rows
                .iter()
                .find(|row| row.median_key == key)?
                .samples
                .median(),
        )
    }

    /// The results as one object with exactly [`KEYS`]; what was not measured is `null`.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        for key in KEYS {
            object.insert(key.to_owned(), self.value(key).map_or(Value::Null, number));
        }
        Value::Object(object)
    }

    fn value(&self, key: &str) -> Option<f64> {
        self.rows.iter().find_map(|row| {
            if row.median_key == key {
                Some(row.samples.median())
            } else if row.p99_key == Some(key) {
                Some(row.samples.p99())
            } else {
                None
            }
        })
    }
}

/// Whole numbers as such, others with three significant places behind the point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::from(value as i64);
    }
    Number::from_f64((value * 1e3).round() / 1e3).map_or(Value::Null, Value::Number)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36}{:>9} {:>9} {:>6}  goal", "", "median", "p99", "n")?;
        for row in &self.rows {
            let median = row.samples.median();
            let p99 = match row.samples.count() {
                1 => "–".to_owned(),
                _ => shown(row.samples.p99()),
            };
            let title = format!("{}, {}", row.title, row.unit);
            write!(
                f,
                "{title:<36}{:>9} {p99:>9} {:>6}  ",
                shown(median),
                row.samples.count()
            )?;
            match row.goal {
                Goal::AtMost(limit) => write!(f, "≤ {}", shown(limit))?,
                Goal::AtLeast(limit) => write!(f, "≥ {}", shown(limit))?,
                Goal::None => {}
            }
            match row.goal.is_met(median) {
                Some(true) => writeln!(f, " met")?,
                Some(false) => writeln!(f, " MISSED")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// About three significant digits; counts in full.
fn shown(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(
        median_key: &'static str,
        p99_key: Option<&'static str>,
        values: &[f64],
        goal: Goal,
    ) -> Row {
        let samples = Samples::new(values.to_vec()).unwrap();
        Row {
            title: "a thing",
            unit: "µs",
            samples,
            goal,
            median_key,
            p99_key,
        }
    }

    #[test]
    fn the_object_has_exactly_the_promised_keys_in_order() {
        let object = Report::default().json();
        let keys: Vec<_> = object
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, KEYS);
    }

    #[test]
    fn a_row_gives_its_median_and_its_p99() {
        let mut report = Report::default();
        report.add(row(
            "rpc_p50_us",
            Some("rpc_p99_us"),
            &[10.0, 20.5, 1000.25],
            Goal::None,
        ));
        let object = report.json();
        assert_eq!(object["rpc_p50_us"], 20.5);
        assert_eq!(object["rpc_p99_us"], 1000.25);
        assert!(object["image_bytes"].is_null());
    }

    #[test]
    fn whole_numbers_are_integers() {
        let mut report = Report::default();
        report.add(row("image_bytes", None, &[409_600.0], Goal::None));
        assert_eq!(report.json()["image_bytes"].to_string(), "409600");
    }

    #[test]
    fn the_table_says_which_goals_were_met() {
        let mut report = Report::default();
        report.add(row("a", None, &[150.0], Goal::AtMost(150.0)));
        report.add(row("b", None, &[150.1], Goal::AtMost(150.0)));
        report.add(row("c", None, &[300.0], Goal::AtLeast(300.0)));
        report.add(row("d", None, &[299.0], Goal::AtLeast(300.0)));
        let table = report.to_string();
        let verdicts: Vec<_> = table
            .lines()
            .skip(1)
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(verdicts, ["met", "MISSED", "met", "MISSED"]);
    }

    #[test]
    fn every_line_of_the_table_fits_a_terminal() {
        let mut report = Report::default();
        report.add(row(
            "a",
            None,
            &[123_456.0, 234_567.0],
            Goal::AtMost(123_456.0),
        ));
        assert!(
            report
                .to_string()
                .lines()
                .all(|line| line.chars().count() <= 80)
        );
    }
}
