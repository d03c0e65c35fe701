//! Writes the manual pages: `rewrite.8`, and a page for each verb, such as `rewrite-attach.8` and `rewrite-peer-add.8`.
//!
//! clap_mangen renders the arguments. It joins the lines of `after_help`, whose examples are columns of text, so this
//! file renders them without filling.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The section of commands that usually need root.
const SECTION: &str = "8";
/// The line of `after_help` that begins the examples. An empty line ends them.
const EXAMPLES: &str = "Examples:";

/// Writes the pages of `command` and of its verbs to `folder`.
pub fn write(folder: &Path, mut command: Command) -> Result<()> {
    command.build();
    write_with_verbs(folder, &command)
}

fn write_with_verbs(folder: &Path, command: &Command) -> Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_with_verbs(folder, verb)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.{SECTION}"));
    let page = page(name, command).with_context(|| format!("rendering {name}"))?;
    fs::write(&path, page).with_context(|| format!("writing {}", path.display()))
}

fn page(name: &str, command: &Command) -> Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(SECTION)
        .source(format!("rewrite {}", env!("CARGO_PKG_VERSION")))
        .manual("rewrite");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    unfilled(&notes).to_writer(&mut page)?;
    Ok(page)
}

/// The sections of `after_help`, each line as it is.
fn unfilled(after_help: &str) -> Roff {
    let (examples, notes) = match after_help.strip_prefix(EXAMPLES) {
        Some(rest) => rest.split_once("\n\n").unwrap_or((rest, "")),
        None => ("", after_help),
    };
    let mut roff = Roff::new();
    for (title, text) in [("EXAMPLES", examples), ("NOTES", notes)] {
        if text.trim().is_empty() {
            continue;
        }
        roff.control("SH", [title]).control("nf", []);
        for line in text.trim_matches('\n').lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tunnel_user::cli::Cli;

    use super::*;

    #[test]
    fn examples_keep_their_lines_and_the_rest_are_notes() {
        let text = unfilled("Examples:\n  rewrite ping     all\n  rewrite ping b\n\nNotes here.");
        let rendered = text.render();
        let (examples, notes) = rendered.split_once(".SH NOTES\n").expect("a section of notes");
        assert!(
            examples.contains(".SH EXAMPLES\n.nf\n  rewrite ping     all\n  rewrite ping b\n.fi")
        );
        assert!(notes.contains("Notes here."));
    }

    #[test]
    fn a_text_without_examples_has_notes_alone() {
        let rendered = unfilled("Exit codes: 0 done.").render();
        assert!(rendered.contains("NOTES") && !rendered.contains("EXAMPLES"), "{rendered}");
    }

    #[test]
    fn every_verb_has_an_example_in_its_page() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_display_name().expect("a built command has a name");
            let page = String::from_utf8(page(name, verb).expect("a page")).expect("text");
            assert!(page.contains(".SH EXAMPLES") || verb.has_subcommands(), "{name}:\n{page}");
        }
    }
}
