//! Fetches packages from Debian's archive by apt with separate lists and settings: the host's `/etc/apt` and
//! `/var/lib/apt` stay unchanged. The host's apt sources provide the archive's address.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::package::{self, Flavour, Package};
use crate::architecture::Architecture;
use crate::{made_once, progress};

/// The archive's suites with kernels, oldest first.
const SUITES: &str = "bullseye bookworm bookworm-backports trixie trixie-backports";
/// The security archive's suites with kernels, oldest first.
const SECURITY_SUITES: &str = "bullseye-security bookworm-security trixie-security";
/// The file with Debian's archive keys, including the keys of old releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The archive with fetched package lists.
pub struct Archive {
    folder: PathBuf,
    /// The architecture of the packages.
    architecture: Architecture,
    /// apt's messages about suites that apt could not fetch.
    messages: String,
}

impl Archive {
    /// Fetches the lists of the packages for an architecture. The error of [`Self::newest`] names the suites that can't
    /// be fetched.
    ///
    /// # Errors
    /// When the host's apt sources do not include Debian's archive.
    pub fn fetch_lists(folder: &Path, architecture: Architecture) -> Result<Self> {
        for inner in ["sources", "state/lists/partial", "cache/archives/partial"] {
            let inner = folder.join(inner);
            fs::create_dir_all(&inner).with_context(|| format!("creating {}", inner.display()))?;
        }
        let folder = folder.canonicalize().context("finding the folder of apt's lists")?;
        // An empty status file hides the host's packages from apt.
        fs::write(folder.join("state/status"), "").context("writing apt's status")?;
        let sources = sources(&indexes()?)?;
        fs::write(folder.join("sources/debian.sources"), sources)
            .context("writing apt's sources")?;
        let mut archive = Self { folder, architecture, messages: String::new() };
        if let Err(error) = progress::run("apt-get update", archive.apt("apt-get").arg("update")) {
            archive.messages = format!("\n{error:#}");
        }
        Ok(archive)
    }

    /// The architecture of the packages.
    pub const fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The newest kernel of a series, such as `6.1`, and its packages.
    ///
    /// # Errors
    /// When the archive has no such kernel; the error contains apt's messages.
    pub fn newest(&self, series: &str, flavour: Flavour) -> Result<Vec<Package>> {
        let names = self.ask(&["pkgnames", &format!("linux-image-{series}")])?;
        let is_image = |name: &&str| flavour.is_image(self.architecture, name, series);
        let images: Vec<_> = names.lines().filter(is_image).collect();
        let described = if images.is_empty() {
            String::new()
        } else {
            self.ask(&[&["show", "--no-all-versions"], &images[..]].concat())?
        };
        let images = package::parse(&described);
        let Some(image) = images.into_iter().max_by_key(Package::version_numbers) else {
            bail!(
                "Debian's archive has no linux-image-{series}…{} in {SUITES} {SECURITY_SUITES}{}",
                flavour.suffix(self.architecture),
                self.messages
            );
        };
        // From 7.x on, the image package is a metapackage: other packages contain the image and the modules.
        let mut packages = Vec::new();
        for part in image.parts() {
            let found = package::parse(&self.ask(&["show", "--no-all-versions", &part])?);
            packages.extend(found.into_iter().filter(|found| found.version == image.version));
        }
        packages.insert(0, image);
        Ok(packages)
    }

    /// Downloads a package, and unpacks it into a folder.
    ///
    /// # Errors
    /// When the package can't be fetched or unpacked.
    pub fn unpack(&self, package: &Package, into: &Path) -> Result<()> {
        let folder = self.folder.join("downloads");
        made_once::empty(&folder)?;
        let mut download = self.apt("apt-get");
        download
            .args(["download", &format!("{}={}", package.name, package.version)])
            .current_dir(&folder);
        progress::run(&format!("apt-get download {}", package.name), &mut download)?;
        let files: Vec<_> = fs::read_dir(&folder)
            .context("listing the downloads")?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .context("listing the downloads")?;
        let [file] = &files[..] else { bail!("apt-get download left {} files", files.len()) };
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").args([file, into]);
        progress::run(&format!("dpkg -x {}", package.name), &mut unpack)?;
        fs::remove_dir_all(&folder).context("removing the downloads")
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let output = self.apt("apt-cache").args(words).output().context("starting apt-cache")?;
        ensure!(
            output.status.success(),
            "apt-cache {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).context("reading apt-cache's output")
    }

    fn apt(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::State={folder}/state"),
            format!("Dir::State::status={folder}/state/status"),
            format!("Dir::Cache={folder}/cache"),
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={folder}/sources"),
            format!("APT::Architecture={}", self.architecture.debian()),
            format!("APT::Architectures={}", self.architecture.debian()),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The lists of old releases are signed, but their validity has expired.
            "Acquire::Check-Valid-Until=false".to_owned(),
            // Fetch as the current user: apt's sandbox user could not write into this folder.
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.args(["--option", &option]);
        }
        command
    }
}

/// The host's package indexes. Each line contains a repository's address and a release.
fn indexes() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"])
        .output()
        .context("starting apt-get: the kernels come from Debian's archive")?;
    ensure!(
        output.status.success(),
        "apt-get indextargets: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("reading apt-get's output")
}

/// apt sources for the suites with kernels, with the host's repository addresses.
fn sources(indexes: &str) -> Result<String> {
    let repository = |wanted: fn(&str) -> bool| {
        let mut lines = indexes.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(_, release)| wanted(release)).map(|(address, _)| address)
    };
    let main = repository(is_main).context(
        "the host's apt sources name no archive of Debian (a suite bullseye, bookworm, trixie, \
         stable, …), and the kernels come from there",
    )?;
    let security = repository(|release| release.ends_with("-security"));
    let mut text = String::new();
    let both = [(Some(main), SUITES), (security, SECURITY_SUITES)];
    for (address, suites) in both {
        let Some(address) = address else { continue };
        write!(text, "Types: deb\nURIs: {address}\nSuites: {suites}\nComponents: main\n")?;
        if Path::new(KEYRING).exists() {
            writeln!(text, "Signed-By: {KEYRING}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// True if the release belongs to Debian's main archive.
fn is_main(release: &str) -> bool {
    const NAMES: &[&str] =
        &["bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing"];
    NAMES.contains(&release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archives_are_those_of_the_host() {
        let indexes = "\
https://mirror.example/tools nodistro
http://mirror.example/debian/ bookworm
http://mirror.example/debian/ bookworm-updates
http://mirror.example/security/ bookworm-security
";
        let sources = sources(indexes).expect("an archive of Debian");
        let mut stanzas = sources.split("\n\n");
        let main = stanzas.next().expect("a stanza");
        assert!(main.contains("URIs: http://mirror.example/debian/\nSuites: bullseye bookworm "));
        let security = stanzas.next().expect("another");
        assert!(security.contains("URIs: http://mirror.example/security/\n"));
        assert!(security.contains("Suites: bullseye-security "));
    }

    #[test]
    fn a_host_that_is_not_debian_is_refused() {
        let error = sources("http://mirror.example/ubuntu/ noble\n").expect_err("no Debian");
        assert!(error.to_string().contains("no archive of Debian"), "{error}");
    }
}
