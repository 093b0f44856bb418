//! One forbidden act, and what must come of it.

use hostile::child::end_of;

/// Who knows what must come of an act.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// Linux, on any machine.
    Linux,
    /// What is written here: Linux has another rule, or the machine decides.
    Own,
}

/// An act.
pub(crate) struct Case {
    /// What is done.
    pub(crate) name: String,
    /// What may come of it; several where the processor decides.
    expected: &'static str,
    /// Who says so.
    pub(crate) oracle: Oracle,
    act: Box<dyn Fn() -> String>,
}

impl Case {
    /// A case that Linux is the oracle of.
    pub(crate) fn new(
        name: impl Into<String>,
        expected: &'static str,
        act: impl Fn() -> String + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            expected,
            oracle: Oracle::Linux,
            act: Box::new(act),
        }
    }

    /// A case that is not tried on Linux.
    pub(crate) fn own(
        name: impl Into<String>,
        expected: &'static str,
        act: impl Fn() -> String + 'static,
    ) -> Self {
        Self {
            oracle: Oracle::Own,
            ..Self::new(name, expected, act)
        }
    }

    /// Does it in a child, prints its line, and returns whether it ended as it must.
    pub(crate) fn holds(&self) -> bool {
        let found = end_of(&self.act);
        println!("{} | {} | {found}", self.name, self.expected);
        self.expected.split(" or ").any(|it| it == found)
    }
}

/// Says what all the answers are, or each with its name where they differ.
pub(crate) fn agreed(answers: &[(&str, String)]) -> String {
    match answers {
        [(_, first), rest @ ..] if rest.iter().all(|(_, answer)| answer == first) => first.clone(),
        _ => {
            let each = answers
                .iter()
                .map(|(name, answer)| format!("{name}: {answer}"));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}
