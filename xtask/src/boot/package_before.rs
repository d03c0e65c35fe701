//! Packs the previous version as a package: the scripts and documents of today's package around the previous binary and
//! unit.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::process;

use crate::{made_once, previous};

/// A version before every version that is published.
const VERSION: &str = "0.0.1";
/// The unit's path in the repository, and in the package.
const UNIT: (&str, &str) =
    ("packaging/systemd/rewrite@.service", "usr/lib/systemd/system/rewrite@.service");

/// Packs the previous version into `to`, with the package's tree in `folder`.
pub fn pack(today: &Path, folder: &Path, to: &Path) -> Result<()> {
    let binary = previous::binary()?;
    made_once::remove_former(folder)?;
    process::run(Command::new("dpkg-deb").arg("--raw-extract").args([today, folder]))?;
    let in_package = |path: &str| folder.join(path);
    process::run(Command::new("strip").arg("-o").arg(in_package("usr/bin/rewrite")).arg(&binary))?;
    fs::write(in_package(UNIT.1), previous::file(UNIT.0)?).context("writing the former unit")?;
    let control = in_package("DEBIAN/control");
    let text = fs::read_to_string(&control).context("reading the control file")?;
    let text = with_version(&text);
    fs::write(&control, text).context("writing the control file")?;
    fs::remove_file(in_package("DEBIAN/md5sums")).context("removing the former sums")?;
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).args([folder, to]);
    process::run(&mut build).map(drop)
}

/// The control file with the former version.
fn with_version(control: &str) -> String {
    let line = |line: &str| match line.strip_prefix("Version:") {
        Some(_) => format!("Version: {VERSION}\n"),
        None => format!("{line}\n"),
    };
    control.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_of_the_control_file_changes() {
        let control = "Package: rewrite\nVersion: 0.1.0\nArchitecture: amd64\n";
        let wanted = "Package: rewrite\nVersion: 0.0.1\nArchitecture: amd64\n";
        assert_eq!(with_version(control), wanted);
    }
}
