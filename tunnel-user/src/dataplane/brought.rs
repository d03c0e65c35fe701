//! Keeps a copy in /run of the changes that attach made to the host, and the path of the attached file. The pinned maps
//! hold the original records of the changes; if somebody has removed pins, detach undoes the changes with the help of
//! this copy.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::settings::Settings;

use super::pins::{self, Folder};
use super::record::padded;
use crate::host::network_namespace::{self, NetworkNamespace};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};
use crate::model::Private;
use crate::plan::digest::DIGEST_LEN;

/// The ending of the file's name, after the interface's name.
const ENDING: &str = ".brought.json";

/// The changes that attach made to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The cookie of the network namespace; `None` on kernels without cookies.
    pub namespace: Option<u64>,
    /// The interface's index.
    pub interface_index: u32,
    /// The code of the tc hook; 0 while an attach is under way.
    pub hook: u8,
    /// The code of the ingress program's hook.
    pub ingress: u8,
    /// True if attach added the clsact qdisc.
    pub clsact_added: bool,
    /// The interface's arp_announce from before the attach, if attach changed the value.
    pub arp_announce_before: Option<u8>,
    /// The interface's arp_ignore from before the attach, if attach changed the value.
    pub arp_ignore_before: Option<u8>,
    /// The private addresses that attach added to the loopback interface.
    pub addresses: BTreeSet<String>,
    /// The absolute path of the file of the last attach; `None` if the attach has not ended, or an older version wrote
    /// the copy.
    #[serde(default)]
    pub config: Option<String>,
}

impl Brought {
    /// The copy for the interface in `folder`; `None` if there is no copy, or the copy can't be read.
    #[must_use]
    pub fn of(folder: &Folder) -> Option<Self> {
        let path = path(folder);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text,
        };
        match text.and_then(|text| Ok(serde_json::from_slice(&text)?)) {
            Ok(brought) => Some(brought),
            Err(error) => {
                tracing::warn!(
                    "rewrite can't read {} and continues without it: {error}",
                    path.display()
                );
                None
            }
        }
    }

    /// True if an attach in another network namespace wrote the copy. That namespace is gone: this process's namespace
    /// has reused its inode.
    #[must_use]
    pub fn is_of_another_namespace(&self) -> bool {
        match (self.namespace, network_namespace::cookie()) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        }
    }

    /// The private addresses that attach added.
    #[must_use]
    pub fn private_addresses(&self) -> BTreeSet<Private> {
        self.addresses.iter().filter_map(|address| address.parse().ok()).map(Private).collect()
    }

    /// The changes from the records in the maps, in this process's network namespace.
    fn recorded(attachment: &Attachment, added: &BTreeSet<Private>) -> Self {
        let before = |is_set: u8, value: u8| (is_set == 1).then_some(value);
        Self {
            namespace: network_namespace::cookie(),
            interface_index: attachment.ifindex,
            hook: attachment.hook,
            ingress: attachment.ingress,
            clsact_added: attachment.clsact_added == 1,
            arp_announce_before: before(
                attachment.arp_announce_set,
                attachment.arp_announce_before,
            ),
            arp_ignore_before: before(attachment.arp_ignore_set, attachment.arp_ignore_before),
            addresses: added.iter().map(ToString::to_string).collect(),
            config: None,
        }
    }

    /// A record of the attach that made these changes. The record's fields that the copy lacks get placeholder values.
    #[must_use]
    pub fn attachment(&self) -> Attachment {
        Attachment {
            abi_version: ABI_VERSION,
            ifindex: self.interface_index,
            attached_at: 0,
            changed_at: 0,
            settings: Settings::default(),
            hook: self.hook,
            ingress: self.ingress,
            clsact_added: u8::from(self.clsact_added),
            routes_managed: 1,
            arp_announce_set: u8::from(self.arp_announce_before.is_some()),
            arp_announce_before: self.arp_announce_before.unwrap_or(0),
            verbose: 0,
            arp_ignore_set: u8::from(self.arp_ignore_before.is_some()),
            drain: 0,
            arp_ignore_before: self.arp_ignore_before.unwrap_or(0),
            reserved: [0; 3],
            version: padded(""),
            network: padded(""),
            digest_v4: [0; DIGEST_LEN],
            digest_v6: [0; DIGEST_LEN],
            revision: 0,
            reserved_end: [0; 4],
        }
    }
}

/// Copies the records in an interface's maps to the file. A failure (a full /run, for example) does not fail the
/// attach: the maps hold the same records.
pub(super) fn note(folder: &Folder, attachment: &Attachment, added: &BTreeSet<Private>) {
    let before = Brought::of(folder).filter(|before| !before.is_of_another_namespace());
    let config = before.as_ref().and_then(|before| before.config.clone());
    let brought = Brought { config, ..Brought::recorded(attachment, added) };
    if before.as_ref() == Some(&brought) {
        return;
    }
    let path = path(folder);
    if let Err(error) = write(&path, &brought) {
        tracing::warn!(
            "rewrite can't write {} ({error}), so detach leaves more behind if the pins are \
             deleted; let this process write there, and make room (df -h /run)",
            path.display()
        );
    }
}

/// Records the path of the file whose attach has succeeded. A failure does not fail the attach: `status` then compares
/// the running state with another file. The caller holds the interface lock.
pub fn record_file(folder: &Folder, config: &Path) {
    let Some(before) = Brought::of(folder) else { return };
    let config = absolute(config).unwrap_or_else(|_| config.to_owned());
    let config = config.to_str().map(str::to_owned);
    if before.config == config {
        return;
    }
    let path = path(folder);
    if let Err(error) = write(&path, &Brought { config, ..before }) {
        tracing::warn!(
            "rewrite can't write {} ({error}), so status does not know the attached file; let this \
             process write there, and make room (df -h /run)",
            path.display()
        );
    }
}

/// The path of the file of the last attach, if it is recorded.
#[must_use]
pub fn file(folder: &Folder) -> Option<PathBuf> {
    let brought = Brought::of(folder).filter(|brought| !brought.is_of_another_namespace());
    brought?.config.map(PathBuf::from)
}

/// Removes the copy. If the removal fails, a later command recognises the copy as a leftover.
pub(super) fn remove(folder: &Folder) {
    let path = path(folder);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!("rewrite can't remove {}: {error}; remove it yourself", path.display())
        }
    }
    if let Some(parent) = path.parent() {
        remove_empty(parent, Path::new(RUNTIME));
    }
}

/// The folders of the interfaces in `namespace` that have a copy.
#[must_use]
pub fn folders(namespace: NetworkNamespace) -> Vec<Folder> {
    let entries =
        fs::read_dir(pins::folder_of(namespace, Path::new(RUNTIME))).into_iter().flatten();
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let interfaces = names.filter_map(|name| name.strip_suffix(ENDING).map(pins::interface_name));
    interfaces.map(|interface| Folder::of(namespace, &interface)).collect()
}

/// Writes the whole file, or leaves the old file unchanged.
fn write(path: &Path, brought: &Brought) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(brought)?;
    let new = path.with_extension("json.new");
    let parent = path.parent().unwrap_or(Path::new(RUNTIME));
    let result = in_folder(parent, || {
        fs::File::create(&new)?.write_all(&text)?;
        fs::rename(&new, path)
    });
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    result
}

/// The inode of the copy's file, if the file exists. A new attach creates a new file, with a new inode.
#[must_use]
pub fn inode(folder: &Folder) -> Option<u64> {
    fs::metadata(path(folder)).ok().map(|metadata| metadata.ino())
}

/// The path of the copy's file.
#[must_use]
pub fn path(folder: &Folder) -> PathBuf {
    folder.beside(Path::new(RUNTIME), ENDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again_and_makes_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netns-7/eth0.brought.json");
        let brought = Brought {
            namespace: Some(1 << 40),
            interface_index: 7,
            hook: 2,
            clsact_added: true,
            arp_announce_before: Some(1),
            addresses: ["10.0.0.1".into(), "fd00::1".into()].into(),
            config: Some("/etc/rewrite/cluster.toml".into()),
            ..Brought::default()
        };
        write(&path, &brought).unwrap();
        let read: Brought = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, brought);
        assert_eq!(read.private_addresses().len(), 2);
        let namespace = network_namespace::cookie();
        let recorded = Brought::recorded(&read.attachment(), &read.private_addresses());
        assert_eq!(recorded, Brought { namespace, config: None, ..brought });
    }

    #[test]
    fn a_copy_of_an_older_version_names_no_file() {
        let mut old = serde_json::to_value(Brought::default()).unwrap();
        old.as_object_mut().unwrap().remove("config");
        let read: Brought = serde_json::from_value(old).unwrap();
        assert_eq!(read, Brought::default());
    }
}
