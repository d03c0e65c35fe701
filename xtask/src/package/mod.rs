//! Builds the packages: a static binary, and around it a .deb, an .rpm, a tar.gz and an OCI image, all with the same
//! files. [`contents`] lists the files once; docs/decisions/0058-packages.md has the reasons.

mod binary;
mod contents;
mod deb;
mod formats;
mod image;
mod licences;
mod reproducible;
mod rpm;
mod tree;
pub mod try_out;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::architecture::Architecture;
use crate::setup::Purpose;
use crate::{lock, workspace};

use binary::{Linkage, PackagedBinary};
use tree::Tree;

/// The packages' version: all crates of the workspace have it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The packages to build.
#[derive(Debug)]
pub enum Request {
    /// The packages to publish, with the static binary.
    Static {
        /// The architecture of the hosts that run the binary.
        architecture: Architecture,
        /// The folder for the packages.
        out: PathBuf,
        /// Build a second time, and compare.
        check_reproducible: bool,
    },
    /// Packages with the binary of `cargo xtask build`: a check of contents and scripts without a static build.
    OfHost,
}

impl Request {
    /// The requirements of the build.
    pub fn purposes(&self) -> Vec<Purpose> {
        let mut purposes = vec![Purpose::Build, Purpose::Package];
        if let Self::Static { architecture, .. } = self {
            purposes.push(Purpose::StaticBinary(*architecture));
        }
        purposes
    }
}

/// The paths of the packages.
#[derive(Debug)]
pub struct Packages {
    /// The architecture of the hosts that run the binary.
    pub architecture: Architecture,
    /// The .deb.
    pub deb: PathBuf,
    /// The .rpm.
    pub rpm: PathBuf,
    /// The tar.gz.
    pub tarball: PathBuf,
    /// The OCI image, if the binary runs without a libc in the image.
    pub image: Option<PathBuf>,
    /// The symbols of the binary.
    pub symbols: PathBuf,
}

impl Packages {
    /// All paths.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let all = [&self.deb, &self.rpm, &self.tarball, &self.symbols];
        all.into_iter().chain(&self.image)
    }
}

/// Builds and checks the packages, and prints their paths and sizes.
pub fn run(request: &Request) -> Result<Packages> {
    let _lock = lock::take("package")?;
    let folder = workspace().join("target/package");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let time = binary::time_of_last_commit()?;
    let packages = match request {
        Request::Static { architecture, out, check_reproducible } => {
            let build = folder.join("build");
            let binary = PackagedBinary::build_static(*architecture, &build, time)?;
            let packages = pack(&binary, &folder, out, time)?;
            if *check_reproducible {
                reproducible::check(*architecture, &packages, &folder, time)?;
            }
            packages
        }
        Request::OfHost => {
            let folder = folder.join("of-host");
            pack(&PackagedBinary::of_host(&folder)?, &folder, &folder.join("out"), time)?
        }
    };
    for package in packages.paths() {
        let size = fs::metadata(package).map(|file| file.len());
        let size = size.with_context(|| format!("reading {}", package.display()))?;
        println!("{:>9}  {}", size, package.display());
    }
    Ok(packages)
}

/// Packs `binary`, with intermediate files in `folder`, and returns the paths of the packages in `out`.
fn pack(binary: &PackagedBinary, folder: &Path, out: &Path, time: u64) -> Result<Packages> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let files = contents::files(binary, folder, time)?;
    let tree = Tree::write(&folder.join("tree"), &files, time)?;
    let architecture = binary.architecture;
    let named =
        |ending: &str| out.join(format!("rewrite-{VERSION}-{}.{ending}", architecture.name()));
    let deb = out.join(format!("rewrite_{VERSION}_{}.deb", architecture.debian()));
    let packages = Packages {
        architecture,
        deb: deb::pack(architecture, &files, &folder.join("deb"), time, &deb)?,
        rpm: rpm::pack(architecture, &files, &folder.join("rpm"), time, &named("rpm"))?,
        tarball: formats::tarball(&tree, &named("tar.gz"))?,
        image: match binary.linkage {
            Linkage::Static => {
                let layout = folder.join("image");
                Some(image::write(architecture, &tree, &layout, &named("oci.tar"))?)
            }
            Linkage::Host => None,
        },
        symbols: formats::symbols(binary, &named("debug.gz"))?,
    };
    deb::check(&packages.deb, binary.linkage)?;
    Ok(packages)
}

/// The path of a file in the folder `packaging`.
fn packaged(name: &str) -> PathBuf {
    workspace().join("packaging").join(name)
}
