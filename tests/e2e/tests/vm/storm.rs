//! Reconnect storms, in short. `cargo xtask storm` makes long ones.

use e2e::storm::{Storm, run};

#[test]
fn a_bridge_cut_at_random_bytes_loses_no_exit_code_and_no_output() {
    for seed in [1, 2, 3] {
        let weather = run(Storm {
            exits: 100,
            seed,
            workers: 6,
            bytes_between_cuts: 4000,
        });
        assert_eq!(weather.exits, 100);
        assert!(weather.cuts > 10, "{weather:?}");
    }
}
