//! `generate`: a text that a language model goes on with.

use super::train::tell;
use crate::{
    ended::Ended,
    failure::Failure,
    numbers,
    output::{self, remark},
    stored::{Restored, Stored},
    supervision::SupervisionArgs,
};
use ane_train::{
    Decoding, Trainer,
    data::description::Input,
    sampling::{Sampler, Sampling},
};
use serde::Serialize;
use std::{
    io::{self, Read},
    path::PathBuf,
    time::Instant,
};

/// Most bytes of a prompt.
const LONGEST_PROMPT: u64 = 1 << 24;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory, or one of its .ckpt files; of a directory, `best` where there is one
    run: PathBuf,
    /// The text that is gone on with, or - for standard input [default: a line end]
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Most tokens that are said
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200, value_parser = numbers::whole(1..=u64::from(u32::MAX)))]
    max_tokens: u64,
    /// What scores are divided by: 0 says the likeliest token always, more than 1 unlikely ones more often
    #[arg(long, short, default_value_t = 0.8, value_parser = numbers::not_negative)]
    temperature: f64,
    /// Choose among so many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::whole(0..=u64::from(u32::MAX)))]
    top_k: u64,
    /// Choose among the likeliest tokens whose probabilities together come to this
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    top_p: f64,
    /// Seed of chance: the same prompt and seed give the same text
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// End before this text; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    #[command(flatten)]
    supervision: SupervisionArgs,
    /// Threads; every core when left out
    #[arg(long, value_parser = numbers::threads)]
    threads: Option<usize>,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&x: &f64| x > 0.0 && x <= 1.0);
    number.ok_or_else(|| "expected a number above 0, up to 1".to_owned())
}

/// Why nothing more was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Stopped {
    MaxTokens,
    StopText,
    EndOfText,
}

/// What was said.
#[derive(Serialize)]
struct Report {
    checkpoint: String,
    prompt: String,
    text: String,
    prompt_tokens: usize,
    tokens: usize,
    stopped: Stopped,
    prompt_seconds: f64,
    seconds: f64,
    tokens_per_second: f64,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let stored = Stored::read(&args.run)?;
    let decoder = stored.config.model()?.decoder(&stored.data.examples());
    let (Some(decoder), Input::Tokens { tokenizer, .. }) = (decoder, &stored.data.input) else {
        return Err(Failure::usage(
            format!(
                "the run has learned from {}, and only language models say texts",
                stored.data.input.kind()
            ),
            "`ane-trainer predict` says what it makes of new examples",
        ));
    };
    let tokenizer = tokenizer.tokenizer().map_err(text_failure)?;
    let prompt = match args.prompt.as_deref() {
        Some("-") => standard_input()?,
        Some(prompt) => prompt.to_owned(),
        None => "\n".to_owned(),
    };
    let mut ids: Vec<u32> = tokenizer.begin_of_text().into_iter().collect();
    ids.extend(tokenizer.encode(&prompt).map_err(text_failure)?);
    let context = decoder.sizes().context;
    if ids.is_empty() {
        return Err(Failure::usage(
            "the prompt is empty, and a token follows others",
            "pass a text by --prompt",
        ));
    }
    if ids.len() > context {
        return Err(Failure::usage(
            format!(
                "the prompt has {} tokens, and the model sees {context} at a time",
                ids.len()
            ),
            "pass a shorter one, or train with a larger --context",
        ));
    }
    let Restored {
        mut trainer,
        mut faults,
        lock: _lock,
    } = stored.restore(&args.supervision, args.threads)?;
    let decoding = Decoding::new(&trainer, decoder, 1)?;
    let mut generation = Generation {
        decoding,
        trainer: &mut trainer,
        ids,
        sampler: Sampler::new(Sampling {
            temperature: args.temperature,
            top_k: args.top_k as usize,
            top_p: args.top_p,
            seed: args.seed,
        }),
    };
    let begun = Instant::now();
    let prompt_tokens = generation.ids.len();
    let mut scores = generation.read_prompt()?;
    let prompt_seconds = begun.elapsed().as_secs_f64();
    output::write(&prompt);
    let begun = Instant::now();
    let mut said = Said::new(&args.stop);
    let mut decoder = tokenizer.decoder();
    let mut stopped = Stopped::MaxTokens;
    let mut tokens = 0;
    while tokens < args.max_tokens as usize {
        let token = generation.sampler.next(&scores);
        if tokenizer.end_of_text() == Some(token) {
            stopped = Stopped::EndOfText;
            break;
        }
        tokens += 1;
        output::write(&said.add(&decoder.push(token).map_err(text_failure)?));
        if said.is_over {
            stopped = Stopped::StopText;
            break;
        }
        if tokens < args.max_tokens as usize {
            scores = generation.go_on(token)?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    if !said.is_over {
        output::write(&said.add(&decoder.finish().map_err(text_failure)?));
        output::write(&said.finish());
    }
    output::write("\n");
    tell(&mut faults);
    let report = Report {
        checkpoint: output::path(&stored.path),
        prompt,
        text: said.text,
        prompt_tokens,
        tokens,
        stopped,
        prompt_seconds,
        seconds,
        tokens_per_second: tokens as f64 / seconds.max(1e-9),
    };
    remark!(
        "{} tokens in {:.2} s, {:.0} tokens/s; a prompt of {} in {:.3} s",
        report.tokens,
        report.seconds,
        report.tokens_per_second,
        report.prompt_tokens,
        report.prompt_seconds
    );
    output::result(&report, || {});
    Ok(Ended::Done)
}

/// A sequence that is gone on with.
struct Generation<'a> {
    decoding: Decoding,
    trainer: &'a mut Trainer,
    /// All tokens, those of the prompt first.
    ids: Vec<u32>,
    sampler: Sampler,
}

impl Generation<'_> {
    /// Scores of what follows the prompt.
    fn read_prompt(&mut self) -> Result<Vec<f32>, Failure> {
        let from = self.ids.len().saturating_sub(self.decoding.context());
        self.feed(from)
    }

    /// Scores of what follows another token. Where the context is full, its later half is read anew.
    fn go_on(&mut self, token: u32) -> Result<Vec<f32>, Failure> {
        self.ids.push(token);
        let context = self.decoding.context();
        if self.decoding.length() < context {
            return self.feed(self.ids.len() - 1);
        }
        self.decoding.clear();
        self.feed(self.ids.len() - context.div_ceil(2))
    }

    fn feed(&mut self, from: usize) -> Result<Vec<f32>, Failure> {
        let fed = self.decoding.feed(self.trainer, &self.ids[from..]);
        let all = fed.map_err(|e| match e {
            ane_train::DecodingError::Trainer(e) => e.into(),
            other => Failure::of(other, None),
        })?;
        let vocabulary = all.len() / (self.ids.len() - from);
        Ok(all[all.len() - vocabulary..].to_vec())
    }
}

/// What was said so far, held back where it may be the beginning of a text that ends it.
struct Said<'a> {
    stops: &'a [String],
    text: String,
    /// Bytes of the text that were given out.
    given: usize,
    is_over: bool,
}

impl<'a> Said<'a> {
    fn new(stops: &'a [String]) -> Self {
        Self {
            stops,
            text: String::new(),
            given: 0,
            is_over: false,
        }
    }

    /// What may be shown once `more` was said.
    fn add(&mut self, more: &str) -> String {
        self.text.push_str(more);
        let stops = self.stops.iter().filter(|s| !s.is_empty());
        let found = stops
            .clone()
            .filter_map(|s| self.text.find(s.as_str()))
            .min();
        let end = match found {
            Some(at) => {
                self.text.truncate(at);
                self.is_over = true;
                at
            }
            None => {
                let begun = stops.map(|s| begins(&self.text, s)).max();
                self.text.len() - begun.unwrap_or(0)
            }
        };
        self.show_to(end)
    }

    /// What was held back.
    fn finish(&mut self) -> String {
        self.show_to(self.text.len())
    }

    fn show_to(&mut self, end: usize) -> String {
        let shown = self
            .text
            .get(self.given..end)
            .unwrap_or_default()
            .to_owned();
        self.given = self.given.max(end);
        shown
    }
}

/// How many bytes at the end of a text are the beginning of another.
fn begins(text: &str, other: &str) -> usize {
    let ends = other.char_indices().map(|(at, _)| at).rev();
    let mut begun = ends.filter(|&n| n > 0 && text.ends_with(&other[..n]));
    begun.next().unwrap_or(0)
}

fn text_failure(e: ane_text::TextError) -> Failure {
    Failure::of(e, None)
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin()
        .lock()
        .take(LONGEST_PROMPT)
        .read_to_string(&mut text);
    read.map_err(|e| {
        Failure::because(
            "cannot read the prompt from standard input",
            e,
            "pass a text in UTF-8",
        )
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_before_what_stops_it_however_it_is_cut() {
        let stops = ["END".to_owned(), "\n\n".to_owned()];
        let mut said = Said::new(&stops);
        let shown: Vec<String> = ["one E", "N", "t two E", "ND three"]
            .map(|t| said.add(t))
            .into();
        assert_eq!(shown, ["one ", "", "ENt two ", ""]);
        assert!(said.is_over && said.text == "one ENt two ");
        let mut said = Said::new(&stops);
        assert_eq!(said.add("line\n"), "line");
        assert_eq!(said.finish(), "\n");
        assert!(!said.is_over);
    }
}
