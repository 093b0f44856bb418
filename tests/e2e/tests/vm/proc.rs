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
        !shape(&pieces).is_empty() && shape(&pieces).iter().all(|&len| len >= 40),
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

/// The fields of a line of `/proc/PID/stat` behind the name, which may have anything in it; the first one is field 3.
fn fields(stat: &str) -> Vec<String> {
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    rest.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_stat_and_status_say_of_a_process_agrees_with_the_calls_that_tell_the_same() {
    let bed = Bed::busybox();
    let text = shell(
        &bed,
        "trap '' USR1; trap : USR2; umask 027; cat /proc/self/stat /proc/self/status",
    );
    let stat = text.lines().next().expect("a line");
    let of = fields(stat);
    assert_eq!(of.len(), 50, "{stat}");
    assert_eq!(
        (of[0].as_str(), of[15].as_str(), of[16].as_str()),
        ("R", "20", "0"),
        "{stat}"
    );
    let status: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .collect();
    assert_eq!(status["PPid"], of[1], "{text}");
    assert_eq!(status["Umask"], "0027");
    assert_eq!(status["State"], "R (running)");
    assert_eq!((status["Uid"], status["Threads"]), ("0\t0\t0\t0", "1"));
    // USR1 is 10: what is ignored stays ignored in a new program, what is caught does not stay caught.
    let ignored = u64::from_str_radix(status["SigIgn"], 16).expect("a set");
    let caught = u64::from_str_radix(status["SigCgt"], 16).expect("a set");
    assert_eq!((ignored & 1 << 9, caught & 1 << 11), (1 << 9, 0), "{text}");
    let kib = |name: &str| -> u64 {
        let text = status[name].trim().strip_suffix(" kB").expect("a unit");
        text.parse().expect("a number")
    };
    assert!(
        kib("VmRSS") > 0 && kib("VmRSS") <= kib("VmSize") + 64,
        "{text}"
    );
    assert_eq!(of[20], (kib("VmSize") * 1024).to_string(), "{stat}");
}

#[test]
fn a_child_that_nobody_waits_for_is_shown_as_a_zombie_without_memory() {
    let bed = Bed::busybox();
    // exec leaves a parent that does not know of the child, which waits for that.
    let text = shell(
        &bed,
        r#"sh -c '(until grep -q busybox /proc/$$/comm; do :; done) & echo $! >/tmp/pid; exec /bin/busybox sleep 1000' &
        until [ -s /tmp/pid ] && grep -q ') Z ' /proc/$(cat /tmp/pid)/stat; do :; done
        cd /proc/$(cat /tmp/pid); cat /tmp/pid stat cmdline maps; kill $!"#,
    );
    let mut lines = text.lines();
    let pid = lines.next().expect("a number");
    let stat = lines.next().unwrap_or_default();
    assert!(stat.starts_with(&format!("{pid} (")), "{text}");
    let of = fields(stat);
    assert_eq!((of[0].as_str(), of[20].as_str()), ("Z", "0"), "{text}");
    assert_eq!(lines.next(), None, "{text}");
}

#[test]
fn maps_name_files_and_limits_and_mounts_are_listed() {
    let bed = Bed::busybox();
    let maps = cat(&bed, "/proc/self/maps");
    let number = shell(&bed, "stat -c %i /bin/busybox");
    let code = maps
        .lines()
        .find(|line| line.contains("r-xp"))
        .expect("a program has code");
    assert_eq!(code.find("/bin/busybox"), Some(73), "{maps}");
    assert!(code.contains(&format!(" {} ", number.trim())), "{code}");
    let limits = shell(&bed, "ulimit -S -n 77; cat /proc/self/limits");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files: Vec<&str> = files.expect("a line").split_whitespace().collect();
    assert_eq!(files[3..], ["77", "1024", "files"], "{limits}");
    let tree = cat(&bed, "/proc/self/mountinfo");
    for kept in [
        "/ / rw - overlay",
        "/ /proc rw - proc",
        "/ /dev/pts rw - devpts",
    ] {
        assert!(tree.contains(kept), "{tree}");
    }
    assert!(shell(&bed, "df").contains("% /\n"));
}

#[test]
fn many_areas_are_read_whole_however_small_the_pieces() {
    let bed = Bed::boot(
        e2e::config(mote_host::Machine::Microvm)
            .disk(e2e::debian_disk())
            .memory_mib(128),
    );
    // Every second page has other rights: a line for each page.
    let script = "import mmap, ctypes, os\n\
        pages = 2000\n\
        area = mmap.mmap(-1, pages * 4096)\n\
        at = ctypes.addressof(ctypes.c_char.from_buffer(area))\n\
        libc = ctypes.CDLL(None)\n\
        [libc.mprotect(ctypes.c_void_p(at + n * 4096), 4096, 1) for n in range(0, pages, 2)]\n\
        def read(size):\n\
        \x20   fd = os.open('/proc/self/maps', os.O_RDONLY)\n\
        \x20   parts = []\n\
        \x20   while part := os.read(fd, size): parts.append(part)\n\
        \x20   return b''.join(parts).splitlines()\n\
        found = [sum(b'r--s' in line for line in read(size)) for size in (65536, 1000, 333)]\n\
        whole = open('/proc/self/maps', 'rb').read()\n\
        fd = os.open('/proc/self/maps', os.O_RDONLY)\n\
        far = os.pread(fd, 50, len(whole) - 50)\n\
        print(found, far == whole[-50:], os.pread(fd, 50, len(whole)))\n";
    let output = bed.output(&["/usr/bin/python3", "-c", script]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "[1000, 1000, 1000] True b''\n", "{output:?}");
}
