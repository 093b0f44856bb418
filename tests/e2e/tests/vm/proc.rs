//! `/proc` as programs read it.

use e2e::Bed;
use std::collections::BTreeMap;

fn cat(bed: &Bed, path: &str) -> String {
    let output = bed.output(&["/bin/busybox", "cat", path]);
    assert_eq!(output.exit_code, 0, "{path}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn shell(bed: &Bed, script: &str) -> String {
    let output = bed.output(&["/bin/busybox", "sh", "-c", script]);
    assert_eq!(output.exit_code, 0, "{script}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn memory_time_and_load_are_told_in_the_shapes_that_programs_parse() {
    let bed = Bed::busybox();
    let text = cat(&bed, "/proc/meminfo");
    let memory: BTreeMap<&str, u64> = text
        .lines()
        .map(|line| {
            let (name, rest) = line.split_once(':').expect("a name");
            let kib = rest.trim().strip_suffix(" kB").expect("a unit");
            (name, kib.parse().expect("a number"))
        })
        .collect();
    assert!((40_000..65_536).contains(&memory["MemTotal"]), "{memory:?}");
    assert!(memory["MemFree"] <= memory["MemAvailable"]);
    assert!(memory["MemAvailable"] <= memory["MemTotal"]);
    assert!(memory["Cached"] > 0);

    let text = cat(&bed, "/proc/uptime");
    let times: Vec<f64> = text
        .split_whitespace()
        .map(|time| time.parse().expect("a number"))
        .collect();
    assert!(times.len() == 2 && times[1] <= times[0], "{text}");

    let text = cat(&bed, "/proc/loadavg");
    assert_eq!(text.split_whitespace().count(), 5, "{text}");

    let text = cat(&bed, "/proc/stat");
    assert!(
        text.starts_with("cpu  ") && text.contains("\ncpu0 "),
        "{text}"
    );
    let started = text.lines().find_map(|line| line.strip_prefix("btime "));
    let started: u64 = started.expect("a time").parse().expect("a number");
    let now: u64 = shell(&bed, "date +%s").trim().parse().expect("a number");
    assert!(now - started < 3600, "{started} and {now}");

    assert!(cat(&bed, "/proc/cpuinfo").starts_with("processor\t: 0\n"));
    for tool in ["free", "uptime", "ps", "top -b -n 1"] {
        let text = shell(&bed, tool);
        assert!(!text.is_empty(), "{tool}");
    }
}

#[test]
fn a_process_is_told_by_its_arguments_environment_and_memory() {
    let bed = Bed::busybox();
    let arguments = shell(&bed, "cat /proc/$$/cmdline | tr '\\0' '|'");
    assert!(
        arguments.starts_with("/bin/busybox|sh|-c|cat "),
        "{arguments}"
    );
    let environment = shell(
        &bed,
        "export NEVER=SEEN; FIRST=1 exec env -i SECOND=2 cat /proc/self/environ",
    );
    assert_eq!(environment, "SECOND=2\0");
    // A child that has the same memory has the same strings.
    let child = shell(&bed, "(cat /proc/self/cmdline) | tr '\\0' '|'");
    assert_eq!(child, "cat|/proc/self/cmdline|");

    let maps = cat(&bed, "/proc/self/maps");
    let mut last = 0;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').expect("a range");
        let (start, end) = range.split_once('-').expect("two addresses");
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).expect("hex"));
        assert!(last <= start && start < end, "{line}");
        last = end;
        let rights = rest.split(' ').next().expect("rights");
        assert!(!(rights.contains('w') && rights.contains('x')), "{line}");
    }
    assert!(maps.lines().any(|line| line.contains("r-xp")), "{maps}");
    assert_eq!(maps.matches("[stack]").count(), 1, "{maps}");
    let column = maps.lines().find_map(|line| line.find("[stack]"));
    assert_eq!(column, Some(73));
    // Whatever the pieces it is read in, the text is the same but for where it lies.
    let shape = |text: &str| -> Vec<usize> { text.lines().map(str::len).collect() };
    let pieces = shell(&bed, "dd if=/proc/self/maps bs=7 2>/dev/null");
    assert!(
        !shape(&pieces).is_empty() && shape(&pieces).iter().all(|&len| len >= 48),
        "{pieces}"
    );

    let pages = cat(&bed, "/proc/self/statm");
    let counts: Vec<u64> = pages
        .split_whitespace()
        .map(|count| count.parse().expect("a number"))
        .collect();
    assert!(
        counts.len() == 7 && counts[1] > 0 && counts[1] <= counts[0] + 64,
        "{pages}"
    );
}

#[test]
fn the_knobs_that_programs_read_are_there() {
    let bed = Bed::busybox();
    let same = "[ $(cat /proc/sys/kernel/osrelease) = $(uname -r) ] && cat /proc/sys/kernel/ostype";
    assert_eq!(shell(&bed, same), "Linux\n");
    assert_eq!(
        cat(&bed, "/proc/sys/kernel/hostname"),
        shell(&bed, "uname -n")
    );
    assert_eq!(cat(&bed, "/proc/sys/vm/overcommit_memory"), "1\n");
    assert_eq!(cat(&bed, "/proc/sys/fs/file-max"), "16384\n");
    let listed = shell(&bed, "ls /proc/sys /proc/sys/kernel/random");
    for name in ["fs", "kernel", "vm", "boot_id", "uuid"] {
        assert!(listed.lines().any(|line| line == name), "{listed}");
    }
    let own = shell(&bed, "ls /proc/self /proc/self/fd");
    for name in ["cmdline", "fd", "maps", "0", "1", "2"] {
        assert!(own.lines().any(|line| line == name), "{own}");
    }
    let [first, second] = [(), ()].map(|()| cat(&bed, "/proc/sys/kernel/random/uuid"));
    assert_ne!(first, second);
    assert!(first.len() == 37 && first.as_bytes()[14] == b'4', "{first}");
    let [first, second] = [(), ()].map(|()| cat(&bed, "/proc/sys/kernel/random/boot_id"));
    assert_eq!(first, second);
    let refused = bed.output(&[
        "/bin/busybox",
        "sh",
        "-c",
        "echo x >/proc/sys/kernel/hostname",
    ]);
    assert_ne!(refused.exit_code, 0);
}
