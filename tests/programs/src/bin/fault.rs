//! `fault NAME`: breaks in the named way. Without a name: lists the names, each with the exit code that it must give.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::instruction::FAULTS;
use programs::{Arguments, USAGE, complain, entry, say};

/// A process that ends by a signal is reported with this plus the signal's number.
const SIGNALLED: u8 = 128;

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(name) = arguments.text(1) else {
        for fault in FAULTS {
            say!("{} {}", fault.name, SIGNALLED + fault.signal);
        }
        return 0;
    };
    let Some(fault) = FAULTS.iter().find(|fault| fault.name == name) else {
        complain!("fault: nothing is called {name}");
        return USAGE;
    };
    (fault.commit)();
    complain!("fault: {name} did not end the program");
    1
}
