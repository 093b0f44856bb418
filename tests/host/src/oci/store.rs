//! Where an image's blobs lie, and which manifest is meant.

use crate::error::{Error, Result};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, Descriptor, Digest as BlobDigest, DigestAlgorithm, ImageIndex,
    ImageManifest, MediaType, Os,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest document that is read: manifests and configurations are below a megabyte.
const LONGEST_DOCUMENT_BYTES: u64 = 4 << 20;

/// Nested indexes that are followed.
const DEEPEST_INDEX: usize = 4;

/// What an image consists of: documents and layers, files of the host, the lowest layer first.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) configuration: PathBuf,
    pub(super) layers: Vec<PathBuf>,
    /// The layers' digests, which name what comes out of them.
    pub(super) digests: Vec<String>,
}

/// One line of docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An error about an image.
pub(super) fn refused(place: &Path, reason: impl Into<String>) -> Error {
    Error::io(
        format!("cannot use the image {}", place.display()),
        io::Error::other(reason.into()),
    )
}

/// Finds the parts of an image below a directory.
pub(super) fn find(root: &Path, tag: Option<&str>) -> Result<Parts> {
    if root.join("index.json").is_file() {
        let index: ImageIndex = document(root, &root.join("index.json"))?;
        return of_index(root, &index, tag, 0);
    }
    if root.join("manifest.json").is_file() {
        return of_docker(root, tag);
    }
    Err(refused(
        root,
        "neither index.json (an image layout) nor manifest.json (docker save) is in it",
    ))
}

fn of_index(root: &Path, index: &ImageIndex, tag: Option<&str>, depth: usize) -> Result<Parts> {
    if depth == DEEPEST_INDEX {
        return Err(refused(root, "its indexes lead deeper than four levels"));
    }
    let descriptor = choose(root, index.manifests(), tag)?;
    let path = blob(root, descriptor.digest())?;
    if *descriptor.media_type() == MediaType::ImageIndex || is_docker_list(descriptor.media_type())
    {
        // The tag chose this one; what is in it differs by platform.
        return of_index(root, &document(root, &path)?, None, depth + 1);
    }
    let manifest: ImageManifest = document(root, &path)?;
    let mut layers = Vec::new();
    let mut digests = Vec::new();
    for layer in manifest.layers() {
        layers.push(blob(root, layer.digest())?);
        digests.push(layer.digest().to_string());
    }
    Ok(Parts {
        configuration: blob(root, manifest.config().digest())?,
        layers,
        digests,
    })
}

fn is_docker_list(media_type: &MediaType) -> bool {
    media_type.to_string() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Returns the name an index gives to an image.
fn name(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(ANNOTATION_REF_NAME).map(String::as_str)
}

/// Chooses a manifest by tag and by platform.
fn choose<'a>(root: &Path, all: &'a [Descriptor], tag: Option<&str>) -> Result<&'a Descriptor> {
    let has_tag = |descriptor: &&Descriptor| {
        tag.is_none_or(|tag| {
            name(descriptor).is_some_and(|name| name == tag || name.ends_with(&format!(":{tag}")))
        })
    };
    let runs_here = |descriptor: &&Descriptor| {
        descriptor.platform().as_ref().is_none_or(|platform| {
            *platform.architecture() == Arch::Amd64 && *platform.os() == Os::Linux
        })
    };
    let tagged: Vec<&Descriptor> = all.iter().filter(has_tag).collect();
    let fitting: Vec<&Descriptor> = tagged.iter().copied().filter(runs_here).collect();
    match (tagged.as_slice(), fitting.as_slice()) {
        (_, [one]) => Ok(one),
        ([], _) => {
            let names: Vec<&str> = all.iter().filter_map(name).collect();
            Err(refused(
                root,
                format!(
                    "there is no {:?} in it; it has {}",
                    tag.unwrap_or("image"),
                    listed(&names)
                ),
            ))
        }
        (_, []) => Err(refused(root, "none of its manifests is for linux/amd64")),
        (_, several) => {
            let names: Vec<&str> = several.iter().copied().filter_map(name).collect();
            Err(refused(
                root,
                format!(
                    "{} images are in it; name one behind a colon: {}",
                    several.len(),
                    listed(&names)
                ),
            ))
        }
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none with a name".into(),
        names => names.join(", "),
    }
}

fn of_docker(root: &Path, tag: Option<&str>) -> Result<Parts> {
    let all: Vec<DockerManifest> = document(root, &root.join("manifest.json"))?;
    let tags = |manifest: &DockerManifest| manifest.repo_tags.clone().unwrap_or_default();
    let mut fitting = all.iter().filter(|manifest| {
        tag.is_none_or(|tag| {
            tags(manifest)
                .iter()
                .any(|name| name == tag || name.ends_with(&format!(":{tag}")))
        })
    });
    let names: Vec<String> = all.iter().flat_map(tags).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (Some(manifest), None) = (fitting.next(), fitting.next()) else {
        return Err(refused(
            root,
            format!(
                "name one image of it behind a colon; it has {}",
                listed(&names)
            ),
        ));
    };
    let mut layers = Vec::new();
    let mut digests = Vec::new();
    for layer in &manifest.layers {
        let path = inside(root, layer)?;
        digests.push(format!("sha256:{}", digest(root, &path)?));
        layers.push(path);
    }
    Ok(Parts {
        configuration: inside(root, &manifest.config)?,
        layers,
        digests,
    })
}

/// Returns a blob's file, whose content is what its digest says.
fn blob(root: &Path, expected: &BlobDigest) -> Result<PathBuf> {
    if *expected.algorithm() != DigestAlgorithm::Sha256 {
        return Err(refused(root, format!("{expected} is no sha256 digest")));
    }
    let path = root.join("blobs/sha256").join(expected.digest());
    let actual = digest(root, &path)?;
    if actual != expected.digest() {
        return Err(refused(
            root,
            format!("the content of the blob {expected} has the digest sha256:{actual}"),
        ));
    }
    Ok(path)
}

/// Returns a file named by a document: it lies below the root.
fn inside(root: &Path, name: &str) -> Result<PathBuf> {
    let is_inside = Path::new(name)
        .components()
        .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if is_inside {
        return Ok(root.join(name));
    }
    Err(refused(
        root,
        format!("it names a file outside of it: {name:?}"),
    ))
}

fn digest(root: &Path, path: &Path) -> Result<String> {
    let unreadable = |error| refused(root, format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest).map_err(unreadable)?;
    Ok(format!("{:x}", digest.finalize()))
}

/// Reads a JSON document.
pub(super) fn document<T: DeserializeOwned>(root: &Path, path: &Path) -> Result<T> {
    let named = |error: io::Error| refused(root, format!("{}: {error}", path.display()));
    let length = fs::metadata(path).map_err(named)?.len();
    if length > LONGEST_DOCUMENT_BYTES {
        return Err(named(io::Error::other(format!(
            "{length} bytes are too many for a document"
        ))));
    }
    let bytes = fs::read(path).map_err(named)?;
    serde_json::from_slice(&bytes).map_err(|error| named(error.into()))
}
