//! `--oci`: images from a layout and from `docker save`, with several layers.

use crate::layer::Tar;
use crate::tool::Place;
use e2e::host_busybox;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use tar::EntryType;

fn layers() -> [Vec<u8>; 3] {
    let base = Tar::new()
        .file("bin/busybox", 0o755, &host_busybox().1)
        .link(EntryType::Symlink, "bin/sh", "busybox")
        .link(EntryType::Symlink, "bin/cat", "busybox")
        .link(EntryType::Symlink, "bin/ls", "busybox")
        .link(EntryType::Symlink, "bin/id", "busybox")
        .link(EntryType::Symlink, "bin/env", "busybox")
        .file(
            "etc/passwd",
            0o644,
            b"root:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n",
        )
        .file("etc/group", 0o644, b"root:x:0:\nweb:x:34:\nlog:x:55:web\n")
        .file("srv/first", 0o644, b"first\n")
        .file("srv/second", 0o644, b"lower\n")
        .file("cache/old", 0o644, b"old\n");
    let middle = Tar::new()
        .file("srv/.wh.first", 0o644, b"")
        .file("srv/second", 0o644, b"upper\n");
    let top = Tar::new()
        .directory("cache", 0o777)
        .file("cache/.wh..wh..opq", 0o644, b"")
        .file("cache/new", 0o644, b"new\n")
        .file("entry", 0o755, b"#!/bin/sh\n");
    [base.bytes(), middle.bytes(), top.bytes()]
}

fn configuration(diffs: &[String]) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/bin/busybox"],
            "Cmd": ["sh", "-c", "echo /srv/* /cache/*; read line <second; echo $line $GREETING $PWD"],
            "Env": ["PATH=/bin", "GREETING=hello"],
            "WorkingDir": "/srv",
            "User": "web",
        },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    })
}

const EXPECTED: &str = "/srv/second /cache/new\nupper hello /srv\n";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("taken");
    encoder.finish().expect("finished")
}

/// Writes a blob and returns its descriptor.
fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).expect("written");
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// Writes an image layout with an index of two platforms in it.
fn write_layout(layout: &Path) {
    fs::create_dir_all(layout.join("blobs/sha256")).expect("made");
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("written");
    let diffs: Vec<String> = layers().iter().map(|layer| digest(layer)).collect();
    let [base, middle, top] = layers();
    let zstd = compress_to_vec(top.as_slice(), CompressionLevel::Fastest);
    let descriptors =
        [("+gzip", gzip(&base)), ("", middle), ("+zstd", zstd)].map(|(suffix, layer)| {
            let media_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
            blob(layout, &media_type, &layer)
        });
    let config = configuration(&diffs).to_string();
    let config = blob(
        layout,
        "application/vnd.oci.image.config.v1+json",
        config.as_bytes(),
    );
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": descriptors });
    let mut ours = blob(
        layout,
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().as_bytes(),
    );
    ours["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let mut other = ours.clone();
    other["platform"] = json!({ "architecture": "arm64", "os": "linux" });
    let inner = json!({ "schemaVersion": 2, "manifests": [other, ours] });
    let mut inner = blob(
        layout,
        "application/vnd.oci.image.index.v1+json",
        inner.to_string().as_bytes(),
    );
    inner["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [inner] });
    fs::write(layout.join("index.json"), index.to_string()).expect("written");
}

#[test]
fn an_image_layout_runs_as_its_configuration_says() {
    let place = Place::new();
    let layout = place.path("layout");
    write_layout(&layout);
    let layout = layout.to_string_lossy().into_owned();
    assert_eq!(place.ok(&["run", "--oci", &layout]), EXPECTED);
    let tagged = format!("{layout}:v1");
    let run = |args: &[&str]| place.ok(&[&["run", "--oci", &tagged], args].concat());
    assert_eq!(run(&["--", "id", "-u"]), "33\n");
    assert_eq!(run(&["--", "id", "-g"]), "34\n");
    assert_eq!(run(&["--user", "0:log", "--", "id", "-g"]), "55\n");
    assert_eq!(run(&["--", "id", "-G"]), "34 55\n");
    assert_eq!(run(&["--user", "33", "--", "id", "-G"]), "34 55\n");
    assert_eq!(run(&["--", "sh", "-c", "echo $HOME"]), "/srv\n");
    let options = [
        "--env",
        "GREETING=bye",
        "-w",
        "/",
        "--",
        "sh",
        "-c",
        "echo $GREETING $PWD",
    ];
    assert_eq!(run(&options), "bye /\n");
    let told = place.json(&["image", "inspect", "--json", &layout]);
    assert_eq!(told["converted"], true);
    assert_eq!(told["layers"].as_array().map(Vec::len), Some(3));
    assert_eq!(told["entrypoint"], json!(["/bin/busybox"]));
    assert_eq!(place.json(&["prune", "--images", "--json"])["images"], 1);
}

#[test]
fn a_named_vm_runs_an_image_as_its_main_program() {
    let place = Place::new();
    let layout = place.path("layout");
    write_layout(&layout);
    place.ok(&["up", "web", "--oci", &layout.to_string_lossy()]);
    assert_eq!(place.output(&["wait", "web"]).status.code(), Some(0));
    assert_eq!(place.ok(&["logs", "-s", "program", "web"]), EXPECTED);
    assert_eq!(
        place.ok(&["exec", "-u", "web", "web", "--", "id", "-u"]),
        "33\n"
    );
}

#[test]
fn what_docker_save_writes_runs_too() {
    let place = Place::new();
    let diffs: Vec<String> = layers().iter().map(|layer| digest(layer)).collect();
    let config = configuration(&diffs).to_string();
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": ["example/web:latest"],
        "Layers": ["0/layer.tar", "1/layer.tar", "2/layer.tar"],
    }]);
    let mut tar = Tar::new()
        .file("manifest.json", 0o644, manifest.to_string().as_bytes())
        .file("config.json", 0o644, config.as_bytes());
    for (index, layer) in layers().iter().enumerate() {
        tar = tar.file(&format!("{index}/layer.tar"), 0o644, layer);
    }
    let saved = place.path("saved.tar");
    let tar = tar.bytes();
    let compressed = place.path("saved.tar.gz");
    fs::write(&compressed, gzip(&tar)).expect("written");
    assert_eq!(
        place.ok(&[
            "run",
            "--oci",
            &compressed.to_string_lossy(),
            "--",
            "echo",
            "gzipped"
        ]),
        "gzipped\n"
    );
    fs::write(&saved, tar).expect("written");
    let saved = saved.to_string_lossy().into_owned();
    assert_eq!(place.ok(&["run", "--oci", &saved]), EXPECTED);
    assert_eq!(
        place.ok(&[
            "run",
            "--oci",
            &format!("{saved}:latest"),
            "--",
            "echo",
            "tagged",
        ]),
        "tagged\n"
    );
    place.fails(
        &["run", "--oci", &format!("{saved}:other")],
        125,
        &["example/web:latest"],
    );
}

#[test]
fn what_is_wrong_with_an_image_is_named() {
    let place = Place::new();
    let layout = place.path("layout");
    write_layout(&layout);
    let name = layout.to_string_lossy().into_owned();
    place.fails(&["run", "--oci", &format!("{name}:v2")], 125, &["v2", "v1"]);
    let blobs = layout.join("blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .expect("readable")
        .flatten()
        .max_by_key(|entry| entry.metadata().expect("there").len())
        .expect("a layer")
        .path();
    let mut bytes = fs::read(&largest).expect("readable");
    bytes[1000] ^= 1;
    fs::write(&largest, &bytes).expect("written");
    place.fails(&["run", "--oci", &name], 125, &["has the digest"]);
    fs::remove_file(&largest).expect("there");
    place.fails(&["run", "--oci", &name], 125, &["No such file"]);
    let empty = place.path("empty");
    fs::create_dir(&empty).expect("new");
    place.fails(
        &["run", "--oci", &empty.to_string_lossy()],
        125,
        &["index.json", "manifest.json"],
    );
    assert_eq!(
        fs::read_dir(place.path("cache/mote")).map_or(0, Iterator::count),
        0
    );
}
