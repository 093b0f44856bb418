//! Paths inside a tree: bytes, without a slash at either end, without `.` and `..`. The root is the empty path.

/// Why a path cannot be one of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It leads out of the tree.
    ParentDirectory,
    /// It has a byte that the image's tools cannot be told: a line feed or a zero.
    Unspeakable,
    /// One of its names is longer than ext4 can hold.
    TooLong,
}

impl Unfit {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::ParentDirectory => "leads out of the layer by `..`",
            Self::Unspeakable => "has a line feed or a zero byte in its name",
            Self::TooLong => "has a name of more than 255 bytes",
        }
    }
}

/// Longest name of an ext4 directory entry.
const LONGEST_NAME: usize = 255;

/// Brings a path into the tree's form.
pub(super) fn normalize(path: &[u8]) -> Result<Vec<u8>, Unfit> {
    let mut normal = Vec::with_capacity(path.len());
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(Unfit::ParentDirectory),
            _ => {}
        }
        if name.iter().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(Unfit::Unspeakable);
        }
        if name.len() > LONGEST_NAME {
            return Err(Unfit::TooLong);
        }
        if !normal.is_empty() {
            normal.push(b'/');
        }
        normal.extend_from_slice(name);
    }
    Ok(normal)
}

/// Splits a path into its directory and its name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Puts a name behind a directory.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_means_nothing_and_never_lead_out() {
        assert_eq!(normalize(b"./a//b/./c/"), Ok(b"a/b/c".to_vec()));
        assert_eq!(normalize(b"/etc/passwd"), Ok(b"etc/passwd".to_vec()));
        assert_eq!(normalize(b"./"), Ok(Vec::new()));
        assert_eq!(normalize(b"a/../../b"), Err(Unfit::ParentDirectory));
        assert_eq!(normalize(b"a\nb"), Err(Unfit::Unspeakable));
        assert_eq!(normalize(&[b'x'; 255]).map(|path| path.len()), Ok(255));
        assert_eq!(normalize(&[b'x'; 256]), Err(Unfit::TooLong));
    }

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
    }
}
