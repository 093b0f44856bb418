//! Tables of the README that tests hold against what happens. Each stands between `<!-- NAME -->` and `<!-- end of NAME -->`.

use std::fs;
use std::path::PathBuf;

fn path() -> PathBuf {
    crate::build::root().join("README.md")
}

/// Splits the README before and behind a table.
fn split<'a>(readme: &'a str, name: &str) -> [&'a str; 3] {
    let (start, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let at = readme.find(&start).expect("the table's mark") + start.len();
    let length = readme[at..].find(&end).expect("the mark of its end");
    [
        &readme[..at],
        &readme[at..at + length],
        &readme[at + length..],
    ]
}

/// Returns the cells of the rows below a table's head.
///
/// # Panics
///
/// When there is no such table.
#[must_use]
pub fn rows(name: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(path()).expect("readable");
    let [_, table, _] = split(&readme, name);
    let cells = |row: &str| {
        let row = row.trim().trim_matches('|');
        row.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    table.lines().skip(2).map(cells).collect()
}

/// Compares a table with `expected`, its rows; with `MOTE_WRITE_CLAIMS` in the environment it is written instead.
///
/// # Panics
///
/// When they differ, or when there is no such table.
pub fn assert_rows(name: &str, expected: &[String]) {
    let readme = fs::read_to_string(path()).expect("readable");
    let [before, table, behind] = split(&readme, name);
    let head = table.lines().take(2);
    let whole: String = head
        .chain(expected.iter().map(String::as_str))
        .flat_map(|line| [line, "\n"])
        .collect();
    if std::env::var_os("MOTE_WRITE_CLAIMS").is_some() {
        fs::write(path(), [before, &whole, behind].concat()).expect("written");
        return;
    }
    assert!(
        table == whole,
        "the README's table \"{name}\" is stale: run this test with MOTE_WRITE_CLAIMS=1"
    );
}
