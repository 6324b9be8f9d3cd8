//! What the page promises.

use std::collections::BTreeSet;

use crate::heard::{Kind, Metric, Signal};

const PAGE: &str = include_str!("../../docs/observability.md");

/// Returns the cells of the rows of the table under a heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let lines = section.expect("the page has the heading").lines();
    let rows = lines.filter_map(|line| line.strip_prefix("| `"));
    let cells = |row: &'static str| row.trim_end_matches('|').split('|').map(str::trim).collect();
    rows.map(cells).collect()
}

/// Returns what stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

pub(crate) fn signals() -> BTreeSet<Signal> {
    let read = |heading, kind| {
        rows(heading).into_iter().map(move |row| Signal {
            kind,
            name: row[0].trim_end_matches('`').to_owned(),
            target: row[1].trim_matches('`').to_owned(),
            level: row[2].to_owned(),
            fields: quoted(row[3]).map(ToOwned::to_owned).collect(),
        })
    };
    read("Spans", Kind::Span).chain(read("Events", Kind::Event)).collect()
}

pub(crate) fn metrics() -> BTreeSet<Metric> {
    let metric = |row: Vec<&str>| Metric {
        name: row[0].trim_end_matches('`').to_owned(),
        kind: row[1].to_owned(),
        unit: row[2].to_owned(),
        label: quoted(row[3]).next().map(ToOwned::to_owned),
    };
    rows("Metrics").into_iter().map(metric).collect()
}

/// Returns the name of each metric with each value of its label.
pub(crate) fn label_values() -> BTreeSet<(String, String)> {
    let values = |row: Vec<&'static str>| {
        let name = row[0].trim_end_matches('`');
        let values: Vec<_> = quoted(row[3]).skip(1).collect();
        values.into_iter().map(move |value| (name.to_owned(), value.to_owned()))
    };
    rows("Metrics").into_iter().flat_map(values).collect()
}
