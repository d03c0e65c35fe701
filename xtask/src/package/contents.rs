//! Lists the files of the packages, once for all formats.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::binary::PackagedBinary;
use super::formats::gzip;
use super::{deb, licences, packaged};
use crate::{cargo, made_once, workspace};

/// The packages' description in a line.
pub const SUMMARY: &str = "keep a cluster's private addresses over any network";
/// The description, in lines of at most 79 characters.
pub const DESCRIPTION: [&str; 4] = [
    "rewrite lets the hosts of a cluster keep the private addresses that their",
    "software has baked in, while the packets between them travel as plain packets",
    "between public addresses. eBPF programs swap both addresses of every packet in",
    "the kernel, without encapsulation.",
];
/// The licence of the sources, as an SPDX expression.
pub const LICENCE: &str = "MIT OR Apache-2.0";

const DOC: &str = "usr/share/doc/rewrite";
const HOOKS: &str = "usr/lib/rewrite/hooks";

/// A file of the packages.
#[derive(Clone, Debug)]
pub struct File {
    /// The path on the host, without the first `/`.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// True for programs and scripts.
    pub is_executable: bool,
}

impl File {
    /// A program or script, read from `from`.
    pub fn program(path: impl Into<String>, from: &Path) -> Result<Self> {
        Ok(Self { path: path.into(), bytes: read(from)?, is_executable: true })
    }

    /// A file that is no program, read from `from`.
    pub fn plain(path: impl Into<String>, from: &Path) -> Result<Self> {
        Ok(Self { path: path.into(), bytes: read(from)?, is_executable: false })
    }

    /// A text.
    pub fn text(path: impl Into<String>, text: String) -> Self {
        Self { path: path.into(), bytes: text.into_bytes(), is_executable: false }
    }

    /// A file that gzip compresses, with `.gz` after its path.
    pub fn compressed(path: &str, bytes: &[u8]) -> Result<Self> {
        let bytes = gzip(bytes).with_context(|| format!("compressing {path}"))?;
        Ok(Self { path: format!("{path}.gz"), bytes, is_executable: false })
    }

    /// True if an upgrade keeps the operator's changes.
    pub fn is_configuration(&self) -> bool {
        self.path.starts_with("etc/")
    }
}

/// The files, sorted by path, with `binary` as the command. Generated ones are written below `folder` first.
pub fn files(binary: &PackagedBinary, folder: &Path, time: u64) -> Result<Vec<File>> {
    let news = read(&workspace().join("CHANGELOG.md"))?;
    let mut files = vec![
        File::program("usr/bin/rewrite", &binary.path)?,
        File::program("usr/lib/rewrite/attach-again", &packaged("hooks/attach-again"))?,
        File::program(format!("{HOOKS}/ifupdown/rewrite"), &packaged("hooks/ifupdown/rewrite"))?,
        File::text(format!("{DOC}/licences-of-crates.txt"), licences::text(binary.architecture)?),
        File::compressed(&format!("{DOC}/changelog"), deb::changelog(time)?.as_bytes())?,
        File::compressed(&format!("{DOC}/NEWS"), &news)?,
    ];
    for (to, from) in [
        ("usr/lib/systemd/system/rewrite@.service", "systemd/rewrite@.service"),
        ("etc/rewrite/cluster.toml.example", "etc/cluster.toml.example"),
        ("usr/share/rewrite/cluster.schema.json", "cluster.schema.json"),
        ("usr/share/rewrite/NetworkManager.conf", "hooks/NetworkManager/rewrite.conf"),
        ("usr/share/rewrite/prometheus/rewrite.rules.yml", "prometheus/rewrite.rules.yml"),
        ("usr/share/rewrite/grafana/rewrite.json", "grafana/rewrite.json"),
        ("usr/share/doc/rewrite/examples/rewrite.nft", "nftables/rewrite.nft"),
        ("usr/share/doc/rewrite/copyright", "debian/copyright"),
        ("usr/share/lintian/overrides/rewrite", "debian/lintian-overrides"),
    ] {
        files.push(File::plain(to, &packaged(from))?);
    }
    for manager in ["NetworkManager", "networkd-dispatcher"] {
        let script = packaged(&format!("hooks/{manager}/50-rewrite"));
        files.push(File::program(format!("{HOOKS}/{manager}/50-rewrite"), &script)?);
    }
    for (folder, to) in [("docs", DOC.to_owned()), ("docs/decisions", format!("{DOC}/decisions"))] {
        for path in files_in(&workspace().join(folder))? {
            files.push(File::plain(format!("{to}/{}", name(&path)), &path)?);
        }
    }
    let reference = folder.join("reference");
    write_reference(&reference)?;
    for page in files_in(&reference.join("man"))? {
        let to = format!("usr/share/man/man8/{}", name(&page));
        files.push(File::compressed(&to, &read(&page)?)?);
    }
    for (script, to) in [
        ("rewrite", "usr/share/bash-completion/completions"),
        ("_rewrite", "usr/share/zsh/vendor-completions"),
        ("rewrite.fish", "usr/share/fish/vendor_completions.d"),
    ] {
        let path = reference.join("completions").join(script);
        files.push(File::plain(format!("{to}/{script}"), &path)?);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Runs the crate `reference`, which links the library of tunnel-user, in a folder without former files. The build is
/// the developer's usual one: the texts depend on no option of the compiler.
fn write_reference(folder: &Path) -> Result<()> {
    made_once::remove_former(folder)?;
    let mut reference = cargo::command();
    reference.args(["run", "--quiet", "--locked", "--package", "reference", "--"]);
    cargo::run(reference.arg(folder))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files directly in a folder, sorted.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths = paths.collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.with_context(|| format!("reading {}", folder.display()))?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}
