//! One image, opened.

use super::ImageDefaults;
use super::store::{self, Parts, refused};
use crate::error::{Error, Result};
use crate::layer::{self, Tree, Whiteouts};
use oci_spec::image::{Arch, ImageConfiguration, Os};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use tar::Archive;
use tempfile::TempDir;

/// Says how images are converted; a different way would need different names in a cache.
const CONVERSION: &str = "mote image 1";

/// An image.
#[derive(Debug)]
pub struct Image {
    place: PathBuf,
    parts: Parts,
    configuration: ImageConfiguration,
    /// What a tar was unpacked to.
    _unpacked: Option<TempDir>,
}

impl Image {
    /// Opens an image by where it lies and, behind a colon, a tag where there are several in one place.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], naming the image and what is wrong with it.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::Image;
    /// let error = Image::open("/no/such/image:v1").unwrap_err();
    /// assert!(error.to_string().contains("/no/such/image"));
    /// ```
    pub fn open(reference: &str) -> Result<Self> {
        let (place, tag) = split(reference);
        if place.is_dir() {
            return Self::in_directory(place.clone(), &place, tag, None);
        }
        let unpacked = unpack(&place)?;
        let root = unpacked.path().to_owned();
        Self::in_directory(place, &root, tag, Some(unpacked))
    }

    fn in_directory(
        place: PathBuf,
        root: &Path,
        tag: Option<&str>,
        unpacked: Option<TempDir>,
    ) -> Result<Self> {
        let parts = store::find(root, tag)?;
        let configuration: ImageConfiguration = store::document(root, &parts.configuration)?;
        if *configuration.architecture() != Arch::Amd64 || *configuration.os() != Os::Linux {
            return Err(refused(
                &place,
                format!(
                    "it is for {}/{}; the guest runs linux/amd64",
                    configuration.os(),
                    configuration.architecture()
                ),
            ));
        }
        Ok(Self {
            place,
            parts,
            configuration,
            _unpacked: unpacked,
        })
    }

    /// Returns what the image says about its program.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::Image;
    /// let image = Image::open("doc/image")?;
    /// assert_eq!(image.defaults().command, ["/bin/hello"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn defaults(&self) -> ImageDefaults {
        let Some(config) = self.configuration.config() else {
            return ImageDefaults::default();
        };
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        ImageDefaults {
            entrypoint: words(config.entrypoint()),
            command: words(config.cmd()),
            environment: words(config.env())
                .iter()
                .filter_map(|variable| variable.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            cwd: config.working_dir().clone().unwrap_or_default(),
            user: config.user().clone().unwrap_or_default(),
        }
    }

    /// Returns the digests of the layers, the lowest one first.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::Image;
    /// let image = Image::open("doc/image")?;
    /// assert!(image.layer_digests()[0].starts_with("sha256:"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn layer_digests(&self) -> &[String] {
        &self.parts.digests
    }

    /// Returns a name for what comes out of the layers: the same for the same layers.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::Image;
    /// let image = Image::open("doc/image")?;
    /// println!("its disk is kept as {}.ext4", image.key());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn key(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(CONVERSION);
        for layer in &self.parts.digests {
            digest.update("\n");
            digest.update(layer);
        }
        format!("{:x}", digest.finalize())
    }

    /// Lays the layers over each other. Contents of files go to `scratch`. `say` is told which layer is read.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], naming the layer and what is wrong with it.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::Image;
    /// let image = Image::open("doc/image")?;
    /// let scratch = tempfile::tempdir()?;
    /// let tree = image.tree(scratch.path(), &mut |number, count| println!("layer {number} of {count}"))?;
    /// assert!(tree.get("bin/hello").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tree(&self, scratch: &Path, say: &mut dyn FnMut(usize, usize)) -> Result<Tree> {
        let mut tree = Tree::new();
        let count = self.parts.layers.len();
        for (number, layer) in (1..).zip(&self.parts.layers) {
            say(number, count);
            let below = scratch.join(number.to_string());
            std::fs::create_dir(&below)
                .map_err(|error| Error::io(format!("cannot make {}", below.display()), error))?;
            let upper = layer::read(layer, &below).map_err(|error| {
                refused(&self.place, format!("layer {number} of {count}: {error}"))
            })?;
            tree = layer::stack(tree, upper, Whiteouts::Drop);
        }
        Ok(tree)
    }
}

/// Splits a reference; a colon in the path of what exists is part of it.
fn split(reference: &str) -> (PathBuf, Option<&str>) {
    if !Path::new(reference).exists()
        && let Some((place, tag)) = reference.rsplit_once(':')
        && !tag.contains('/')
    {
        return (place.into(), Some(tag));
    }
    (reference.into(), None)
}

/// Unpacks a tar of an image, plain or compressed: regular files only, none outside of a directory of its own.
fn unpack(place: &Path) -> Result<TempDir> {
    let named = |error: io::Error| refused(place, error.to_string());
    let directory = tempfile::tempdir().map_err(named)?;
    let mut archive = Archive::new(layer::open_compressed(place).map_err(named)?);
    for entry in archive.entries().map_err(named)? {
        let mut entry = entry.map_err(named)?;
        let kind = entry.header().entry_type();
        let path = entry.path().map_err(named)?.into_owned();
        let is_inside = path
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(refused(
                place,
                format!("it has an entry that leads out of it: {}", path.display()),
            ));
        }
        let path = directory.path().join(path);
        if kind.is_file() {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(named)?;
            }
            let mut file = File::create(&path).map_err(named)?;
            io::copy(&mut entry, &mut file).map_err(named)?;
        } else if kind.is_symlink() {
            // Older `docker save` links layers that are the same; where it leads is where the first one lies.
            link(place, directory.path(), &path, &entry)?;
        }
    }
    Ok(directory)
}

/// Makes a link of a tar a hard link to what it leads to, inside of the directory.
fn link(
    place: &Path,
    directory: &Path,
    path: &Path,
    entry: &tar::Entry<'_, impl io::Read>,
) -> Result<()> {
    let named = |error: io::Error| refused(place, error.to_string());
    let target = entry.link_name().map_err(named)?.unwrap_or_default();
    let mut resolved = path.parent().unwrap_or(directory).to_owned();
    for component in target.components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved != directory => {
                resolved.pop();
            }
            _ => {
                return Err(refused(
                    place,
                    format!("a link in it leads out of it: {}", target.display()),
                ));
            }
        }
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(named)?;
    }
    std::fs::hard_link(resolved, path).map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_stands_behind_the_last_colon_of_what_does_not_exist() {
        assert_eq!(split("/no/such:v1"), ("/no/such".into(), Some("v1")));
        assert_eq!(split("/no/such:5000/x"), ("/no/such:5000/x".into(), None));
        let directory = tempfile::tempdir().expect("a directory");
        let odd = directory.path().join("a:b");
        std::fs::create_dir(&odd).expect("made");
        let odd = odd.to_str().expect("UTF-8");
        assert_eq!(split(odd), (odd.into(), None));
    }
}
