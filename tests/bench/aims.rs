//! What was found, beside what is aimed at.

use crate::table::{Samples, grid, number};

/// One figure and its aim.
pub struct Finding {
    pub what: String,
    /// scriptsock's figure.
    ours: String,
    /// The control's, where it has one.
    control: String,
    /// What the aim speaks of.
    held: f64,
    aim: Aim,
    /// The ratio of what came out a second.
    throughput: Option<f64>,
}

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// A ratio to the control.
    Ratio(f64),
    /// A figure with its unit.
    Most(f64, &'static str),
    /// A figure with its unit.
    Least(f64, &'static str),
    /// It is reported: a figure with its unit.
    Only(&'static str),
    /// It is reported: a ratio to the control.
    None,
}

impl Finding {
    /// A ratio of costs, and of what came out a second where that is known.
    pub fn ratio(what: &str, unit: &str, costs: [&Samples; 2], aim: Aim) -> Self {
        let [ours, control] = costs;
        let shown = |samples: &Samples| format!("{} {unit}", number(samples.median()));
        Self {
            control: shown(control),
            held: ours.ratio(control),
            ..Self::new(what, shown(ours), 0.0, aim)
        }
    }

    /// A figure that needs no control, though one may be shown beside it.
    pub fn figure(what: &str, ours: f64, control: Option<f64>, aim: Aim) -> Self {
        let shown = |value: f64| format!("{} {}", number(value), aim.unit()).trim_end().to_owned();
        Self {
            control: control.map(shown).unwrap_or_default(),
            ..Self::new(what, shown(ours), ours, aim)
        }
    }

    /// What could not be measured, and why.
    pub fn skipped(what: &str, why: &str, aim: Aim) -> Self {
        Self::new(what, why.to_owned(), f64::NAN, aim)
    }

    fn new(what: &str, ours: String, held: f64, aim: Aim) -> Self {
        Self { what: what.to_owned(), ours, control: String::new(), held, aim, throughput: None }
    }

    /// With what came out a second.
    pub fn with_throughput(mut self, ours: &Samples, control: &Samples) -> Self {
        self.throughput = Some(ours.ratio(control));
        self
    }

    /// With what the aim speaks of, where that is neither the ratio nor the figure itself.
    pub fn held_to(mut self, held: f64) -> Self {
        self.held = held;
        self
    }

    fn row(&self) -> Vec<String> {
        let held = if self.held.is_nan() { String::new() } else { self.aim.show(self.held) };
        let throughput = self.throughput.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let cells = [&self.what, &self.ours, &self.control, &held].map(Clone::clone);
        cells.into_iter().chain([self.aim.words(), self.aim.met(self.held), throughput]).collect()
    }
}

impl Aim {
    fn unit(self) -> &'static str {
        match self {
            Self::Most(_, unit) | Self::Least(_, unit) | Self::Only(unit) => unit,
            Self::Ratio(_) | Self::None => "",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Ratio(_) | Self::None => format!("{value:.2}"),
            Self::Most(_, unit) | Self::Least(_, unit) | Self::Only(unit) => {
                format!("{} {unit}", number(value)).trim_end().to_owned()
            }
        }
    }

    fn words(self) -> String {
        let amount = |aim: f64, unit| format!("{aim} {unit}").trim_end().to_owned();
        match self {
            Self::Ratio(aim) => format!("{aim:.2}"),
            Self::Most(aim, unit) => amount(aim, unit),
            Self::Least(aim, unit) => format!("{} or more", amount(aim, unit)),
            Self::Only(_) | Self::None => String::new(),
        }
    }

    fn met(self, value: f64) -> String {
        let met = match self {
            Self::Ratio(aim) | Self::Most(aim, _) => value <= aim,
            Self::Least(aim, _) => value >= aim,
            Self::Only(_) | Self::None => return String::new(),
        };
        let word = if value.is_nan() {
            "not measured"
        } else if met {
            "yes"
        } else {
            "no"
        };
        word.to_owned()
    }
}

/// Prints all of them.
pub fn print(findings: &[Finding]) {
    let head = ["work", "scriptsock", "control", "compared", "aim", "met", "throughput"];
    grid(&head, &findings.iter().map(Finding::row).collect::<Vec<_>>());
}
