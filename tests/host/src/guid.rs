//! GUIDs in the plain form the host insists on.

/// The GUID of nothing: the activity of every request, and the container id that means the VM itself.
pub(crate) const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// Returns whether `text` is a GUID in the 8-4-4-4-12 form, without braces, in either case.
pub(crate) fn is_plain_guid(text: &str) -> bool {
    text.len() == NULL_GUID.len()
        && text
            .bytes()
            .zip(NULL_GUID.bytes())
            .all(|(byte, pattern)| match pattern {
                b'-' => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_plain_form_only() {
        assert!(is_plain_guid(NULL_GUID));
        assert!(is_plain_guid("A1B2c3d4-0000-4000-8000-000000000001"));
        for bad in [
            "",
            "{00000000-0000-0000-0000-000000000000}",
            "0000000000000000-0000-0000-000000000000-",
            "00000000-0000-0000-0000-00000000000g",
            "00000000-0000-0000-0000-0000000000000",
        ] {
            assert!(!is_plain_guid(bad), "{bad:?}");
        }
    }
}
