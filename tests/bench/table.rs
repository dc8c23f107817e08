//! Figures of several rounds, and how they are printed.

use std::time::Duration;

/// One figure, measured several times.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let values = self.sorted();
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        }
    }

    /// The median of each divided by the other's of the same round.
    pub fn ratio(&self, other: &Self) -> f64 {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect()).median()
    }

    /// Each, made into something else.
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(change).collect())
    }

    /// Each less the other's of the same round.
    pub fn less(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a - b).collect())
    }

    /// `median (min .. max)`.
    fn shown(&self) -> String {
        let values = self.sorted();
        let (min, max) = (values[0], values[values.len() - 1]);
        format!("{} ({} .. {})", number(self.median()), number(min), number(max))
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Durations in milliseconds.
impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(values: I) -> Self {
        values.into_iter().map(|value| value.as_secs_f64() * 1e3).collect()
    }
}

/// Whole, or four digits or more, and no more than say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Begins a table that compares the two servers.
pub fn compare(title: &str) {
    println!("{title:<40} {:>30} {:>30} {:>8}", "scriptsock", "control", "ratio");
}

/// One figure of both.
pub fn row(name: &str, scriptsock: &Samples, control: &Samples) {
    let ratio = scriptsock.ratio(control);
    println!("  {name:<38} {:>30} {:>30} {ratio:>8.3}", scriptsock.shown(), control.shown());
}

/// Begins a table of scriptsock alone.
pub fn alone(title: &str) {
    println!("{title:<40} {:>30}", "median (min .. max)");
}

/// One figure of scriptsock.
pub fn single(name: &str, figure: &Samples) {
    println!("  {name:<38} {:>30}", figure.shown());
}

/// Prints a table of texts, in Markdown: the first column to the left, the others to the right.
pub fn grid(head: &[&str], rows: &[Vec<String>]) {
    let length = |text: &str| text.chars().count();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| length(&row[column]));
        cells.chain([length(head[column])]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("| {} |", padded.collect::<Vec<_>>().join(" | "));
    };
    line(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
    let rule = |(column, width): (usize, &usize)| {
        if column == 0 { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
    };
    line(&widths.iter().enumerate().map(rule).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
}
