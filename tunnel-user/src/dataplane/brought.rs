//! A copy in /run of the changes that attach made to the host, beside the records in the pinned maps. If somebody
//! has removed pins, detach undoes the changes by this copy.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::settings::Settings;

use super::pins::{self, Folder};
use super::record::padded;
use crate::host::network_namespace::{self, NetworkNamespace};
use crate::host::runtime_folder::{RUNTIME, in_folder, remove_empty};
use crate::model::Private;

/// The ending of the file's name, behind the interface's.
const ENDING: &str = ".brought.json";

/// The changes that attach made to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The cookie of the network namespace; nothing on kernels that have none.
    pub namespace: Option<u64>,
    /// The interface's index.
    pub interface_index: u32,
    /// The code of the hook of tc; 0 while an attach is under way.
    pub hook: u8,
    /// The code of the ingress program's hook.
    pub ingress: u8,
    /// True if attach added the clsact qdisc.
    pub clsact_added: bool,
    /// The interface's arp_announce before attach set it, if it did.
    pub arp_announce_before: Option<u8>,
    /// The interface's arp_ignore before attach set it, if it did.
    pub arp_ignore_before: Option<u8>,
    /// The private addresses that attach added to the loopback interface.
    pub addresses: BTreeSet<String>,
}

impl Brought {
    /// The copy for the interface in `folder`; nothing if there is none, or it can't be read.
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

    /// True if an attach in another network namespace wrote it. That namespace is gone: its inode now belongs to
    /// this process's.
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
        }
    }

    /// The record of the attach that made these changes; its other fields are unknown.
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
        }
    }
}

/// Copies the records in the maps of an interface. A full /run fails no attach: the maps say the same.
pub(super) fn note(folder: &Folder, attachment: &Attachment, added: &BTreeSet<Private>) {
    let brought = Brought::recorded(attachment, added);
    if Brought::of(folder).as_ref() == Some(&brought) {
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

/// Removes the copy. A later command recognises one that stays as left over.
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

/// Writes all of the file, or leaves the old one.
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

/// The inode of the file, if there is one: another attach makes another file.
#[must_use]
pub fn inode(folder: &Folder) -> Option<u64> {
    fs::metadata(path(folder)).ok().map(|metadata| metadata.ino())
}

/// The path of the file.
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
            ..Brought::default()
        };
        write(&path, &brought).unwrap();
        let read: Brought = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, brought);
        assert_eq!(read.private_addresses().len(), 2);
        let namespace = network_namespace::cookie();
        let recorded = Brought::recorded(&read.attachment(), &read.private_addresses());
        assert_eq!(recorded, Brought { namespace, ..brought });
    }
}
