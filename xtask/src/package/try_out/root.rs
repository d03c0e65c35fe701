//! Makes root file systems, and runs commands in them: with the host's /proc and network namespaces, and with a BPF file
//! system of their own, so that pins of other labs are out of sight.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::lab::PUBLIC_INTERFACE;
use testkit::process;

use crate::{made_once, progress};

/// The script that mounts the host's /proc and the root's BPF file system in a root. It takes both paths.
const MOUNT: &str = "\
set -e
root=$1 bpf=$2
shift 2
mount --rbind /proc \"$root/proc\"
mount --rbind /sys \"$root/sys\"
mount --rbind \"$bpf\" \"$root/sys/fs/bpf\"
mkdir -p \"$root/run/netns\"
mount --rbind /run/netns \"$root/run/netns\"";
/// The command that follows `MOUNT`, and runs the remaining words in the root.
const ENTER: &str = "exec chroot \"$root\" \"$@\"";
/// The names of the programs' pins.
const PROGRAMS: [&str; 2] = ["rewrite_egress", "rewrite_ingress"];
/// The folder of rpm's database in a root.
const RPM_DATABASE: &str = "/var/lib/rpm";

/// A root file system. Dropping this value unmounts its BPF file system.
pub struct Root {
    folder: PathBuf,
    bpf: PathBuf,
}

impl Root {
    /// The root file system of a Debian release, from the host's apt sources. It is made once.
    pub fn of_debian(roots: &Path, release: &str) -> Result<Self> {
        let folder = roots.join(release);
        made_once::folder(&folder, |unfinished| {
            let mut command = Command::new("mmdebstrap");
            command.args(["--variant=minbase", "--mode=root", release]).arg(unfinished);
            progress::run(&format!("making a root file system of {release}"), &mut command)
        })?;
        Self::with_bpf(folder)
    }

    /// The root file system of an image with one layer.
    pub fn of_image(roots: &Path, image: &Path) -> Result<Self> {
        let (folder, layout) = (roots.join("image"), roots.join("image.layout"));
        made_once::empty(&folder)?;
        made_once::empty(&layout)?;
        unpack(image, &layout)?;
        let read = |path: PathBuf| -> Result<serde_json::Value> {
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
        };
        let blob = |of: &serde_json::Value| {
            let digest = of["digest"].as_str().unwrap_or_default();
            layout.join("blobs").join(digest.replace(':', "/"))
        };
        let index = read(layout.join("index.json"))?;
        let manifest = read(blob(&index["manifests"][0]))?;
        unpack(&blob(&manifest["layers"][0]), &folder)?;
        // A container's runtime makes these folders.
        for mount in ["proc", "sys", "run", "tmp"] {
            fs::create_dir_all(folder.join(mount)).with_context(|| format!("making /{mount}"))?;
        }
        Self::with_bpf(folder)
    }

    fn with_bpf(folder: PathBuf) -> Result<Self> {
        let bpf = folder.with_extension("bpf");
        fs::create_dir_all(&bpf).with_context(|| format!("making {}", bpf.display()))?;
        process::run(Command::new("mount").args(["-t", "bpf", "rewrite-try"]).arg(&bpf))?;
        Ok(Self { folder, bpf })
    }

    /// The path of a file of the root, as the host sees it.
    pub fn path(&self, within: &str) -> PathBuf {
        self.folder.join(within)
    }

    /// Writes a file below the root.
    pub fn write(&self, within: &str, text: &str) -> Result<()> {
        let path = self.path(within);
        let parent = path.parent().context("a file has a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Runs a command in the root, and returns its output.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("unshare");
        let script = format!("{MOUNT}\n{ENTER}");
        command.args(["--mount", "sh", "-c", &script, "enter"]).args([&self.folder, &self.bpf]);
        process::run(command.args(words).env("LC_ALL", "C"))
    }

    /// Writes a script beside the root that runs the root's `rewrite`, and returns the script's path.
    pub fn wrapper(&self) -> Result<PathBuf> {
        let path = self.folder.with_extension("sh");
        let (root, bpf) = (self.folder.display(), self.bpf.display());
        let script = format!(
            "#!/bin/sh\nexec unshare --mount sh -c '{MOUNT}\n{ENTER}' enter {root} {bpf} /usr/bin/rewrite \"$@\"\n"
        );
        fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .with_context(|| format!("making {} executable", path.display()))?;
        Ok(path)
    }

    /// Removes a file below the root.
    pub fn remove_file(&self, within: &str) -> Result<()> {
        let path = self.path(within);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }

    /// Installs a .deb, also over an installed one, and returns dpkg's output.
    pub fn install_deb(&self, deb: &Path) -> Result<String> {
        let inside = self.path("tmp/rewrite.deb");
        fs::copy(deb, &inside).with_context(|| format!("copying {}", deb.display()))?;
        let printed = self.run(&["dpkg", "--install", "/tmp/rewrite.deb"]);
        self.remove_file("tmp/rewrite.deb")?;
        printed
    }

    /// Runs the host's rpm on the root, and returns its output. The root's mounts are in place for the package's scripts.
    pub fn rpm(&self, words: &[&str], package: Option<&Path>) -> Result<String> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &format!("{MOUNT}\nexec rpm \"$@\""), "rpm"]);
        command.args([&self.folder, &self.bpf]).arg("--root").arg(&self.folder);
        command.args(["--dbpath", RPM_DATABASE, "--nodeps"]).args(words).args(package);
        process::run(command.env("LC_ALL", "C"))
    }

    /// The number of attached interfaces in other network namespaces than the host's.
    pub fn pins(&self) -> usize {
        self.namespaces().len()
    }

    /// The inodes of the programs' pins. A program that replaces another one gets a new pin.
    pub fn programs(&self) -> Result<BTreeSet<u64>> {
        let pins = self.namespaces().into_iter().flat_map(|namespace| {
            PROGRAMS.map(|program| namespace.join(PUBLIC_INTERFACE).join(program))
        });
        pins.map(|pin| {
            let metadata = fs::metadata(&pin);
            Ok(metadata.with_context(|| format!("reading {}", pin.display()))?.ino())
        })
        .collect()
    }

    /// The folders with the pins of other network namespaces than the host's.
    fn namespaces(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.bpf.join("rewrite")) else {
            return Vec::new();
        };
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// The files below the root, and the folders named after rewrite, apart from the package managers' own files.
    pub fn files(&self) -> Result<BTreeSet<String>> {
        let mut find = Command::new("find");
        find.args([".", "-xdev"]);
        for own in ["./var/lib/dpkg", "./var/lib/rpm", "./var/log", "./run/netns"] {
            find.args(["-path", own, "-prune", "-o"]);
        }
        find.args(["(", "-not", "-type", "d", "-o", "-path", "*rewrite*", ")", "-print"]);
        let listed = process::run(find.current_dir(&self.folder))?;
        Ok(listed.lines().map(str::to_owned).collect())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A failure leaves a mount without pins, which the next run covers.
        let _ = process::run(Command::new("umount").arg(&self.bpf));
    }
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(folder);
    process::run(&mut tar).map(drop)
}
