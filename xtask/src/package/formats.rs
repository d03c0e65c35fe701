//! Packs a tree as tar.gz, compresses bytes, and compares the files of a package with the files that it shall have.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::VERSION;
use super::binary::PackagedBinary;
use super::contents::File;
use super::tree::Tree;

/// Packs a tar.gz with one folder at the top, and returns its path.
pub fn tarball(tree: &Tree, to: &Path) -> Result<PathBuf> {
    let top = format!("s,^\\./,rewrite-{VERSION}/,");
    let archive = archive(tree, &["--transform", &top, "."])?;
    write(to, &gzip(&archive)?)
}

/// Compresses the file with the symbols, and returns the path of the result.
pub fn symbols(binary: &PackagedBinary, to: &Path) -> Result<PathBuf> {
    let symbols = fs::read(&binary.symbols);
    let symbols = symbols.with_context(|| format!("reading {}", binary.symbols.display()))?;
    write(to, &gzip(&symbols)?)
}

/// An archive of `words`, which are tar's options and names, in the tree: sorted, owned by root, with one time.
pub fn archive(tree: &Tree, words: &[&str]) -> Result<Vec<u8>> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--sort=name", "--owner=root:0", "--group=root:0"])
        .args(["--numeric-owner", "--mode=u=rwX,go=rX"])
        .arg(format!("--mtime=@{}", tree.time))
        .arg("--directory")
        .arg(&tree.root)
        .args(words);
    let output = tar.output().with_context(|| format!("starting {tar:?}"))?;
    ensure!(output.status.success(), "{tar:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Compresses bytes by gzip, without a name and a time.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut gzip = gzip.spawn().context("starting gzip")?;
    let mut input = gzip.stdin.take().context("gzip has no input")?;
    let output = std::thread::scope(|scope| {
        // gzip writes while it reads: a second thread keeps both pipes moving.
        let writer = scope.spawn(move || input.write_all(bytes));
        let output = gzip.wait_with_output().context("reading gzip's output");
        writer.join().map_err(|_| anyhow::anyhow!("the thread that writes to gzip panicked"))??;
        output
    })?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}

/// Fails if the paths in `package` are not the paths of `files`.
pub fn require_contents(package: &Path, packed: &[&str], files: &[File]) -> Result<()> {
    let wanted: BTreeSet<_> = files.iter().map(|file| file.path.as_str()).collect();
    let packed: BTreeSet<_> = packed.iter().copied().collect();
    let missing: Vec<_> = wanted.difference(&packed).collect();
    let added: Vec<_> = packed.difference(&wanted).collect();
    ensure!(
        missing.is_empty() && added.is_empty(),
        "{} lacks {missing:?} and adds {added:?}",
        package.display()
    );
    Ok(())
}

/// The files in the list of a package, which shows the mode first and the path last, with `root` before the path.
pub fn listed_files<'a>(list: &'a str, root: &str) -> Vec<&'a str> {
    let files = list.lines().filter(|line| !line.starts_with('d'));
    files.filter_map(|line| line.split_once(root).map(|(_, path)| path)).collect()
}

fn write(to: &Path, bytes: &[u8]) -> Result<PathBuf> {
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))?;
    Ok(to.to_owned())
}

/// The absolute path.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_file_and_with_another_one_is_refused() {
        let files = [File::text("usr/bin/rewrite", String::new())];
        let check = |packed: &[&str]| require_contents(Path::new("p.deb"), packed, &files);
        assert!(check(&["usr/bin/rewrite"]).is_ok());
        let error = check(&["usr/bin/other"]).expect_err("two differences").to_string();
        assert!(error.contains("lacks [\"usr/bin/rewrite\"]"), "{error}");
        assert!(error.contains("adds [\"usr/bin/other\"]"), "{error}");
    }

    #[test]
    fn equal_bytes_are_compressed_to_equal_bytes() {
        let bytes = b"rewrite ".repeat(1 << 16);
        let compressed = gzip(&bytes).expect("gzip runs");
        assert!(compressed.len() < bytes.len() / 10);
        assert_eq!(compressed, gzip(&bytes).expect("gzip runs"));
    }
}
