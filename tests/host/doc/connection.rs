use mote_host::{GuestConnection, PropertyType, Result};
use serde_json::json;
use std::thread;

/// Asks the guest about itself, from many threads at once.
fn connection(guest: &GuestConnection) -> Result<()> {
    assert!(guest.capabilities().signal_process && guest.capabilities().dump_stacks);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(guest.dump_stacks().is_ok()));
        }
    });
    assert!(
        guest
            .properties(&[PropertyType::Statistics])?
            .metrics
            .is_some()
    );

    let unknown = json!({ "ResourceType": "Windmill", "Settings": {} });
    let refusal = guest.modify(&unknown).expect_err("there are none");
    assert!(refusal.to_string().contains("Windmill"), "{refusal}");

    assert!(guest.end_reason().is_none());
    guest.close();
    assert!(
        guest
            .dump_stacks()
            .is_err_and(|error| error.is_bridge_ended())
    );
    Ok(())
}
