//! Reads and changes the pins through the file system and bpftool.

use std::fs;
use std::io;
use std::mem::offset_of;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::netns::Namespace;
use testkit::process;
use tunnel_common::attachment::Attachment;
use tunnel_common::peer_filter::Position;

pub const BPFFS: &str = "/sys/fs/bpf";

/// Byte offsets of fields in the value of the map `attachment`.
pub const ATTACHMENT_ABI_VERSION: usize = offset_of!(Attachment, abi_version);
pub const ATTACHMENT_ATTACHED_AT: usize = offset_of!(Attachment, attached_at);
pub const ATTACHMENT_VERSION: usize = offset_of!(Attachment, version);
pub const ATTACHMENT_HOOK: usize = offset_of!(Attachment, hook);

/// The fields of peer entries that the eBPF programs may write at any moment. The list omits `awaited`: the programs
/// write that field only after a move.
const NOTES: [&str; 4] = ["public_flows", "replies_native", "use_former_source", "grace_until"];

/// The folder of a namespace's pins.
pub fn pins(host: &Namespace) -> Result<PathBuf> {
    Ok(Path::new(BPFFS).join("rewrite").join(format!("netns-{}", host.inode()?)))
}

/// A folder and all paths below it, sorted. The list is empty if the folder is missing.
pub fn tree(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", folder.display()))?,
    };
    let mut found = vec![folder.to_owned()];
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        if entry.file_type().context("look at a pin")?.is_dir() {
            found.extend(tree(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Runs bpftool.
pub fn bpftool(arguments: &[&str]) -> Result<String> {
    process::run(Command::new("bpftool").args(arguments))
}

/// Runs `bpftool -j map dump pinned PIN`.
pub fn dump(pin: &Path) -> Result<Value> {
    let text = bpftool(&["-j", "map", "dump", "pinned", &pin.display().to_string()])?;
    serde_json::from_str(&text).with_context(|| format!("no JSON from bpftool: {text}"))
}

/// Like [`dump`], without the fields that the programs write.
pub fn dump_without_notes(pin: &Path) -> Result<Value> {
    let mut dumped = dump(pin)?;
    remove_notes(&mut dumped);
    Ok(dumped)
}

fn remove_notes(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_notes),
        Value::Object(fields) => {
            // Keep only the formatted text: the entry's raw bytes contain the notes as well.
            if fields.contains_key("formatted") {
                fields.retain(|name, _| name == "formatted");
            }
            fields.retain(|name, _| !NOTES.contains(&name.as_str()));
            fields.values_mut().for_each(remove_notes);
        }
        _ => {}
    }
}

/// Runs `bpftool map update pinned PIN key … value …`.
pub fn update(pin: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    let pin = pin.display().to_string();
    let [key, value] = [key, value].map(|bytes| bytes.iter().map(u8::to_string).collect());
    let words: [Vec<String>; 5] = [
        ["map", "update", "pinned", &pin].map(str::to_owned).into(),
        vec!["key".into()],
        key,
        vec!["value".into()],
        value,
    ];
    process::run(Command::new("bpftool").args(words.concat()))?;
    Ok(())
}

/// Requires that the peer filter at `pin` contains `addresses`: the programs skip entries that the filter lacks.
pub fn require_in_filter(pin: &Path, addresses: &[IpAddr]) -> Result<()> {
    for address in addresses {
        let Position { word, bit } = match address {
            IpAddr::V4(address) => Position::of(&address.octets()),
            IpAddr::V6(address) => Position::of(&address.octets()),
        };
        let bytes = value(pin, &word.to_ne_bytes())?;
        let bits = u64::from_ne_bytes(bytes.try_into().ok().context("a word has 8 bytes")?);
        ensure!(bits & bit != 0, "{} does not know {address}", pin.display());
    }
    Ok(())
}

/// Looks up `key` in the map at `pin` and returns the value's bytes.
pub fn value(pin: &Path, key: &[u8]) -> Result<Vec<u8>> {
    let pin = pin.display().to_string();
    let mut command = Command::new("bpftool");
    command.args(["-j", "map", "lookup", "pinned", &pin, "key"]);
    command.args(key.iter().map(u8::to_string));
    let entry: Value = serde_json::from_str(&process::run(&mut command)?)?;
    let bytes = entry["value"].as_array().context("no value")?;
    bytes
        .iter()
        .map(|byte| {
            let text = byte.as_str().context("no byte")?;
            Ok(u8::from_str_radix(text.trim_start_matches("0x"), 16)?)
        })
        .collect()
}

/// Changes one byte of the record `attachment`.
pub fn set_attachment_byte(pin: &Path, offset: usize, byte: u8) -> Result<()> {
    let key = [0; 4];
    let mut bytes = value(pin, &key)?;
    let wanted = size_of::<Attachment>();
    ensure!(bytes.len() == wanted, "the record has {} bytes, not {wanted}", bytes.len());
    bytes[offset] = byte;
    update(pin, &key, &bytes)
}
