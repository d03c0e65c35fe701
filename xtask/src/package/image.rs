//! Writes an OCI image as a tar archive of an image layout: one layer with the binary and the licences, and nothing else.
//!
//! The formats are those of the OCI image specification 1.0: image-layout.md, manifest.md, config.md, image-index.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::process;

use super::VERSION;
use super::contents::LICENCE;
use super::formats::{archive, gzip};
use super::tree::Tree;
use crate::architecture::Architecture;
use crate::made_once;

/// The files of the layer. A static binary needs no other file.
const FILES: [&str; 3] = [
    "usr/bin/rewrite",
    "usr/share/doc/rewrite/copyright",
    "usr/share/doc/rewrite/licences-of-crates.txt",
];

/// Writes the image for an architecture, with its layout in `layout` first, and returns the path of the archive.
pub fn write(architecture: Architecture, tree: &Tree, layout: &Path, to: &Path) -> Result<PathBuf> {
    made_once::remove_former(layout)?;
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;
    let layer = archive(tree, &FILES)?;
    let config = config(architecture, &digest(&layer), tree)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(&blobs, "application/vnd.oci.image.config.v1+json", &to_bytes(&config)?)?,
        "layers": [blob(&blobs, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&layer)?)?],
    });
    let mut described =
        blob(&blobs, "application/vnd.oci.image.manifest.v1+json", &to_bytes(&manifest)?)?;
    described["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
    let index = json!({ "schemaVersion": 2, "manifests": [described] });
    put(&layout.join("index.json"), &to_bytes(&index)?)?;
    put(&layout.join("oci-layout"), &to_bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
    let image = Tree { root: layout.to_owned(), ..Tree::clone(tree) };
    put(to, &archive(&image, &["oci-layout", "index.json", "blobs"])?)?;
    Ok(to.to_owned())
}

fn config(architecture: Architecture, layer: &str, tree: &Tree) -> Result<Value> {
    let mut date = Command::new("date");
    date.args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", &format!("--date=@{}", tree.time)]);
    Ok(json!({
        "created": process::run(&mut date)?.trim(),
        "architecture": architecture.debian(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/rewrite"],
            "Cmd": ["--help"],
            "Labels": {
                "org.opencontainers.image.title": "rewrite",
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.licenses": LICENCE,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
    }))
}

/// Writes a blob under the name of its digest, and returns its descriptor.
fn blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    put(&blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

/// The digest of bytes, as the specification writes it: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn to_bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("printing JSON")
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_specification_of_sha256() {
        // FIPS 180-2, appendix B.1.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), expected);
    }

    #[test]
    fn a_container_runtime_learns_the_architecture_of_the_binary() {
        let tree = Tree { root: PathBuf::new(), time: 0 };
        let config = config(Architecture::Aarch64, &digest(b"layer"), &tree).expect("a config");
        // The names are Go's: config.md of the specification, property `architecture`.
        assert_eq!(config["architecture"], "arm64");
    }
}
