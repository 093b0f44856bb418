//! Links the bare-metal binaries of this package, and only those, with `linker.ld`.

use std::path::Path;

fn main() {
    let room = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let script = Path::new(&room).join("../linker.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-changed=build.rs");
    // `-static -no-pie` undo the `-pie` that rustc passes for this triple; the others keep start files, libraries, a
    // build id note and linker-made segments out, all of which some VMM's loader stumbles over. Functions with the same
    // code are kept once: Rust promises nobody that their addresses differ.
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=0x1000",
        "-Wl,-z,norelro",
        "-Wl,-z,noexecstack",
        "-Wl,--icf=all",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
