//! Every call that the kernel has is tried: its success, and every error of its manual page that can be brought about.
//!
//! `errors.txt` says what that is. The checks run here, on the host, and their own lines tell what they cover: the first
//! word is the call, the answer its success or the error.

use rustix::thread::{CapabilitySet, capabilities};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const TABLE: &str = include_str!("errors.txt");

/// What stands for success among errors.
const DONE: &str = "done";

/// No call has a higher number.
const LAST_CALL: u32 = 1024;

/// A line of the table.
struct Row {
    calls: Vec<&'static str>,
    errors: Vec<&'static str>,
    /// Errors that no check brings about, and why: the key of a reason.
    excused: Vec<(&'static str, &'static str)>,
}

/// The reasons by their keys, and the rows.
fn table() -> (BTreeMap<&'static str, &'static str>, Vec<Row>) {
    let (mut reasons, mut rows) = (BTreeMap::new(), Vec::new());
    let lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        if let Some((key, reason)) = line.split_once(" = ") {
            assert!(reasons.insert(key, reason).is_none(), "{key}: two reasons");
            continue;
        }
        let (calls, errors) = line.split_once(':').expect("calls and errors");
        let (errors, excused) = errors.split_once('|').unwrap_or((errors, ""));
        let excuse = |word: &'static str| word.split_once('=').unwrap_or((word, word));
        rows.push(Row {
            calls: calls.split(' ').collect(),
            errors: errors.split_whitespace().collect(),
            excused: excused.split_whitespace().map(excuse).collect(),
        });
    }
    (reasons, rows)
}

/// What the checks brought about, by call.
fn covered() -> BTreeMap<String, BTreeSet<String>> {
    let run = Command::new(env!("CARGO_BIN_EXE_conform")).output();
    let run = run.expect("it runs");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{errors}");
    let (mut covered, mut checks) = (BTreeMap::new(), BTreeSet::new());
    for line in String::from_utf8_lossy(&run.stdout).lines() {
        let call = line.split(' ').next().unwrap_or_default();
        let (check, answer) = line.rsplit_once(" | ").unwrap_or((line, ""));
        assert!(
            checks.insert(check.to_owned()),
            "{check}: two checks of one name"
        );
        let words = answer.split(|letter: char| !letter.is_ascii_alphanumeric());
        let mut errors = words.filter(|word| is_error(word)).peekable();
        let seen: &mut BTreeSet<_> = covered.entry(call.to_owned()).or_default();
        if errors.peek().is_none() {
            seen.insert(DONE.to_owned());
        }
        seen.extend(errors.map(str::to_owned));
    }
    covered
}

fn is_error(word: &str) -> bool {
    let is_upper = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    word.len() > 2 && word.starts_with('E') && word.chars().all(is_upper)
}

/// Whether every family can run here: some make themselves users and less nice, as only root can, in a container not always.
fn may_everything() -> bool {
    let capabilities = capabilities(None).expect("told").effective;
    rustix::process::geteuid().is_root() && capabilities.contains(CapabilitySet::SYS_NICE)
}

#[test]
fn every_call_that_has_a_handler_has_its_line_and_no_other_one() {
    let (_, rows) = table();
    let listed: Vec<_> = rows.iter().flat_map(|row| &row.calls).copied().collect();
    let known: BTreeSet<_> = (0..LAST_CALL).filter_map(kernel::call_name).collect();
    let unique: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(listed.len(), unique.len(), "a call has two lines");
    let missing: Vec<_> = known.difference(&unique).collect();
    assert!(missing.is_empty(), "no line in errors.txt: {missing:?}");
    let unknown: Vec<_> = unique.difference(&known).collect();
    assert!(unknown.is_empty(), "no call of the kernel: {unknown:?}");
}

#[test]
fn every_excuse_has_its_reason_and_every_reason_its_use() {
    let (reasons, rows) = table();
    let used: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| row.excused.iter().map(|&(_, key)| key))
        .collect();
    let known: BTreeSet<_> = reasons.keys().copied().collect();
    assert_eq!(used, known, "excuses and reasons");
}

#[test]
fn every_call_succeeds_and_fails_in_every_way_that_is_not_excused() {
    if !may_everything() {
        return;
    }
    let (_, rows) = table();
    let (covered, nothing) = (covered(), BTreeSet::new());
    let mut wrong = Vec::new();
    for row in rows {
        let seen = |call: &str| covered.get(call).unwrap_or(&nothing);
        let is_excused = |error: &str| row.excused.iter().any(|&(excused, _)| excused == error);
        let wanted = || row.errors.iter().copied().chain([DONE]);
        for call in &row.calls {
            let missing =
                wanted().filter(|error| !seen(call).contains(*error) && !is_excused(error));
            wrong.extend(missing.map(|error| format!("{call}: no check answers {error}")));
        }
        for (error, _) in &row.excused {
            if row.calls.iter().all(|call| seen(call).contains(*error)) {
                wrong.push(format!("{:?}: {error} needs no excuse", row.calls));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
