//! Pieces of memory with known borders.

use libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Maps `pages` pages that can be read and written, zero-filled.
///
/// # Panics
///
/// When there is no memory.
#[must_use]
pub fn pages(pages: usize) -> *mut u8 {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    // SAFETY: a new mapping takes nobody's place.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            pages * PAGE,
            PROT_READ | PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    assert_ne!(at, libc::MAP_FAILED, "{pages} pages");
    at.cast()
}

/// Changes what may be done with `pages` pages.
///
/// # Panics
///
/// When the kernel refuses.
pub fn protect(at: *mut u8, pages: usize, rights: i32) {
    // SAFETY: callers name pages that `pages` gave them and that hold nothing but what they put there.
    let done = unsafe { libc::mprotect(at.cast(), pages * PAGE, rights) };
    assert_eq!(done, 0, "mprotect");
}

/// Gives `pages` pages back.
pub fn unmap(at: *mut u8, pages: usize) {
    // SAFETY: as for `protect`.
    unsafe { libc::munmap(at.cast(), pages * PAGE) };
}

/// Returns the end of a page of slashes, behind which nothing can be read: the place is taken, so that nothing else comes
/// to be there.
#[must_use]
pub fn cliff() -> *mut u8 {
    let at = pages(2);
    // SAFETY: the page is ours.
    unsafe { at.write_bytes(b'/', PAGE) };
    let end = at.wrapping_add(PAGE);
    protect(end, 1, PROT_NONE);
    end
}

/// Returns a page that can only be read.
#[must_use]
pub fn read_only() -> *mut u8 {
    let at = pages(1);
    protect(at, 1, PROT_READ);
    at
}
