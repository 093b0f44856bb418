//! Links the programs as what they are: static ELF files without a C library, of a few hundred bytes each.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // No C start files, no C library, nothing dynamic, and no sections that only a debugger reads.
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,-z,noexecstack",
        "-Wl,-z,max-page-size=0x1000",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    // rustc asks for a position-independent executable; one program is to be one, the others have a fixed address.
    for name in FIXED {
        println!("cargo:rustc-link-arg-bin={name}=-no-pie");
    }
    for argument in ["-static-pie", "-Wl,--no-dynamic-linker"] {
        println!("cargo:rustc-link-arg-bin=pie={argument}");
    }
}

/// The programs with a fixed address: all of `Cargo.toml` but `pie`.
const FIXED: [&str; 17] = [
    "args",
    "badcalls",
    "clock",
    "echo",
    "exit",
    "fault",
    "files",
    "fpu",
    "memory",
    "nullcall",
    "reader",
    "sleep",
    "spin",
    "stack",
    "true",
    "writer",
    "yardstick",
];
