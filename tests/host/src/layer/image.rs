//! An ext4 image of a tree, by e2fsprogs: mke2fs makes an empty one, debugfs fills it.

use super::script::{BLOCK_BYTES, Script};
use super::tree::Tree;
use crate::disk::{find_debugfs, find_mke2fs};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// The identity of every image and the seed of its hashes: constants, so that the same tree gives the same bytes.
const IDENTITY: &str = "6d6f7465-0000-4000-8000-6c6179657231";

/// The time of everything that has none of its own: debugfs takes 0 for "now".
const TIME: &str = "1";

/// Blocks beside those of the tree: superblock, descriptors, `lost+found`; and a little to be safe, for an image is
/// sparse and free blocks cost nothing.
const BASE_BLOCKS: u64 = 256;

/// What ext4 has, named one by one: what is the default differs from machine to machine. Without a journal and room to
/// grow, of which a read-only image has no use.
const FEATURES: &str = "none,sparse_super,large_file,huge_file,filetype,ext_attr,dir_index,extent,flex_bg,64bit,\
                        dir_nlink,extra_isize,metadata_csum";

/// Bytes of an inode.
const INODE_BYTES: u64 = 256;

/// How far it is.
///
/// # Example
///
/// ```
/// use mote_host::layer::Progress;
/// let shown = match Progress::Writing(5, 20) {
///     Progress::Writing(done, all) => format!("{} %", 100 * done / all),
///     Progress::Digesting => "reading it again".into(),
/// };
/// assert_eq!(shown, "25 %");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many of so many commands of debugfs are carried out.
    Writing(u64, u64),
    /// The image is read again for its digest.
    Digesting,
}

/// An image that was written.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Tree};
/// let directory = tempfile::tempdir()?;
/// let write = |name| layer::write_image(&Tree::new(), &directory.path().join(name), &mut |_| {});
/// assert_eq!(write("a")?.sha256, write("b")?.sha256, "the same tree, the same bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// Regular files in it, hard links counted once.
    pub files: u64,
    /// All inodes in it.
    pub inodes: u64,
    /// SHA-256 of it, in hexadecimal digits.
    pub sha256: String,
}

/// Writes a tree as a read-only ext4 image. An image that exists is replaced, and only by a whole one.
///
/// # Errors
///
/// [`Error::Io`] when e2fsprogs is missing or fails, with its words.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Progress, Tree};
/// let directory = tempfile::tempdir()?;
/// let image = directory.path().join("empty.ext4");
/// let written = layer::write_image(&Tree::new(), &image, &mut |progress| match progress {
///     Progress::Writing(done, all) => println!("{done} of {all}"),
///     Progress::Digesting => println!("nearly there"),
/// })?;
/// assert_eq!(std::fs::metadata(&image)?.len(), written.bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_image(
    tree: &Tree,
    image: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written> {
    let named = |error| Error::io(format!("cannot write {}", image.display()), error);
    let directory = image
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let scratch = tempfile::tempdir().map_err(named)?;
    // Beside the image, so that it is renamed and not copied; removed when this fails.
    let new = tempfile::Builder::new()
        .prefix(".mote-")
        .tempfile_in(directory)
        .map_err(named)?
        .into_temp_path();
    let script = Script::of(tree, scratch.path()).map_err(named)?;
    let bytes = format(&script, &new)?;
    fill(&script, &new, scratch.path(), progress)?;
    progress(Progress::Digesting);
    let sha256 = digest(&new).map_err(named)?;
    permit(&new).map_err(named)?;
    new.persist(image).map_err(|error| named(error.error))?;
    Ok(Written {
        bytes,
        files: script.files,
        inodes: script.inodes,
        sha256,
    })
}

/// Makes an empty file system and returns its size.
fn format(script: &Script, image: &Path) -> Result<u64> {
    // The ten reserved ones and lost+found.
    let inodes = script.inodes + 16;
    let blocks = script.blocks * 103 / 100 + inodes * INODE_BYTES / BLOCK_BYTES + BASE_BLOCKS;
    let program = find_mke2fs();
    let output = Command::new(program)
        .args([
            "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-U", IDENTITY,
        ])
        .args(["-O", FEATURES])
        .args([
            "-E",
            &format!("lazy_itable_init=0,nodiscard,root_owner=0:0,hash_seed={IDENTITY}"),
        ])
        .args(["-I", &INODE_BYTES.to_string(), "-N", &inodes.to_string()])
        .arg(image)
        .arg(blocks.to_string())
        .env("E2FSPROGS_FAKE_TIME", TIME)
        .env("MKE2FS_CONFIG", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(program, error))?;
    if output.status.success() {
        return Ok(blocks * BLOCK_BYTES);
    }
    Err(failed(program, &String::from_utf8_lossy(&output.stderr)))
}

/// Has debugfs carry out the commands. Its exit status says nothing of them; what it says on standard error does.
fn fill(
    script: &Script,
    image: &Path,
    scratch: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let commands = scratch.join("commands");
    let named = |error| Error::io(format!("cannot write {}", commands.display()), error);
    File::create(&commands)
        .and_then(|mut file| file.write_all(&script.text))
        .map_err(named)?;
    let program = find_debugfs();
    let mut child: Child = Command::new(program)
        .arg("-w")
        .arg("-f")
        .args([&commands, image])
        .env("E2FSPROGS_FAKE_TIME", TIME)
        .env("DEBUGFS_PAGER", "cat")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| missing(program, error))?;
    let mut errors = child.stderr.take().expect("piped above");
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        // What cannot be read was not said.
        let _ = errors.read_to_end(&mut words);
        words
    });
    let stdout = BufReader::new(child.stdout.take().expect("piped above"));
    let mut done = 0;
    for line in stdout.split(b'\n') {
        // It says each command before it carries it out.
        if line.is_ok_and(|line| line.starts_with(b"debugfs:")) {
            done += 1;
            progress(Progress::Writing(done, script.commands));
        }
    }
    let status = child
        .wait()
        .map_err(|error| Error::io(format!("{program} was lost"), error))?;
    let words = words.join().unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    // The first line says its version.
    let complaint: Vec<&str> = words
        .lines()
        .filter(|line| !line.starts_with("debugfs 1."))
        .collect();
    if status.success() && complaint.is_empty() && done == script.commands {
        return Ok(());
    }
    Err(failed(program, &complaint.join("\n")))
}

fn digest(image: &Path) -> io::Result<String> {
    let mut file = File::open(image)?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest)?;
    Ok(format!("{:x}", digest.finalize()))
}

/// A temporary file is its owner's alone; an image is as readable as any file made here.
fn permit(image: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(image, fs::Permissions::from_mode(0o644))
}

fn missing(program: &str, error: io::Error) -> Error {
    Error::io(
        format!("cannot run {program} (install it: `apt-get install e2fsprogs`)"),
        error,
    )
}

fn failed(program: &str, words: &str) -> Error {
    let words = match words.trim() {
        "" => "it says nothing",
        words => words,
    };
    Error::io(
        format!("{program} could not make the image"),
        io::Error::other(words.to_owned()),
    )
}
