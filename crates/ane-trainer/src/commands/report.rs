//! `report`: a run as one page of HTML.

use super::eval::{Asked, Judged, judged};
use crate::{
    code::Code,
    continuation::run_of,
    ended::Ended,
    failure::Failure,
    missing_run::missing_run,
    output::{self, say},
};
use ane_report::{
    curves::Curves,
    page::{Content, Page, Shown},
};
use ane_train::{
    checkpoint::replace_file,
    data::{Batch, IMAGE, Values},
    fit::Examples,
    judgement::{Judgement, ValuesJudged},
    run_dir::RunDir,
};
use half::f16;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Asked,
    /// The page [default: report.html in the run directory]
    #[arg(long, short, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

/// Most examples that are shown.
const MOST_SHOWN: usize = 24;
/// Most bytes of a JSON file of a run.
const LARGEST_JSON: u64 = 1 << 26;

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    if !args.of.run.exists() {
        return Err(missing_run(&args.of.run));
    }
    let Some(root) = run_of(&args.of.run) else {
        return Err(Failure::new(
            format!(
                "`{}` belongs to no run directory, whose course the page would show",
                args.of.run.display()
            ),
            "pass the directory of a run, or one of its .ckpt files",
        )
        .with_code(Code::NoRun));
    };
    let judged = judged(&args.of)?;
    let run = RunDir::open(&root);
    let name = |path: &Path| {
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = resolved.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let page = Page {
        curves: Curves::read(&run).ok(),
        name: name(&root),
        checkpoint: name(&judged.checkpoint),
        result: &judged.result,
        judgement: judged.judgement.as_ref(),
        examples: worst(&judged),
        timing: run.read_timing()?,
        config: json(&run.config()).unwrap_or_default(),
        placement: json(&root.join("placement.json")),
        environment: json(&root.join("env.json")),
        commands: text(&run.commands()).unwrap_or_default(),
    };
    let file = match &args.output {
        Some(file) => file.clone(),
        None => root.join("report.html"),
    };
    replace_file(&file, page.html().as_bytes())?;
    let (file, checkpoint) = (output::path(file), output::path(judged.checkpoint));
    let report = serde_json::json!({"file": file, "checkpoint": checkpoint});
    output::result(&report, || say!("{file}"));
    Ok(Ended::Done)
}

/// What a file of the run says; a page without it still shows the rest.
fn text(file: &Path) -> Option<String> {
    let bytes = ane_files::read(file, LARGEST_JSON).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn json(file: &Path) -> Option<Value> {
    serde_json::from_str(&text(file)?).ok()
}

/// The examples that were answered worst.
fn worst(judged: &Judged) -> Vec<Shown> {
    match &judged.judgement {
        Some(Judgement::Classes(classes)) => {
            let wrong = classes.most_wrong();
            let shown = wrong.iter().take(MOST_SHOWN);
            let name = |class: usize| classes.classes[class].name.clone();
            shown
                .filter_map(|(at, decision)| {
                    let (number, content) = content(&judged.examples, *at)?;
                    Some(Shown {
                        number,
                        content,
                        answered: name(decision.predicted),
                        wanted: name(decision.class),
                        confidence: decision.confidence,
                    })
                })
                .collect()
        }
        Some(Judgement::Values(values)) => farthest(values)
            .into_iter()
            .take(MOST_SHOWN)
            .filter_map(|at| {
                let (number, content) = content(&judged.examples, at)?;
                Some(Shown {
                    number,
                    content,
                    answered: of_row(&values.answered, at, values),
                    wanted: of_row(&values.wanted, at, values),
                    confidence: None,
                })
            })
            .collect(),
        None => Vec::new(),
    }
}

/// Examples by how far off their numbers are, the farthest first.
fn farthest(values: &ValuesJudged) -> Vec<usize> {
    let width = values.quantities.len().max(1);
    let rows = values
        .answered
        .chunks(width)
        .zip(values.wanted.chunks(width));
    let distance = |(answered, wanted): (&[f32], &[f32])| -> f64 {
        let pairs = answered.iter().zip(wanted).zip(&values.quantities);
        // Each quantity in the size of its usual error.
        pairs
            .map(|((a, w), q)| f64::from(a - w).abs() / q.rmse.max(f64::MIN_POSITIVE))
            .sum()
    };
    let mut all: Vec<(usize, f64)> = rows.map(distance).enumerate().collect();
    all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    all.into_iter().map(|(i, _)| i).collect()
}

fn of_row(rows: &[f32], at: usize, values: &ValuesJudged) -> String {
    let width = values.quantities.len();
    let row = rows[at * width..].iter().zip(&values.quantities);
    let named: Vec<String> = row.map(|(x, q)| format!("{} {x}", q.name)).collect();
    named.join(", ")
}

/// The number, from 1, of the example that was answered at this place, and what the model was given.
fn content(examples: &Examples, at: usize) -> Option<(u64, Content)> {
    let index = *examples.indices.get(at)?;
    let field = examples.data.field(IMAGE)?;
    let mut batch = Batch::new(1, 1);
    examples.data.fill(&[(index, 0)], &mut batch).ok()?;
    let Some(Values::Fp16(bits)) = batch.get(IMAGE) else {
        return None;
    };
    let values = bits.iter().map(|&b| f16::from_bits(b).to_f32()).collect();
    let content = match field.shape.dims() {
        &[channels @ (1 | 3), rows, columns] => Content::Picture {
            shape: [channels, rows, columns],
            values,
        },
        _ => Content::Row(values),
    };
    Some((u64::from(index) + 1, content))
}
