//! Builds the binary and the packages a second time, in other folders, and compares them byte for byte.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::binary::PackagedBinary;
use super::image::digest;
use super::{Packages, pack};
use crate::architecture::Architecture;
use crate::made_once;

/// Fails if a second build for an architecture differs from `packages`. `folder` is the folder of the first build's
/// intermediate files.
pub fn check(
    architecture: Architecture,
    packages: &Packages,
    folder: &Path,
    time: u64,
) -> Result<()> {
    let again = folder.join("again");
    made_once::remove_former(&again)?;
    let out = again.join("out");
    let binary = PackagedBinary::build_static(architecture, &again.join("build"), time)?;
    let second = pack(&binary, &again, &out, time)?;
    let mut different = Vec::new();
    for (first, second) in packages.paths().zip(second.paths()) {
        let (one, two) = (digest_of(first)?, digest_of(second)?);
        if one == two {
            println!("the same bytes twice: {}  {}", one, first.display());
        } else {
            different.push(format!("{} and {}", first.display(), second.display()));
        }
    }
    ensure!(
        different.is_empty(),
        "two builds differ: {}\n  help: compare their contents, with diffoscope for example",
        different.join("; ")
    );
    Ok(())
}

fn digest_of(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(digest(&bytes))
}
