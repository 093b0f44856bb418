//! The examples of the library's documentation: the same files, run against a booted VM.

/// Includes a file of `tests/host/doc`, whose one function has the file's name, and runs it.
macro_rules! example {
    ($name:ident) => {
        mod $name {
            include!(concat!("../../../host/doc/", stringify!($name), ".rs"));

            #[test]
            fn the_documented_example_runs() {
                let bed = e2e::Bed::busybox();
                $name(&bed.guest).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    };
}

example!(connection);
example!(container);
example!(error);
example!(process);

mod vm {
    include!("../../../host/doc/vm.rs");

    #[test]
    fn the_documented_example_runs() {
        let config = e2e::config(mote_host::Machine::Microvm).disk(e2e::busybox_disk());
        vm(config).unwrap_or_else(|error| panic!("{error}"));
    }
}
