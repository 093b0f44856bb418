//! OCI images: what is in one, and what it says about the program in it (OCI image specification v1.1).

mod defaults;

pub use defaults::ImageDefaults;
