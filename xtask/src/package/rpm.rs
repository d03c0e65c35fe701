//! Packs the .rpm by rpmbuild, from a spec file that this file writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::process;

use super::contents::{DESCRIPTION, File, LICENCE, SUMMARY};
use super::formats::{absolute, listed_files, require_contents};
use super::tree::Tree;
use super::{VERSION, packaged};
use crate::architecture::Architecture;

/// The scripts, and their names in a spec file.
const SCRIPTS: [(&str, &str); 3] = [("postinst", "post"), ("prerm", "preun"), ("postrm", "postun")];
/// Settings of rpmbuild: gzip, which rpm has known since before zstd; and no step that changes files, or that adds the
/// machine's name or the present time.
const SETTINGS: [&str; 8] = [
    "_binary_payload w9.gzdio",
    "__os_install_post %{nil}",
    "debug_package %{nil}",
    "_build_id_links none",
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime 1",
    "clamp_mtime_to_source_date_epoch 1",
    "source_date_epoch_from_changelog 0",
];

/// Packs an .rpm for an architecture from `files`, with its tree in `folder`, and returns its path.
pub fn pack(
    architecture: Architecture,
    files: &[File],
    folder: &Path,
    time: u64,
    to: &Path,
) -> Result<PathBuf> {
    let files: Vec<_> = files.iter().filter(|file| !is_debian(file)).map(for_rpm).collect();
    let tree = Tree::write(&folder.join("files"), &files, time)?;
    let top = folder.join("rpmbuild");
    let spec = folder.join("rewrite.spec");
    fs::write(&spec, spec_text(&files, &tree.root)?).context("writing the spec file")?;
    let mut rpm = Command::new("rpmbuild");
    let platform = format!("{}-linux", architecture.name());
    rpm.args(["-bb", "--quiet", "--target", &platform]);
    let top_setting = format!("_topdir {}", top.display());
    let name_setting = "_build_name_fmt rewrite.rpm";
    for setting in SETTINGS.iter().copied().chain([top_setting.as_str(), name_setting]) {
        rpm.args(["--define", setting]);
    }
    process::run(rpm.arg(&spec).env("SOURCE_DATE_EPOCH", time.to_string()))?;
    fs::copy(top.join("RPMS/rewrite.rpm"), to)
        .with_context(|| format!("writing {}", to.display()))?;
    let mut list = Command::new("rpm");
    list.args(["--query", "--package", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]"]);
    let listed = process::run(list.arg(absolute(to)?))?;
    require_contents(to, &listed_files(&listed, " /"), &files)?;
    Ok(to.to_owned())
}

/// The spec file of a package with `files`, which lie below `root`.
fn spec_text(files: &[File], root: &Path) -> Result<String> {
    let description = DESCRIPTION.join("\n");
    let mut spec = format!(
        "Name: rewrite\nVersion: {VERSION}\nRelease: 1\nSummary: {SUMMARY}\nLicense: {LICENCE}\n\
         AutoReqProv: no\nSuggests: nftables\n\n%description\n{description}\n\n\
         %install\ncp --archive {}/. %{{buildroot}}\n",
        root.display()
    );
    for (name, section) in SCRIPTS {
        let path = packaged("scripts").join(name);
        let script = fs::read_to_string(&path);
        let script = script.with_context(|| format!("reading {}", path.display()))?;
        // rpmbuild expands macros, which begin with a per cent sign, in scripts.
        spec += &format!("\n%{section}\n{}", script.replace('%', "%%"));
    }
    spec += "\n%files\n%defattr(-,root,root,-)\n";
    for folder in own_folders(files) {
        spec += &format!("%dir /{folder}\n");
    }
    for file in files {
        let keep = if file.is_configuration() { "%config(noreplace) " } else { "" };
        spec += &format!("{keep}/{}\n", file.path);
    }
    Ok(spec)
}

/// The folders that belong to the package alone: those with the name `rewrite`, and the folders in them.
fn own_folders(files: &[File]) -> BTreeSet<String> {
    let parents = files.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1));
    let is_own = |folder: &&Path| folder.iter().any(|name| name == "rewrite");
    parents.filter(is_own).map(|folder| folder.display().to_string()).collect()
}

/// True for a file that has a meaning for Debian's tools only.
fn is_debian(file: &File) -> bool {
    file.path.starts_with("usr/share/lintian") || file.path.ends_with("/changelog.gz")
}

/// The file at its path in the .rpm: Fedora's zsh looks elsewhere for completions than Debian's.
fn for_rpm(file: &File) -> File {
    let path = file.path.replace("zsh/vendor-completions", "zsh/site-functions");
    File { path, ..file.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_keeps_a_changed_configuration_file() {
        let file = File::text("etc/rewrite/cluster.toml.example", String::new());
        let spec = spec_text(&[file], Path::new("/tree")).expect("a spec file");
        assert!(
            spec.contains("\n%config(noreplace) /etc/rewrite/cluster.toml.example\n"),
            "{spec}"
        );
    }

    #[test]
    fn the_list_of_a_package_has_its_files_and_not_its_folders() {
        let listed = "drwxr-xr-x /etc/rewrite\n-rwxr-xr-x /usr/bin/rewrite\n";
        assert_eq!(listed_files(listed, " /"), ["usr/bin/rewrite"]);
    }

    #[test]
    fn the_package_owns_its_folders_and_no_folder_of_the_host() {
        let file = File::text("usr/share/rewrite/grafana/rewrite.json", String::new());
        let folders: Vec<_> = own_folders(&[file]).into_iter().collect();
        assert_eq!(folders, ["usr/share/rewrite", "usr/share/rewrite/grafana"]);
    }

    #[test]
    fn a_file_for_debian_is_left_out() {
        assert!(is_debian(&File::text("usr/share/lintian/overrides/rewrite", String::new())));
        assert!(!is_debian(&File::text("usr/bin/rewrite", String::new())));
    }
}
