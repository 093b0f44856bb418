//! What is read of an OCI process's `capabilities` and `rlimits`.

use crate::json::{Cursor, Error, Field};
use crate::kernel::{CapabilitySets, ProcessLimits};

/// Names of capabilities in the order of their numbers (linux/capability.h), without `CAP_`.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT \
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP \
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

/// Names of limits in the order of their numbers (asm-generic/resource.h), without `RLIMIT_`.
const LIMITS: &str = "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME";

/// Returns the number of a name in a list of them.
fn number(names: &str, prefix: &str, name: &str) -> Option<usize> {
    let name = name.strip_prefix(prefix)?;
    names.split(' ').position(|known| known == name)
}

/// Reads `capabilities`; a `null` states none. Those that are not known are passed over, with a warning, as runc does.
///
/// # Errors
///
/// Where the document is not what the specification says.
pub(super) fn capabilities(
    cursor: &mut Cursor<'_>,
    target: &mut Option<CapabilitySets>,
) -> Result<(), Error> {
    let mut sets = CapabilitySets::default();
    let read = &|set: &mut u64, cursor: &mut Cursor<'_>| {
        *set = 0;
        if !cursor.begin_array()? {
            return Ok(());
        }
        while cursor.next_element() {
            let mut name = "";
            cursor.string(&mut name)?;
            match number(CAPABILITIES, "CAP_", name) {
                Some(number) => *set |= 1 << number,
                None => log::warn!("process.capabilities: one is not known and passed over"),
            }
        }
        Ok(())
    };
    let stated = cursor.object(&mut [
        (
            "bounding",
            Field::Other(&mut |cursor| read(&mut sets.bounding, cursor)),
        ),
        (
            "effective",
            Field::Other(&mut |cursor| read(&mut sets.effective, cursor)),
        ),
        (
            "inheritable",
            Field::Other(&mut |cursor| read(&mut sets.inheritable, cursor)),
        ),
        (
            "permitted",
            Field::Other(&mut |cursor| read(&mut sets.permitted, cursor)),
        ),
        (
            "ambient",
            Field::Other(&mut |cursor| read(&mut sets.ambient, cursor)),
        ),
    ])?;
    *target = stated.then_some(sets);
    Ok(())
}

/// Reads `rlimits`. Of several of one type the last counts; one that is not known, or whose soft limit is above the hard one,
/// is told of to whoever reads the rest.
///
/// # Errors
///
/// Where the document is not what the specification says.
pub(super) fn process_limits(
    cursor: &mut Cursor<'_>,
    target: &mut ProcessLimits,
) -> Result<(), Error> {
    *target = ProcessLimits::default();
    if !cursor.begin_array()? {
        return Ok(());
    }
    while cursor.next_element() {
        let (mut kind, mut soft, mut hard) = ("", 0, 0);
        cursor.object(&mut [
            ("type", Field::Text(&mut kind)),
            ("soft", Field::U64(&mut soft)),
            ("hard", Field::U64(&mut hard)),
        ])?;
        match number(LIMITS, "RLIMIT_", kind) {
            Some(number) if soft <= hard => target.asked[number] = Some((soft, hard)),
            Some(_) => target.missed = Some("process.rlimits: a soft limit above the hard one"),
            None => target.missed = Some("process.rlimits: a type that is not known"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn read<T: Default>(
        text: &str,
        read: impl Fn(&mut Cursor<'_>, &mut T) -> Result<(), Error>,
    ) -> T {
        let mut bytes = String::from(text).into_bytes();
        crate::json::check(&bytes).expect("JSON");
        let mut target = T::default();
        read(&mut Cursor::new(&mut bytes), &mut target).expect("it is understood");
        target
    }

    #[test]
    fn capabilities_have_the_numbers_of_their_names() {
        for (name, expected) in [
            ("CAP_CHOWN", Some(0)),
            ("CAP_SETPCAP", Some(8)),
            ("CAP_SYS_ADMIN", Some(21)),
            ("CAP_SETFCAP", Some(31)),
            ("CAP_CHECKPOINT_RESTORE", Some(40)),
            ("CAP_", None),
            ("CHOWN", None),
            ("CAP_CHOWN DAC_OVERRIDE", None),
        ] {
            assert_eq!(number(CAPABILITIES, "CAP_", name), expected, "{name}");
        }
        assert_eq!(number(LIMITS, "RLIMIT_", "RLIMIT_RTTIME"), Some(15));
        assert_eq!(number(LIMITS, "RLIMIT_", "RLIMIT_NOFILE"), Some(7));
    }

    #[test]
    fn each_set_has_what_is_stated_and_unknown_ones_are_passed_over() {
        let text = r#"{"bounding":["CAP_KILL","CAP_NEW"],"effective":["CAP_CHOWN","CAP_KILL"],
            "inheritable":null,"permitted":[],"ambient":["CAP_CHOWN"]}"#;
        let sets = read(text, capabilities).expect("stated");
        let expected = CapabilitySets {
            bounding: 1 << 5,
            effective: 1 | 1 << 5,
            ambient: 1,
            ..CapabilitySets::default()
        };
        assert_eq!(sets, expected);
        assert_eq!(read("null", capabilities), None);
        assert_eq!(read("{}", capabilities), Some(CapabilitySets::default()));
    }

    #[test]
    fn limits_have_a_place_for_each_resource_and_the_last_one_counts() {
        let text = r#"[{"type":"RLIMIT_NOFILE","hard":9,"soft":7},{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0},
            {"type":"RLIMIT_NOFILE","hard":8,"soft":8}]"#;
        let limits = read(text, process_limits);
        assert_eq!(limits.asked[7], Some((8, 8)));
        assert_eq!(limits.asked[4], Some((0, u64::MAX)));
        assert_eq!(limits.asked.iter().flatten().count(), 2);
        assert_eq!(limits.missed, None);
        for text in [
            r#"[{"type":"RLIMIT_NOFILES","hard":9,"soft":7}]"#,
            r#"[{"type":"RLIMIT_NOFILE","hard":9,"soft":10}]"#,
            r#"[{"hard":9,"soft":9}]"#,
        ] {
            assert!(read(text, process_limits).missed.is_some(), "{text}");
        }
        assert_eq!(read("null", process_limits), ProcessLimits::default());
    }
}
