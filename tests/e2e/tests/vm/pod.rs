//! What containers share, and what they do not: abstract names of sockets, which no file guards, are a pod's.

use e2e::{Bed, DEADLINE, config, debian_disk};
use mote_host::{Container, ContainerConfig, Machine, Output, Process, ProcessConfig};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

/// Memory for a perl in each container.
const MEMORY_MIB: u32 = 256;

/// Takes the name, says so, and tells whoever connects its argument.
const LISTEN: &str = r#"use Socket; $| = 1;
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die;
    bind($socket, pack_sockaddr_un("\0the name")) or do { print "$!\n"; exit };
    listen($socket, 9) or die;
    print "bound\n";
    while (accept(my $client, $socket)) { print $client shift @ARGV; close $client }"#;

/// Connects to the name and says what it is told, or why it cannot.
const ASK: &str = r#"use Socket;
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die;
    connect($socket, pack_sockaddr_un("\0the name")) or do { print "$!"; exit };
    print <$socket>;"#;

fn perl<'a>(script: &'a str, answers: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["/usr/bin/perl", "-e", script];
    args.extend(answers);
    args
}

/// A container whose init waits for ever.
#[track_caller]
fn create(bed: &Bed, id: &str, annotations: &Value) -> Container {
    let config = ContainerConfig::from_oci(json!({
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/sleep", "1000"], "cwd": "/"},
        "root": {"path": "/"},
        "linux": {},
        "annotations": annotations,
    }));
    let container = bed.guest.create_container(id, &config);
    let container = container.unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
    container.start().expect("started");
    let init = container.create_process(&ProcessConfig::init());
    init.expect("runs");
    container
}

#[track_caller]
fn said(process: Process) -> String {
    let output: Output = process.output_within(b"", DEADLINE).expect("ended");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.exit_code, 0, "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_abstract_name_is_known_in_its_pod_and_to_no_other_container() {
    const KIND: &str = "io.kubernetes.cri.container-type";
    const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(debian_disk())
            .memory_mib(MEMORY_MIB),
    );
    let alone = create(&bed, "alone", &json!({}));
    let other = create(&bed, "other", &json!({}));
    let pod = create(&bed, "pod", &json!({KIND: "sandbox", SANDBOX: "pod"}));
    let member = create(&bed, "member", &json!({KIND: "container", SANDBOX: "pod"}));
    let run = |place: Option<&Container>, args: &[&str]| {
        let process = ProcessConfig::new(args.iter().copied());
        let process = match place {
            Some(container) => container.create_process(&process),
            None => bed.guest.create_process(&process),
        };
        process.unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()))
    };
    let ask = |place| said(run(place, &perl(ASK, &[])));
    let listen = |place, answers: &[&str]| {
        let process = run(place, &perl(LISTEN, answers));
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout().expect("asked for"));
        output.read_line(&mut line).expect("readable");
        assert_eq!(line, "bound\n");
        process
    };
    // Who has the name in one place has it in no other, and takes it from nobody.
    let _machine = listen(None, &["machine"]);
    for place in [&alone, &other, &pod, &member] {
        assert_eq!(ask(Some(place)), "Connection refused");
    }
    let _alone = listen(Some(&alone), &["alone"]);
    let _member = listen(Some(&member), &["member", "member"]);
    assert_eq!(ask(Some(&other)), "Connection refused");
    assert_eq!(ask(Some(&alone)), "alone");
    assert_eq!(ask(None), "machine");
    // Containers of one pod know one another's.
    assert_eq!(ask(Some(&pod)), "member");
    assert_eq!(ask(Some(&member)), "member");
    let taken = said(run(Some(&pod), &perl(LISTEN, &[])));
    assert_eq!(taken, "Address already in use\n");
}
