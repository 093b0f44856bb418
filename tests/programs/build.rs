//! Links the programs as what they are: static ELF files without a C library, of a few hundred bytes each.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/bin");
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
    for name in programs().filter(|name| name != INDEPENDENT) {
        println!("cargo:rustc-link-arg-bin={name}=-no-pie");
    }
    for argument in ["-static-pie", "-Wl,--no-dynamic-linker"] {
        println!("cargo:rustc-link-arg-bin={INDEPENDENT}={argument}");
    }
}

/// The program without a fixed address.
const INDEPENDENT: &str = "pie";

/// The names of the programs: one for each file of `src/bin`.
fn programs() -> impl Iterator<Item = String> {
    let folder = std::fs::read_dir("src/bin").expect("the sources are here");
    folder.map(|file| {
        let path = file.expect("it can be listed").path();
        let name = path.file_stem().expect("it has a name");
        name.to_str().expect("text").to_owned()
    })
}
