//! Where converted images are kept: `$XDG_CACHE_HOME/mote`, else `~/.cache/mote`.

use crate::failure::{Failure, Result};
use std::env;
use std::fs;
use std::path::PathBuf;

/// Returns the directory; it exists.
pub(crate) fn directory() -> Result<PathBuf> {
    let root = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|root| root.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .ok_or_else(|| {
            Failure::new("there is no place for converted images")
                .hint("set XDG_CACHE_HOME or HOME")
        })?;
    let directory = root.join("mote");
    fs::create_dir_all(&directory).map_err(|error| {
        Failure::io(format!("cannot make {}", directory.display()), &error)
            .hint("set XDG_CACHE_HOME to a directory you can write to")
    })?;
    Ok(directory)
}

/// Removes all converted images and returns how many there were. A VM that uses one keeps it until it ends.
pub(crate) fn clear() -> Result<usize> {
    let directory = directory()?;
    let failed = |error| Failure::io(format!("cannot clear {}", directory.display()), &error);
    let mut count = 0;
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "ext4")
        {
            fs::remove_file(&path).map_err(failed)?;
            count += 1;
        }
    }
    Ok(count)
}
