//! What a Rust user would ship: the standard library, linked statically.
//!
//! Not a target of Cargo: `cargo xtask programs` builds it twice with `rustc -C target-feature=+crt-static`, at a fixed
//! address (`std-hello`) and position-independent (`std-hello-pie`).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::Instant;
use std::{env, fs, io, panic};

fn main() -> io::Result<()> {
    let started = Instant::now();
    let arguments: Vec<String> = env::args().collect();
    println!("hello from std: {} arguments, last {:?}", arguments.len(), arguments.last());

    // The hasher asks the kernel for random bytes.
    let lengths: HashMap<&str, usize> = arguments.iter().map(|text| (text.as_str(), text.len())).collect();
    println!("lengths: {}", lengths.values().sum::<usize>());

    let path = env::temp_dir().join("std-hello");
    fs::write(&path, "written by std")?;
    println!("file: {}", fs::read_to_string(&path)?);
    fs::remove_file(&path)?;

    // Unwinding reads the program's own tables; a panic that is caught must leave it whole.
    panic::set_hook(Box::new(|_| {}));
    let caught = panic::catch_unwind(|| {
        let empty: Vec<u32> = Vec::new();
        empty[arguments.len() - arguments.len()]
    });
    println!("caught: {}", caught.is_err());

    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    println!("stdin: {} bytes", input.len());
    println!("float: {:.6}", (input.len() as f64 + 2.0).sqrt());
    writeln!(io::stderr(), "took {} ms", started.elapsed().as_millis())?;
    Ok(())
}
