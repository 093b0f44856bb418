//! A list of named steps, run in order until one fails, with a summary that shows what was and was not run.

use anyhow::{Result, bail};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

type Work = Box<dyn FnOnce() -> Result<()>>;

/// The steps of one chore.
#[derive(Default)]
pub(crate) struct Plan {
    steps: Vec<(&'static str, Work)>,
}

/// How a step ended.
enum Outcome {
    Passed(Duration),
    Failed(Duration, String),
    NotRun,
}

impl Plan {
    /// Adds a step done by us.
    pub(crate) fn work(&mut self, name: &'static str, work: impl FnOnce() -> Result<()> + 'static) {
        self.steps.push((name, Box::new(work)));
    }

    /// Adds a step done by a command, whose output is shown as it comes.
    pub(crate) fn command(&mut self, name: &'static str, mut command: Command) {
        self.work(name, move || {
            let status = command.status()?;
            if !status.success() {
                let arguments: Vec<_> = command
                    .get_args()
                    .map(|argument| argument.to_string_lossy())
                    .collect();
                bail!("`cargo {}` failed ({status})", arguments.join(" "));
            }
            Ok(())
        });
    }

    /// Runs the steps and prints the summary. Fails with the first step that failed.
    pub(crate) fn run(self) -> ExitCode {
        let count = self.steps.len();
        let mut outcomes = Vec::with_capacity(count);
        let mut has_failed = false;
        for (number, (name, work)) in (1..).zip(self.steps) {
            if has_failed {
                outcomes.push((name, Outcome::NotRun));
                continue;
            }
            eprintln!("\n── {number}/{count} {name}");
            let started = Instant::now();
            let outcome = match work() {
                Ok(()) => Outcome::Passed(started.elapsed()),
                Err(error) => Outcome::Failed(started.elapsed(), format!("{error:#}")),
            };
            has_failed = matches!(outcome, Outcome::Failed(..));
            outcomes.push((name, outcome));
        }
        summarize(&outcomes)
    }
}

fn summarize(outcomes: &[(&str, Outcome)]) -> ExitCode {
    eprintln!("\n── summary");
    let mut failure = None;
    let mut total = Duration::ZERO;
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Passed(time) => {
                total += *time;
                eprintln!("   {name:<44} passed  {:>7.1} s", time.as_secs_f64());
            }
            Outcome::Failed(time, error) => {
                total += *time;
                failure = Some((name, error));
                eprintln!("   {name:<44} FAILED  {:>7.1} s", time.as_secs_f64());
            }
            Outcome::NotRun => eprintln!("   {name:<44} not run"),
        }
    }
    match failure {
        None => {
            eprintln!(
                "   {:<44} passed  {:>7.1} s",
                "everything",
                total.as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Some((name, error)) => {
            eprintln!("\nerror: step `{name}` failed: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn nothing_runs_after_a_step_that_failed() {
        let ran = Rc::new(Cell::new(0));
        let mut plan = Plan::default();
        for (name, is_good) in [("first", true), ("second", false), ("third", true)] {
            let ran = Rc::clone(&ran);
            plan.work(name, move || {
                ran.set(ran.get() + 1);
                if is_good {
                    Ok(())
                } else {
                    bail!("broken on purpose")
                }
            });
        }
        assert_eq!(plan.run(), ExitCode::FAILURE);
        assert_eq!(ran.get(), 2);
    }

    #[test]
    fn a_plan_whose_steps_all_pass_succeeds() {
        let mut plan = Plan::default();
        plan.work("only", || Ok(()));
        assert_eq!(plan.run(), ExitCode::SUCCESS);
    }
}
