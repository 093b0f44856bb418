//! The README's tutorial, command by command, and what `mote` says about itself.

use crate::tool::Place;
use e2e::{image, mote};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a line of the README is, that is part of an indented block.
const INDENT: &str = "    ";
const PROMPT: &str = "$ ";

/// What a shell asks with for the rest of a command.
const CONTINUED: &str = "> ";

/// Stands for any rest of a line, and on a line of its own for any lines.
const ANYTHING: char = '…';

/// Returns the commands of the tutorial and the lines each is said to print.
fn steps() -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(path).expect("there is a README");
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    let lines = text
        .lines()
        .skip_while(|line| *line != "### Ten minutes")
        .skip(1)
        .take_while(|line| !line.starts_with('#'));
    let mut is_transcript = false;
    for line in lines {
        let Some(line) = line.strip_prefix(INDENT) else {
            is_transcript = false;
            continue;
        };
        if let Some(command) = line.strip_prefix(PROMPT) {
            is_transcript = true;
            steps.push((command.to_owned(), Vec::new()));
        } else if let Some(more) = line.strip_prefix(CONTINUED)
            && let Some((command, _)) = steps.last_mut()
        {
            command.push('\n');
            command.push_str(more);
        } else if is_transcript && let Some((_, printed)) = steps.last_mut() {
            printed.push(line.to_owned());
        }
    }
    steps
}

/// Whether lines are what is expected.
fn fits(expected: &[String], actual: &[&str]) -> bool {
    match (expected, actual) {
        ([], []) => true,
        ([first, rest @ ..], _) if first.trim() == ANYTHING.to_string() => {
            (0..=actual.len()).any(|skipped| fits(rest, &actual[skipped..]))
        }
        ([first, rest @ ..], [line, lines @ ..]) => {
            let is_same = match first.split_once(ANYTHING) {
                Some((start, _)) => line.starts_with(start.trim_end()),
                None => first == line,
            };
            is_same && fits(rest, lines)
        }
        _ => false,
    }
}

#[test]
fn the_readmes_tutorial_does_what_it_says() {
    let place = Place::new();
    let home = place.path("home");
    std::fs::create_dir(&home).expect("new");
    let mut path = vec![
        mote()
            .parent()
            .map(PathBuf::from)
            .expect("it lies in a directory"),
    ];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let steps = steps();
    assert!(
        steps.len() > 15,
        "the tutorial is not where it was: {steps:?}"
    );
    for (command, expected) in steps {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .current_dir(&home)
            .env("PATH", env::join_paths(&path).expect("no colons"))
            .env("MOTE_KERNEL", image())
            .env("XDG_RUNTIME_DIR", place.path("run"))
            .env("XDG_CACHE_HOME", place.path("cache"))
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        let actual: Vec<&str> = text.lines().collect();
        assert!(
            fits(&expected, &actual),
            "$ {command}\n{text}\nexpected: {expected:#?}"
        );
    }
    place.assert_nothing_left();
}

#[test]
fn help_fits_eighty_columns_and_every_command_has_a_page() {
    let place = Place::new();
    let help = |args: &[&str]| {
        let output = place
            .command(args)
            .env("COLUMNS", "80")
            .output()
            .expect("mote starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let all = help(&["--help"]);
    let commands: Vec<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 15, "{all}");
    for command in &commands {
        for text in [help(&[command, "--help"]), help(&[command, "-h"])] {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{command}: {line}");
            }
        }
        assert!(
            place.ok(&["man", command]).contains(".SH DESCRIPTION"),
            "{command}"
        );
    }
    let directory = place.path("man");
    std::fs::create_dir(&directory).expect("new");
    place.ok(&["man", "--directory", &directory.to_string_lossy()]);
    let pages = std::fs::read_dir(&directory).expect("readable").count();
    assert_eq!(pages, commands.len() + 1);
    place.fails(&["man", "no-such"], 125, &["no-such", "mote --help"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            place.ok(&["completions", shell]).contains("attach-disk"),
            "{shell}"
        );
    }
}
