use mote_host::{GuestConnection, ProcessConfig, Result};
use std::io::{Read, Write};
use std::time::Duration;

/// Runs programs directly in the VM: one to its end, one that is talked to, one that is ended.
fn process(guest: &GuestConnection) -> Result<()> {
    let config = ProcessConfig::new(["/bin/busybox", "sh", "-c", "read line; echo $line $WHO"]);
    let output = guest
        .create_process(&config.env("WHO", "host"))?
        .output(b"hello\n")?;
    assert_eq!(
        (output.exit_code, output.stdout.as_slice()),
        (0, &b"hello host\n"[..])
    );

    let cat = guest.create_process(&ProcessConfig::new(["/bin/busybox", "cat"]))?;
    let [stdin, stdout, _] = cat.stdio();
    let (mut stdin, mut stdout) = (stdin.expect("asked for"), stdout.expect("asked for"));
    stdin.write_all(b"ping").expect("taken");
    let mut answer = [0; 4];
    stdout.read_exact(&mut answer).expect("it comes back");
    assert_eq!(&answer, b"ping");
    cat.close_stdin()?;
    assert_eq!(cat.wait()?, 0);

    let sleep = guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "sleep", "1000"]).without_stdio())?;
    assert!(sleep.exit_code().is_err(), "it runs");
    assert!(
        sleep
            .wait_timeout(Duration::from_millis(1))
            .is_err_and(|error| error.is_timeout())
    );
    assert!(sleep.signal(15)?, "delivered");
    assert_eq!(sleep.wait()?, 128 + 15);
    assert!(!sleep.kill()?, "it has ended already");
    assert_eq!(sleep.exit_code()?, 143);
    Ok(())
}
