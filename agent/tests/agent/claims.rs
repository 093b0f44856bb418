//! The claims of this suite as a table in the README, and that nothing of the protocol's lists goes unclaimed.
//!
//! A claim is a test's name; the part of gcs-protocol it is about stands as `§…` in the comment above it, or else in that of
//! its file. After adding one:
//! `MOTE_WRITE_CLAIMS=1 cargo test -p agent claims`.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// One test.
struct Claim {
    file: String,
    text: String,
    sections: Vec<String>,
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every test of this suite, by file and place.
fn claims() -> Vec<Claim> {
    let mut files: Vec<PathBuf> = fs::read_dir(path("tests/agent"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut claims = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "claims" {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let (mut comment, mut is_test) = (String::new(), false);
        let mut about = String::new();
        for line in source.lines() {
            if let Some(text) = line.strip_prefix("//! ") {
                about.push_str(text);
                about.push(' ');
            } else if let Some(text) = line.strip_prefix("/// ") {
                comment.push_str(text);
                comment.push(' ');
            } else if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ") {
                if is_test {
                    let (claim, _) = rest.split_once('(').expect("a function");
                    claims.push(Claim {
                        file: name.clone(),
                        text: claim.replace('_', " "),
                        sections: sections(if comment.contains('§') {
                            &comment
                        } else {
                            &about
                        }),
                    });
                }
                comment.clear();
                is_test = false;
            } else if line.is_empty() {
                comment.clear();
            }
        }
    }
    claims
}

/// The sections a comment names, in its order.
fn sections(comment: &str) -> Vec<String> {
    comment
        .split('§')
        .skip(1)
        .map(|rest| {
            let end = rest
                .find(|character: char| !character.is_ascii_digit() && character != '.')
                .unwrap_or(rest.len());
            format!("§{}", rest[..end].trim_end_matches('.'))
        })
        .collect()
}

/// Where the table stands in the README.
const MARKS: [&str; 2] = ["<!-- claims -->\n", "<!-- end of claims -->"];

fn readme() -> PathBuf {
    path("../README.md")
}

fn table(claims: &[Claim]) -> String {
    let mut table = String::from("| claim | section | file |\n|---|---|---|\n");
    for claim in claims {
        let sections = claim.sections.join(" ");
        writeln!(table, "| {} | {sections} | `{}` |", claim.text, claim.file).unwrap();
    }
    table
}

#[test]
fn the_table_of_claims_is_what_the_tests_say() {
    let document = fs::read_to_string(readme()).unwrap();
    let (before, rest) = document.split_once(MARKS[0]).expect("a mark");
    let (written, behind) = rest.split_once(MARKS[1]).expect("its end");
    let table = table(&claims());
    if std::env::var_os("MOTE_WRITE_CLAIMS").is_some() {
        let whole = [before, MARKS[0], &table, MARKS[1], behind].concat();
        fs::write(readme(), whole).unwrap();
        return;
    }
    assert!(
        written == table,
        "the README's table is stale: MOTE_WRITE_CLAIMS=1 cargo test -p agent claims"
    );
}

#[test]
fn there_are_at_least_150_claims_and_each_is_made_once() {
    let claims = claims();
    assert!(claims.len() >= 150, "{}", claims.len());
    for (index, claim) in claims.iter().enumerate() {
        let again = claims[..index]
            .iter()
            .any(|before| before.text == claim.text);
        assert!(!again, "{}", claim.text);
    }
}

/// Sections that must have a claim of their own: the lifecycle, the streams, and each trap that a guest can fall into.
#[test]
fn every_trap_and_every_rule_of_order_is_claimed() {
    let claims = claims();
    let mut wanted: Vec<String> = (1..=25)
        .filter(|trap| *trap != 15)
        .map(|trap| format!("§16.{trap}"))
        .collect();
    wanted.extend((1..=6).map(|part| format!("§8.{part}")));
    wanted.extend((1..=4).map(|part| format!("§9.{part}")));
    wanted.extend(["§2.3", "§7.4", "§7.7", "§14.4", "§17"].map(String::from));
    for section in wanted {
        let claimed = claims.iter().any(|claim| claim.sections.contains(&section));
        assert!(claimed, "{section}");
    }
}

/// Every type and constant of the public packages (gcs-protocol §19) has a row in the README.
#[test]
fn every_type_and_constant_of_the_public_packages_has_its_row() {
    let document = fs::read_to_string(readme()).unwrap();
    let (_, document) = document
        .split_once("### What became of each name of the protocol")
        .expect("a heading");
    for name in include_str!("../data/public_names.txt").split_whitespace() {
        let found = document.match_indices(name).any(|(at, _)| {
            let word = |character: Option<char>| {
                character.is_some_and(|character| character.is_alphanumeric() || character == '_')
            };
            !word(document[..at].chars().next_back())
                && !word(document[at + name.len()..].chars().next())
        });
        assert!(found, "{name}");
    }
}
