//! Draws the screen of `rewrite top`, from 80 columns on.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table, TableState};
use tunnel_user::commands::stats::Rates;
use tunnel_user::plan::activity::Traffic;
use tunnel_user::plan::rate::Rate;

use super::inspection::Inspection;
use super::view::{Row, View};
use crate::output::stats::{last_heard, per_second};
use crate::output::text::{counted, noun};

/// The width from which the addresses have columns.
const WIDE: u16 = 120;
/// The width of a column with a number.
const NUMBER: u16 = 8;
/// The maximum number of lines for packets that were not rewritten.
const REASONS_MAX: usize = 4;
const KEYS: &str = "up/down select  s order  / filter  p ping  e explain  t trace  q quit";
const KEYS_OPEN: &str = "Esc close  up/down select  p ping  e explain  t trace  q quit";

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View, interval: Duration, open: Option<&Inspection>) {
    let reasons = reasons(view);
    let below = match open {
        Some(_) => Constraint::Percentage(50),
        None => Constraint::Length(u16::try_from(reasons.len()).unwrap_or(0)),
    };
    let [title, peers, below, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(3), below, Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(heading(view, interval), title);
    table(frame, view, peers);
    match open {
        Some(inspection) => output(frame, inspection, below),
        None => frame.render_widget(Paragraph::new(reasons), below),
    }
    let line = match (view.is_typing, open) {
        (true, _) => format!("filter: {}_   Enter done  Esc all peers", view.filter),
        (false, Some(_)) => KEYS_OPEN.to_owned(),
        (false, None) => KEYS.to_owned(),
    };
    frame.render_widget(Line::styled(line, Modifier::DIM), keys);
}

fn heading(view: &View, interval: Duration) -> Line<'static> {
    let (mut all, mut heard, mut silent) = (0, 0, 0);
    for row in view.all() {
        all += 1;
        match row.peer.state {
            Traffic::Heard => heard += 1,
            Traffic::Silent => silent += 1,
            Traffic::Unknown => {}
        }
    }
    let interfaces: Vec<_> = view.interfaces().collect();
    let filter = match &view.filter[..] {
        "" => String::new(),
        filter => format!(", filter {filter}"),
    };
    let text = format!(
        "{}  {all} {}: {heard} heard, {silent} silent  by {}{filter}, every {} s",
        interfaces.join(" "),
        noun(all),
        view.order.name(),
        interval.as_secs(),
    );
    Line::styled(text, Modifier::BOLD)
}

/// A column: its heading in two lines, its width, and the content for a row.
struct Column {
    heading: [&'static str; 2],
    width: Constraint,
    is_number: bool,
    content: fn(&Row<'_>) -> String,
}

impl Column {
    fn line(&self, text: impl Into<Line<'static>>) -> Line<'static> {
        let line = text.into();
        if self.is_number { line.right_aligned() } else { line }
    }
}

fn columns(view: &View, width: u16) -> Vec<Column> {
    let number = |heading, content| Column {
        heading,
        width: Constraint::Length(NUMBER),
        is_number: true,
        content,
    };
    let words = |heading, minimum, content| Column {
        heading: ["", heading],
        width: Constraint::Min(minimum),
        is_number: false,
        content,
    };
    let mut columns = vec![words("peer", 12, |row| row.peer.name.clone())];
    if width >= WIDE {
        columns.push(words("private", 16, |row| row.peer.private.join(" ")));
        columns.push(words("path", 20, |row| {
            let publics = row.peer.addresses.iter().map(|addresses| addresses.public.to_string());
            format!("{} to {}", row.interface, publics.collect::<Vec<_>>().join(" "))
        }));
    }
    columns.extend([
        number(["egress", "pkt/s"], |row| rate(row, |row| row.egress).0),
        number(["egress", "bit/s"], |row| rate(row, |row| row.egress).1),
        number(["ingress", "pkt/s"], |row| rate(row, |row| row.ingress).0),
        number(["ingress", "bit/s"], |row| rate(row, |row| row.ingress).1),
        number(["", "heard"], |row| last_heard(&row.peer.traffic)),
    ]);
    if view.probes {
        columns.push(number(["ping", "time"], |row| {
            let time = row.pinged.and_then(|pinged| pinged.milliseconds);
            time.map_or_else(String::new, |time| format!("{time:.1} ms"))
        }));
        columns.push(number(["ping", "loss"], |row| {
            row.pinged.map_or_else(String::new, |pinged| format!("{:.0} %", 100.0 * pinged.loss))
        }));
        if width >= WIDE {
            let state = |row: &Row<'_>| row.pinged.map_or("", |pinged| pinged.state).to_owned();
            columns.push(words("state", 12, state));
        }
    }
    columns
}

fn rate(row: &Row<'_>, direction: fn(Rates) -> Rate) -> (String, String) {
    row.peer.rates.map(direction).map(per_second).unwrap_or_default()
}

fn table(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let columns = columns(view, area.width);
    let rows = view.rows();
    let position = view.position(&rows);
    let heading = columns
        .iter()
        .map(|column| Cell::from(Vec::from(column.heading.map(|text| column.line(text)))));
    let heading = TableRow::new(heading).height(2).style(Modifier::BOLD);
    // Only the rows around the selected one fit: a cluster can have a million peers.
    let height = usize::from(area.height.saturating_sub(2)).max(1);
    let first = position.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let shown = rows.iter().skip(first).take(height).map(|row| {
        let cells = columns.iter().map(|column| Cell::from(column.line((column.content)(row))));
        TableRow::new(cells).style(style(row))
    });
    let widths: Vec<_> = columns.iter().map(|column| column.width).collect();
    let table = Table::new(shown, widths)
        .header(heading)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected((!rows.is_empty()).then(|| position - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn style(row: &Row<'_>) -> Style {
    let is_faulty = row.peer.state == Traffic::Silent || row.pinged.is_some_and(|p| !p.is_ok);
    if is_faulty { Style::new().fg(Color::Red) } else { Style::new() }
}

fn reasons(view: &View) -> Vec<Line<'static>> {
    let reasons = view.not_rewritten();
    let lines = reasons.iter().take(REASONS_MAX).map(|(interface, reason)| {
        let packets = match reason.rate {
            Some(rate) => format!("{} pkt/s", per_second(rate).0),
            None => counted(reason.counter.packets, "packet"),
        };
        Line::from(format!(
            "not rewritten on {interface}: {} {packets}, {} ({}): {}",
            reason.direction, reason.reason, reason.verdict, reason.description
        ))
    });
    lines.collect()
}

fn output(frame: &mut Frame<'_>, inspection: &Inspection, area: Rect) {
    let end = if inspection.has_ended() { "" } else { ", running" };
    let block = Block::new().borders(Borders::TOP).title(format!(" {}{end} ", inspection.title()));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = tail(inspection.lines(), inner.width.into(), inner.height.into());
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The last lines that fit, each cut into pieces of the screen's width.
fn tail<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let mut shown = Vec::new();
    for line in lines.rev() {
        let letters: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = match letters.is_empty() {
            true => vec![String::new()],
            false => letters.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect(),
        };
        shown.extend(pieces.into_iter().rev());
        if shown.len() >= height {
            break;
        }
    }
    shown.truncate(height);
    shown.into_iter().rev().map(Line::from).collect()
}

#[cfg(test)]
mod tests;
