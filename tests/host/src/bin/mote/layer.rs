//! `mote layer`: a disk image from directories and tars.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::table::size;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mote_host::layer::{self, Progress, Tree, Whiteouts, Written};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Write a disk image from directories and tars
///
/// The image is a read-only ext4 file system, for --disk and for layers.
///
/// Tars are OCI layers, plain, gzipped or compressed with zstd: owners, permissions, times, links, devices and extended attributes are kept.
/// Several sources are stacked, the first one lowest. Whiteouts hide what is below them and stay in the image in
/// overlayfs's form (a character device 0/0, trusted.overlay.opaque), for an image that lies over others; --flatten
/// leaves them out.
///
/// The same sources give the same bytes. No rights are needed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mote layer root/ -o root.ext4\n  mote layer base.tar.gz patch.tar --flatten -o root.ext4"
)]
pub(crate) struct Arguments {
    /// Directories and tars, the lowest one first
    #[arg(required = true, value_name = "DIR|TAR")]
    sources: Vec<PathBuf>,

    /// The image to write; one that exists is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Leave whiteouts out: nothing will lie below this image
    #[arg(long)]
    flatten: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Writes it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::io("cannot make a directory for temporary files", &error))?;
    let bar = Bar::new();
    let whiteouts = if arguments.flatten {
        Whiteouts::Drop
    } else {
        Whiteouts::Keep
    };
    let mut tree = Tree::new();
    for source in &arguments.sources {
        bar.say(&format!("reading {}", source.display()));
        tree = layer::stack(tree, layer::read(source, scratch.path())?, whiteouts);
    }
    let written = write(&bar, &tree, &arguments.output)?;
    drop(bar);
    if arguments.json {
        println!(
            "{}",
            json!({
                "image": arguments.output,
                "bytes": written.bytes,
                "files": written.files,
                "inodes": written.inodes,
                "sha256": written.sha256,
            })
        );
    } else {
        println!(
            "{}: {}, {} files\nsha256:{}",
            arguments.output.display(),
            size(written.bytes),
            written.files,
            written.sha256
        );
    }
    Ok(ExitCode(0))
}

/// Writes a tree with a bar that shows how far it is.
pub(crate) fn write(bar: &Bar, tree: &Tree, image: &Path) -> Result<Written> {
    Ok(layer::write_image(tree, image, &mut |progress| {
        bar.show(progress)
    })?)
}

/// What is being done, and how far it is, on standard error where there is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A line that has nothing to say yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0).with_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says what is being done; how long it takes is not known.
    pub(crate) fn say(&self, what: &str) {
        self.0.set_style(style("{spinner} {msg} {elapsed}"));
        self.0.set_message(what.to_owned());
    }

    fn show(&self, progress: Progress) {
        match progress {
            Progress::Writing(done, all) => {
                if done == 1 {
                    self.0.set_length(all);
                    self.0.set_message("writing");
                    self.0
                        .set_style(style("{spinner} {msg} {wide_bar} {percent}% {elapsed}"));
                }
                self.0.set_position(done);
            }
            Progress::Digesting => self.say("digesting"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template")
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
