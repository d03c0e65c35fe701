//! Packs the .deb by dpkg-deb, from the files and control data that this file writes, and checks it by lintian.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testkit::process;

use super::binary::Linkage;
use super::contents::{DESCRIPTION, File, SUMMARY};
use super::formats::{listed_files, require_contents};
use super::tree::Tree;
use super::{VERSION, packaged};
use crate::architecture::Architecture;

/// A name, and no person: the repository from which a reader has the package is the way to its maintainers.
const MAINTAINER: &str = "maintainers of rewrite <rewrite@localhost>";
/// The scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// The tags of lintian that a binary linked with the host's libc adds: the package depends on nothing.
const TAGS_OF_HOST_LIBC: &str = "undeclared-elf-prerequisites,missing-dependency-on-libc";

/// Packs a .deb for an architecture from `files`, with its tree in `folder`, and returns its path.
pub fn pack(
    architecture: Architecture,
    files: &[File],
    folder: &Path,
    time: u64,
    to: &Path,
) -> Result<PathBuf> {
    let tree = Tree::write(folder, files, time)?;
    let mut md5sum = Command::new("md5sum");
    md5sum.arg("--").args(files.iter().map(|file| &file.path)).current_dir(&tree.root);
    let sums = process::run(&mut md5sum)?;
    let configuration = files.iter().filter(|file| file.is_configuration());
    let conffiles = configuration.map(|file| format!("/{}\n", file.path)).collect();
    let mut control_files = vec![
        File::text("DEBIAN/control", control(architecture, files)),
        File::text("DEBIAN/md5sums", sums),
        File::text("DEBIAN/conffiles", conffiles),
    ];
    for script in SCRIPTS {
        let path = packaged("scripts").join(script);
        control_files.push(File::program(format!("DEBIAN/{script}"), &path)?);
    }
    tree.add(&control_files)?;
    let mut deb = Command::new("dpkg-deb");
    deb.args(["--root-owner-group", "-Zxz", "--build"])
        .args([&tree.root, to])
        .env("SOURCE_DATE_EPOCH", time.to_string());
    process::run(&mut deb)?;
    let listed = process::run(Command::new("dpkg-deb").arg("--contents").arg(to))?;
    require_contents(to, &listed_files(&listed, " ./"), files)?;
    Ok(to.to_owned())
}

/// Fails if lintian finds an error or a warning.
pub fn check(deb: &Path, linkage: Linkage) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"]);
    if linkage == Linkage::Host {
        lintian.args(["--suppress-tags", TAGS_OF_HOST_LIBC]);
    }
    let output = lintian.arg(deb).output().context("starting lintian")?;
    let findings = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "lintian finds in {}:\n{findings}{}",
        deb.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("lintian finds no error and no warning in {}", deb.display());
    Ok(())
}

/// The control file. The binary is static, so the package depends on nothing.
fn control(architecture: Architecture, files: &[File]) -> String {
    // dpkg counts in units of 1024 bytes, and each file as whole units.
    let size: usize = files.iter().map(|file| file.bytes.len().div_ceil(1024)).sum();
    let description: String = DESCRIPTION.iter().map(|line| format!(" {line}\n")).collect();
    format!(
        "Package: rewrite\nVersion: {VERSION}\nArchitecture: {}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {size}\nSection: net\nPriority: optional\nSuggests: nftables | iptables\n\
         Description: {SUMMARY}\n{description}",
        architecture.debian()
    )
}

/// A changelog in Debian's format. It refers to the file `NEWS.gz`, which has the changes in users' words.
pub fn changelog(time: u64) -> Result<String> {
    let mut date = Command::new("date");
    date.args(["--utc", "--rfc-email", &format!("--date=@{time}")]).env("LC_ALL", "C");
    let date = process::run(&mut date)?;
    Ok(format!(
        "rewrite ({VERSION}) unstable; urgency=medium\n\n  * NEWS.gz lists the changes.\n\n -- {MAINTAINER}  {}\n",
        date.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_a_package_has_its_files_and_not_its_folders() {
        let listed = "drwxr-xr-x 0/0       0 2026-11-30 11:21 ./usr/\n\
                      -rwxr-xr-x 0/0 9123456 2026-11-30 11:21 ./usr/bin/rewrite\n";
        assert_eq!(listed_files(listed, " ./"), ["usr/bin/rewrite"]);
    }

    #[test]
    fn the_control_file_counts_each_file_in_whole_units_of_1024_bytes() {
        let files = [File::text("a", "x".into()), File::text("b", "x".repeat(1025))];
        let control = control(Architecture::X86_64, &files);
        assert!(control.contains("\nInstalled-Size: 3\n"), "{control}");
    }

    #[test]
    fn dpkg_learns_the_architecture_by_debians_name() {
        let control = control(Architecture::Aarch64, &[]);
        assert!(control.contains("\nArchitecture: arm64\n"), "{control}");
    }

    #[test]
    fn the_changelog_has_the_time_of_the_commit() {
        let changelog = changelog(1_796_040_114).expect("a changelog");
        assert!(changelog.contains("Mon, 30 Nov 2026 12:01:54 +0000"), "{changelog}");
    }
}
