//! Runs `rewrite import` and `rewrite init`, and formats the members, the file and the commands of the switch-over. The
//! commands stand between comments, so that a shell takes each step as it is printed.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use tunnel_user::commands::init::{Init, Seen};
use tunnel_user::commands::{import, init};
use tunnel_user::error::Error;
use tunnel_user::ops::import::Import;
use tunnel_user::plan::import::draft::{DraftAddresses, DraftMember};
use tunnel_user::plan::import::switch_over::Step;
use tunnel_user::plan::import::{Finding, FindingKind};

use super::style::{FAULT, NOTABLE, paint};
use super::suggested_commands::{completed, in_namespace};
use super::text::counted;
use super::{as_json, print, print_text, progress};
use tunnel_user::cli::import::{ImportArgs, InitArgs};

/// The exit code for a file that needs the operator's work.
const EXIT_NEEDS_WORK: u8 = 1;

/// Runs `rewrite import`.
pub async fn import(args: &ImportArgs) -> Result<ExitCode, Error> {
    let request = args.request();
    let import = progress::during("reading the source", import::run(&request)).await?;
    finish(&import, None, args.new.json)
}

/// Runs `rewrite init`.
pub async fn init(args: &InitArgs) -> Result<ExitCode, Error> {
    let request = args.request();
    let Init { import, seen } =
        progress::during("looking for sources", init::run(&request)).await?;
    finish(&import, Some(&seen), args.new.json)
}

fn finish(import: &Import, seen: Option<&[Seen]>, as_object: bool) -> Result<ExitCode, Error> {
    match as_object {
        true => print(&as_json(&json(import, seen))?)?,
        false => print_text(&text(import, seen))?,
    }
    let needs_work = ExitCode::from(EXIT_NEEDS_WORK);
    Ok(if import.needs_work() { needs_work } else { ExitCode::SUCCESS })
}

fn text(import: &Import, seen: Option<&[Seen]>) -> String {
    let mut text = String::new();
    for Seen { source, peers, problem } in seen.unwrap_or_default() {
        let _ = match problem {
            Some(problem) => writeln!(text, "{source}: unknown: {problem}"),
            None => writeln!(text, "{source}: {}", counted(*peers, "peer")),
        };
    }
    let peers = counted(import.draft.peers(), "peer");
    let _ = match import.source {
        Some(source) => writeln!(text, "the file from {source}, with {peers}:"),
        None => {
            let why = init::no_source(seen.unwrap_or_default());
            writeln!(text, "{why}; an example to fill in:")
        }
    };
    let members = &import.draft.members;
    let width = members.iter().map(|member| member.name.as_str().len()).max().unwrap_or_default();
    for member in members {
        let note = if member.is_self { "  (this host)" } else { "" };
        let _ = writeln!(text, "  {:width$}  {}{note}", member.name, in_words(&member.addresses));
    }
    for finding in &import.findings {
        let _ = writeln!(text, "{}", line(finding));
    }
    let _ = match &import.written {
        Some(path) => writeln!(text, "wrote {}", path.display()),
        None => writeln!(text, "\n{}", import.text.trim_end()),
    };
    text.push_str("\n# To switch over:\n");
    steps(&mut text, &import.way.steps);
    text.push_str("\n# Back:\n");
    steps(&mut text, &import.way.back);
    text
}

fn in_words(addresses: &[DraftAddresses]) -> String {
    let words = addresses.iter().map(|DraftAddresses { private, public, .. }| {
        let [private, public] = [private, public]
            .map(|address| address.map_or_else(|| "unknown".to_owned(), |a| a.to_string()));
        format!("{private} at {public}")
    });
    words.collect::<Vec<_>>().join(", ")
}

fn line(finding: &Finding) -> String {
    let label = match finding.kind {
        FindingKind::Contradiction => paint(FAULT, "CONTRADICTION"),
        FindingKind::Incomplete => paint(FAULT, "INCOMPLETE"),
        FindingKind::Blank => paint(NOTABLE, "BLANK"),
        FindingKind::NotUnderstood => paint(NOTABLE, "not understood"),
    };
    let Finding { place, text, why, .. } = finding;
    let parts = [place, text, why].into_iter().filter(|part| !part.is_empty());
    format!("  {label}  {}", parts.map(String::as_str).collect::<Vec<_>>().join(": "))
}

fn steps(text: &mut String, steps: &[Step]) {
    for (number, Step { what, commands }) in (1..).zip(steps) {
        let _ = writeln!(text, "# {number}. {what}");
        for command in commands {
            let _ = writeln!(text, "{}", in_namespace(command));
        }
    }
}

#[derive(Serialize)]
struct JsonMember {
    name: String,
    is_self: bool,
    private: Vec<Option<String>>,
    public: Vec<Option<String>>,
    underlay: Vec<Option<String>>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    kind: &'static str,
    place: &'a str,
    text: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    what: &'a str,
    commands: Vec<String>,
}

#[derive(Serialize)]
struct JsonSource<'a> {
    source: &'static str,
    peers: usize,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Json<'a> {
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<JsonSource<'a>>>,
    interface: &'a str,
    members: Vec<JsonMember>,
    findings: Vec<JsonFinding<'a>>,
    file: Option<String>,
    text: &'a str,
    steps: Vec<JsonStep<'a>>,
    back: Vec<JsonStep<'a>>,
}

/// The value that `import --json` and `init --json` print (docs/json.md).
fn json<'a>(import: &'a Import, seen: Option<&'a [Seen]>) -> impl Serialize + use<'a> {
    let source = |seen: &'a Seen| JsonSource {
        source: seen.source.as_str(),
        peers: seen.peers,
        problem: seen.problem.as_deref(),
    };
    Json {
        source: import.source.map(|source| source.as_str()),
        sources: seen.map(|seen| seen.iter().map(source).collect()),
        interface: &import.interface,
        members: import.draft.members.iter().map(json_member).collect(),
        findings: import.findings.iter().map(json_finding).collect(),
        file: import.written.as_ref().map(|path| path.display().to_string()),
        text: &import.text,
        steps: import.way.steps.iter().map(json_step).collect(),
        back: import.way.back.iter().map(json_step).collect(),
    }
}

fn json_member(member: &DraftMember) -> JsonMember {
    let list = |of: fn(&DraftAddresses) -> Option<std::net::IpAddr>| {
        let addresses = member.addresses.iter().map(of);
        addresses.map(|address| address.map(|address| address.to_string())).collect()
    };
    JsonMember {
        name: member.name.to_string(),
        is_self: member.is_self,
        private: list(|addresses| addresses.private),
        public: list(|addresses| addresses.public),
        underlay: list(|addresses| addresses.underlay.or(addresses.public)),
    }
}

fn json_finding(finding: &Finding) -> JsonFinding<'_> {
    let Finding { kind, place, text, why } = finding;
    JsonFinding { kind: kind.as_str(), place, text, why }
}

fn json_step(step: &Step) -> JsonStep<'_> {
    let commands = step.commands.iter().map(|command| completed(&in_namespace(command)));
    JsonStep { what: &step.what, commands: commands.collect() }
}
