//! What a Rust user would ship: the standard library, linked statically. Threads, channels, processes and files, as a
//! program of that library has them; it says the same wherever it runs, except for the time it took.
//!
//! Not a target of Cargo: `cargo xtask programs` builds it twice with `rustc -C target-feature=+crt-static`, at a fixed
//! address (`std-hello`) and position-independent (`std-hello-pie`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, io, panic, thread};

fn main() -> io::Result<()> {
    let started = Instant::now();
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "--child") {
        return child(&arguments[2..]);
    }
    println!("hello from std: {} arguments, last {:?}", arguments.len(), arguments.last());

    // The hasher asks the kernel for random bytes.
    let lengths: HashMap<&str, usize> = arguments.iter().map(|text| (text.as_str(), text.len())).collect();
    println!("lengths: {}", lengths.values().sum::<usize>());

    let path = env::temp_dir().join(format!("std-hello-{}", std::process::id()));
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
    threads();
    processes()?;
    files()?;
    writeln!(io::stderr(), "took {} ms", started.elapsed().as_millis())?;
    Ok(())
}

/// Threads that share memory, send each other values, and wait for one another.
fn threads() {
    let (total, barrier) = (Arc::new(Mutex::new(0_u64)), Arc::new(Barrier::new(8)));
    let (send, receive) = mpsc::channel();
    let workers: Vec<_> = (0..8_u64)
        .map(|number| {
            let (total, barrier, send) = (Arc::clone(&total), Arc::clone(&barrier), send.clone());
            thread::spawn(move || {
                barrier.wait();
                for step in 0..1000 {
                    *total.lock().expect("nobody panics") += step;
                }
                send.send(number * number).expect("somebody listens");
                number
            })
        })
        .collect();
    drop(send);
    let squares: u64 = receive.iter().sum();
    let numbers: u64 = workers.into_iter().map(|worker| worker.join().expect("no panic")).sum();
    println!("threads: {} {squares} {numbers}", total.lock().expect("nobody panics"));

    let (send, receive) = mpsc::sync_channel(1);
    let producer = thread::spawn(move || (0..100).try_for_each(|value| send.send(value)));
    let values: Vec<u32> = receive.iter().collect();
    println!("channel: {} values, ordered {}", values.len(), values.is_sorted());
    println!("sent all: {}", producer.join().expect("no panic").is_ok());
    let (_send, receive) = mpsc::channel::<()>();
    println!("nothing comes: {:?}", receive.recv_timeout(Duration::from_millis(5)));
    let panicked = thread::spawn(|| panic!("in a thread")).join().is_err();
    println!("a thread panicked: {panicked}");
}

/// This program again: what it is given, says, and ends with.
fn processes() -> io::Result<()> {
    let own = env::current_exe()?;
    let output = Command::new(&own).args(["--child", "3", "said"]).env("GIVEN", "by parent").current_dir("/").output()?;
    println!("child: {:?} {}", output.status.code(), String::from_utf8_lossy(&output.stdout).trim_end());
    let mut children = Vec::new();
    for number in 0..8 {
        children.push(Command::new(&own).args(["--child", &number.to_string()]).stdout(Stdio::null()).spawn()?);
    }
    let mut codes = Vec::new();
    for child in &mut children {
        codes.push(child.wait()?.code());
    }
    println!("children: {codes:?}");
    let mut echo = Command::new(&own).args(["--child", "copy"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut to, text) = (echo.stdin.take().expect("piped"), "x".repeat(300_000));
    let writer = thread::spawn(move || to.write_all(text.as_bytes()));
    println!("copied: {} bytes, {:?}", echo.wait_with_output()?.stdout.len(), writer.join().expect("no panic"));
    let mut waiting = Command::new(&own).args(["--child", "copy"]).stdin(Stdio::piped()).spawn()?;
    waiting.kill()?;
    println!("killed: {:?}", waiting.wait()?);
    println!("no program: {:?}", Command::new("/no/such/program").spawn().map(drop).map_err(|error| error.kind()));
    Ok(())
}

/// What a child does: copies its input, or says what it was given and ends with a code.
fn child(words: &[String]) -> io::Result<()> {
    match words[0].parse() {
        Err(_) => io::copy(&mut io::stdin(), &mut io::stdout()).map(drop),
        Ok(code) => {
            println!("{:?} {:?} in {}", words, env::var("GIVEN").ok(), env::current_dir()?.display());
            std::process::exit(code)
        }
    }
}

/// Folders, names, places in a file, and what a folder has in it.
fn files() -> io::Result<()> {
    let folder = env::temp_dir().join(format!("std-{}", std::process::id()));
    fs::create_dir_all(folder.join("a/b"))?;
    let mut file = File::options().create_new(true).read(true).write(true).open(folder.join("a/file"))?;
    file.write_all(&[7; 100_000])?;
    file.seek(SeekFrom::Start(99_998))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    file.set_len(10)?;
    println!("file: {} bytes read, {} left", rest.len(), file.metadata()?.len());
    fs::rename(folder.join("a/file"), folder.join("a/b/moved"))?;
    fs::copy(folder.join("a/b/moved"), folder.join("a/b/copied"))?;
    std::os::unix::fs::symlink("b/copied", folder.join("a/link"))?;
    fs::hard_link(folder.join("a/b/moved"), folder.join("a/b/second"))?;
    let mut names: Vec<_> = fs::read_dir(folder.join("a/b"))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort();
    println!("names: {names:?}, through a link {} bytes", fs::read(folder.join("a/link"))?.len());
    println!("again: {:?}", fs::create_dir(folder.join("a")).map_err(|error| error.kind()));
    fs::remove_dir_all(&folder)?;
    println!("gone: {}", !folder.exists());
    Ok(())
}
