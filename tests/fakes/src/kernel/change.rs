//! A change of the fake kernel, kept as text.

use super::strings;
use agent::kernel::{Action, Change, ChangeId};
use hal::clock::Instant;

/// One change and what became of it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of agent::kernel")]
pub struct Changed {
    pub id: ChangeId,
    /// The change as `Debug` shows it.
    pub change: String,
    pub deadline: Instant,
    /// Neither ended nor given up.
    pub is_pending: bool,
    pub is_given_up: bool,
}

/// Shows a change as a call of its action, with the paths it uses.
pub(super) fn show_change(change: &Change<'_>) -> String {
    let Change {
        action,
        path,
        source,
        layers,
    } = change;
    match action {
        Action::Mount(medium, part, writes) => {
            format!("Mount({medium:?}, {part:?}, {writes:?}, {path:?})")
        }
        Action::BlockDevice(medium, part) => {
            format!("BlockDevice({medium:?}, {part:?}, {path:?})")
        }
        Action::Unite => format!("Unite({:?}, {source:?}, {path:?})", strings(*layers)),
        Action::Bind(view, writes) => format!("Bind({view:?}, {source:?}, {writes:?}, {path:?})"),
        Action::Memory(view, mode) => format!("Memory({view:?}, {mode}, {path:?})"),
        Action::Unmount => format!("Unmount({path:?})"),
        Action::Eject(medium) => format!("Eject({medium:?})"),
    }
}
