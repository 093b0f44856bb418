//! What this kernel has not got is refused as the README says, call by call.

use e2e::{Bed, Tree, config, refused};
use mote_host::Machine;
use std::collections::BTreeMap;

#[test]
fn what_is_not_there_is_refused_as_the_readme_says() {
    let mut expected = BTreeMap::new();
    for row in e2e::readme::rows("refused") {
        let [calls, errno, _] = &row[..] else {
            panic!("{row:?}");
        };
        // Every second piece is a name.
        for name in calls.split('`').skip(1).step_by(2) {
            let known = expected.insert(name.to_owned(), errno.trim_matches('`').to_owned());
            assert_eq!(known, None, "{name} is listed twice");
        }
    }
    let tree = Tree::with_busybox();
    tree.copy(refused(), "bin/refused");
    let bed = Bed::boot(config(Machine::Microvm).disk(tree.image()));
    let output = bed.output(&["/bin/refused"]);
    assert_eq!(output.exit_code, 0, "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let found: BTreeMap<_, _> = text
        .lines()
        .map(|line| line.split_once(" | ").expect("a name and an answer"))
        .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
        .collect();
    assert_eq!(
        found, expected,
        "what is answered (left), and the README (right)"
    );
    bed.assert_alive();
}
