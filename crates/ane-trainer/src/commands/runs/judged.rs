//! By what a run is judged: results of runs that differ in this cannot be held against each other.

use ane_train::{
    checkpoint::Checkpoint,
    data::{Description, description::Target},
    run_dir::Summary,
};
use serde_json::{Map, Value, json};

/// Settings of data that decide how inputs are read and nothing of what is learned or judged by.
const OF_INPUTS: [&str; 5] = ["ignore", "categorical", "size", "channels", "fit"];

/// Names of what is learned that are shown.
const MOST_NAMES: usize = 4;

/// By what a run is judged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    /// The data set, as the run calls it.
    dataset: String,
    /// What tells its content from another's, where it is one's own.
    fingerprint: Option<String>,
    /// How its inputs are read.
    inputs: Value,
    /// What is learned: the classes, or the numbers with their logarithms.
    learned: String,
    /// What the result is called.
    pub(super) metric: String,
    /// How the examples are chosen that it is judged by.
    test: String,
}

impl Judged {
    /// That of a run with a result.
    pub(super) fn of(run: &Summary) -> Option<Self> {
        let (metric, _) = run.score()?;
        let checkpoints = ["last", "best"].map(|name| run.run.checkpoint(name));
        let mut read = checkpoints.iter().filter_map(|f| Checkpoint::read(f).ok());
        let description = read.find_map(|checkpoint| checkpoint.record.data);
        let data = run.config.get("data").and_then(Value::as_object);
        let setting = |name: &str| data.and_then(|d| d.get(name)).cloned();
        let learned = description.as_ref().map(learned);
        let inputs = OF_INPUTS.map(|name| json!([name, setting(name)]));
        Some(Self {
            dataset: run.setting("dataset"),
            fingerprint: description.and_then(|d| d.fingerprint),
            inputs: inputs.into(),
            learned: learned.unwrap_or_else(|| {
                json!([setting("label"), setting("task"), setting("log")]).to_string()
            }),
            test: test(run, &metric, &setting),
            metric,
        })
    }

    /// Whether both are judged by the same, as far as can be told.
    pub(super) fn is_surely(&self, other: &Self) -> bool {
        let same_data = match (&self.fingerprint, &other.fingerprint) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.dataset == other.dataset,
            _ => false,
        };
        same_data && self.differs_from(other).is_none()
    }

    /// What is learned, where there is room for a few names.
    pub(super) fn learned(&self) -> String {
        let names: Vec<&str> = self.learned.split(", ").collect();
        match names.len() > MOST_NAMES {
            true => format!(
                "{} and {} more",
                names[..MOST_NAMES].join(", "),
                names.len() - MOST_NAMES
            ),
            false => self.learned.clone(),
        }
    }

    /// In what they differ, so that nothing follows from their results: a phrase for each of the two.
    pub(super) fn differs_from(&self, other: &Self) -> Option<(String, String)> {
        let both =
            |what: &str, a: &str, b: &str| Some((format!("{what} {a}"), format!("{what} {b}")));
        if self.metric != other.metric {
            return both("is judged by", &self.metric, &other.metric);
        }
        if self.learned != other.learned {
            let [of_self, of_other] = match self.learned() == other.learned() {
                true => [self.learned.clone(), other.learned.clone()],
                false => [self.learned(), other.learned()],
            };
            return both("learns", &of_self, &of_other);
        }
        let same_path = self.dataset == other.dataset;
        match (&self.fingerprint, &other.fingerprint) {
            (Some(a), Some(b)) if a == b => {}
            // The same examples of which other columns are read.
            (Some(_), Some(_)) if same_path && self.inputs != other.inputs => {}
            (Some(_), Some(_)) if same_path => {
                let what = "has learned from";
                let now = format!("{} as it is at another time", self.dataset);
                return both(what, &self.dataset, &now);
            }
            _ if same_path => {}
            _ => return both("has learned from", &self.dataset, &other.dataset),
        }
        (self.test != other.test)
            .then(|| both("is judged by the examples of", &self.test, &other.test))?
    }
}

/// What is learned, in words.
fn learned(description: &Description) -> String {
    match &description.target {
        Target::Classes { names } => format!("the classes {}", names.join(", ")),
        Target::Values { values } => {
            let names: Vec<String> = values
                .iter()
                .map(|v| match v.log {
                    true => format!("the logarithm of {}", v.name),
                    false => v.name.clone(),
                })
                .collect();
            names.join(", ")
        }
        Target::Tokens { count } => format!("the next of {count} tokens"),
    }
}

/// How the examples are chosen that a run is judged by, and what else its result depends on.
fn test(run: &Summary, metric: &str, setting: &dyn Fn(&str) -> Option<Value>) -> String {
    let mut chosen = Map::new();
    for name in ["test", "stratify"] {
        chosen.extend(setting(name).map(|value| (name.to_owned(), value)));
    }
    // Rows that are left out change which of the others are held out.
    if setting("missing") == Some("drop".into()) {
        chosen.insert("missing".to_owned(), "drop".into());
    }
    let of_run = |name: &str| run.config.get(name).filter(|v| !v.is_null());
    let batches = of_run("overfit_batches");
    let loss = of_run("loss").filter(|_| metric == "loss");
    let examples = run.result.as_ref().and_then(|r| r.get("examples"));
    let others = [
        ("overfit_batches", batches),
        ("loss", loss),
        ("examples", examples),
    ];
    for (name, value) in others {
        chosen.extend(value.map(|v| (name.to_owned(), v.clone())));
    }
    Value::Object(chosen).to_string()
}
