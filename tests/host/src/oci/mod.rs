//! OCI images: what is in one, and what it says about the program in it (OCI image specification v1.1).
//!
//! An [`Image`] is opened from an image layout (a directory or a tar of one) or from what `docker save` writes. Every blob
//! is checked against its digest before it is believed. [`Image::tree`] lays its layers over each other; nothing of them
//! is ever unpacked where it could leave a directory.

mod defaults;
mod image;
mod store;

pub use defaults::ImageDefaults;
pub use image::Image;
