//! Makes three hosts that Ansible manages: each has a network namespace of the lab, and its own /etc, /usr and /var. A
//! cable joins their private addresses.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use testkit::lab::{FourHosts, SECOND_INTERFACE};
use testkit::process;
use testkit::rewrite_command::Rewrite;

use crate::scenario::{Ended, end};

/// The number of hosts. The lab's fourth host stays unused.
pub const HOSTS: usize = 3;
const PLAYBOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/ansible");
/// The time limit of a play, in seconds.
const LIMIT: &str = "500";

/// The script of a host's one process. It covers the machine's folders by overlays, whose changes are in memory and in
/// the folder $1, prints "ready", and ends with the test.
const INIT: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
for folder in /etc /usr /var; do
    mkdir -p "$1/upper$folder" "$1/work$folder"
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=$1/upper$folder,workdir=$1/work$folder" "$folder"
done
rm -rf /etc/rewrite /usr/bin/rewrite
echo ready
exec cat >/dev/null
"#;

/// Three hosts without rewrite, and a folder for files.
pub struct Machines {
    lab: FourHosts,
    rewrite: Rewrite,
    processes: Vec<Child>,
    files: TempDir,
}

impl Machines {
    pub fn boot() -> Result<Self> {
        let mut machines = Self {
            rewrite: Rewrite::locate()?,
            lab: FourHosts::new("ct")?,
            processes: Vec::new(),
            files: TempDir::new().context("make a folder for files")?,
        };
        for (host, name) in machines.lab.hosts[..HOSTS].iter().zip(FourHosts::NAMES) {
            let folder = machines.files.path().join(name);
            let changes = folder.join("changes");
            fs::create_dir_all(&changes).context("make a host's folder")?;
            let mut process = host
                .command("unshare")
                .args(["--mount", "sh", "-c", INIT, "init"])
                .arg(&changes)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("start a host's process")?;
            let stdout = process.stdout.take().context("no standard output")?;
            // nsenter and unshare become the shell: its process ID is the child's.
            let shell = format!(
                "#!/bin/sh\nexec nsenter --target {} --mount --net /bin/sh \"$@\"\n",
                process.id()
            );
            machines.processes.push(process);
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).context("wait for a host")?;
            ensure!(line == "ready\n", "{name} says {line:?}");
            let path = folder.join("sh");
            fs::write(&path, shell).context("write a host's shell")?;
            fs::set_permissions(&path, Permissions::from_mode(0o755)).context("its mode")?;
        }
        for (host, private) in machines.lab.hosts[..HOSTS].iter().zip(FourHosts::PRIVATE) {
            let address = format!("{private}/24");
            host.run(&["ip", "address", "add", &address, "dev", SECOND_INTERFACE])?;
        }
        machines.pack()?;
        Ok(machines)
    }

    /// Runs a shell command on a host, and returns its output.
    pub fn run(&self, host: usize, line: &str) -> Result<String> {
        let shell = self.path(FourHosts::NAMES[host]).join("sh");
        process::run(Command::new(shell).args(["-c", line]))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Puts the binary without its debug information beside the files, and a Debian package of it.
    fn pack(&self) -> Result<()> {
        let (binary, tree) = (self.path("rewrite"), self.path("package"));
        process::run(
            Command::new("objcopy").arg("--strip-all").arg(self.rewrite.binary()).arg(&binary),
        )?;
        for folder in ["DEBIAN", "usr/bin"] {
            fs::create_dir_all(tree.join(folder)).context("make a folder of the package")?;
        }
        fs::write(tree.join("DEBIAN/control"), control()?).context("describe the package")?;
        // The copy keeps the mode.
        fs::copy(&binary, tree.join("usr/bin/rewrite")).context("copy the binary")?;
        let package = self.path("rewrite_0.1.0.deb");
        let build = ["--build", "--root-owner-group", "-Znone"];
        process::run(Command::new("dpkg-deb").args(build).arg(&tree).arg(&package))?;
        Ok(())
    }

    /// Runs a playbook with this text as the cluster file of all hosts. The first host gets the package, the others get
    /// the binary.
    pub fn play(&self, playbook: &str, cluster: &str) -> Result<Ended> {
        fs::write(self.path("cluster.toml"), cluster).context("write the cluster file")?;
        let inventory = self.path("inventory.yml");
        fs::write(&inventory, inventory_text(self.files.path())).context("write the inventory")?;
        end(Command::new("timeout")
            .args([LIMIT, "ansible-playbook", "--inventory"])
            .arg(&inventory)
            .arg(Path::new(PLAYBOOKS).join(playbook))
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_LOCAL_TEMP", self.path("control"))
            .env("ANSIBLE_REMOTE_TEMP", self.path("remote")))
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The package's control file, with the machine's architecture.
fn control() -> Result<String> {
    let architecture = process::run(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(format!(
        "Package: rewrite\nVersion: 0.1.0\nArchitecture: {}\nMaintainer: test <test@localhost>\n\
         Description: test\n",
        architecture.trim()
    ))
}

fn inventory_text(files: &Path) -> String {
    let files = files.display();
    let [first, second, third, _] = FourHosts::NAMES;
    format!(
        "rewrite:
  hosts:
    {first}: {{rewrite_package: {files}/rewrite_0.1.0.deb}}
    {second}: {{rewrite_binary: {files}/rewrite}}
    {third}: {{rewrite_binary: {files}/rewrite}}
  vars:
    ansible_connection: local
    ansible_python_interpreter: /usr/bin/python3
    ansible_shell_executable: '{files}/{{{{ inventory_hostname }}}}/sh'
    rewrite_cluster_file: {files}/cluster.toml
"
    )
}
