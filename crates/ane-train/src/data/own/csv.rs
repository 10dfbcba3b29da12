//! Tables of text: CSV and TSV, also gzipped.
//!
//! The file is read twice: for what its columns hold, and for the cells as numbers. A large table is kept as numbers in the
//! cache, by the path, size and time of the file and by what was asked of it.

use super::{
    Format, Kind, OwnDataError,
    cells::{ColumnKind, Columns, Place, number, number_with},
    error::{Problem, Sayer},
    raw::Raw,
    roles::{self, Roles},
    rows::Rows,
    settings::DataSettings,
    table::{self, Table},
    table_cache::TableCache,
};
use crate::data::{Description, description::Input};
use ::csv::{ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;
use std::{
    io::{self, BufReader, Read, Write},
    path::Path,
};

/// Most columns of a table.
const MOST_COLUMNS: usize = 16_384;
/// Longest line that is looked at, in bytes.
const LONGEST_LINE: usize = 16 << 20;
/// Bytes from which the delimiter is told.
const SNIFFED: usize = 64 << 10;
/// What may stand between cells.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// See the module.
#[derive(Debug)]
pub(super) struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "CSV or TSV (.csv, .tsv, .csv.gz, .tsv.gz)"
    }

    fn takes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        [".csv", ".tsv"].iter().any(|end| name.ends_with(end))
    }

    fn kind(&self) -> Kind {
        Kind::Table
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let mut text = Text::open(path, settings)?;
        text.call_as(known);
        // In a file without the label a place would be another column.
        let settings = &match known {
            None => text.with_names(settings),
            Some(_) => settings.clone(),
        };
        let roles = Roles::of(&text.names, path, settings, known)?;
        let table = read(&text, &roles, settings, known)?;
        table::into_raw(table, &roles, path, settings, known)
    }
}

/// The same with the line of the row that it is of, where that is one of a table of text.
pub(super) fn with_line(error: OwnDataError, settings: &DataSettings) -> OwnDataError {
    let (Some(row), None) = (error.row, error.line) else {
        return error;
    };
    if !Csv.takes(&error.path) {
        return error;
    }
    let mut found = None;
    // What cannot be read again has no line to be named.
    let _ = Text::open(&error.path, settings).and_then(|text| {
        text.each(|place, _| {
            if place.row as u64 + 1 == row {
                found = Some(place.line);
            }
            Ok(())
        })
    });
    OwnDataError {
        line: found,
        ..error
    }
}

/// A file as lines of cells.
struct Text<'a> {
    path: &'a Path,
    delimiter: u8,
    /// The sign before decimals.
    decimal: char,
    has_header: bool,
    names: Vec<String>,
}

/// The cells of a file, with texts where columns hold them.
fn read(
    text: &Text<'_>,
    roles: &Roles,
    settings: &DataSettings,
    known: Option<&Description>,
) -> Result<Table, OwnDataError> {
    let path = text.path;
    let say = Sayer(path);
    let cache = TableCache::of(path, &text.key(), roles, settings, known);
    if let Some(table) = cache.as_ref().and_then(TableCache::read) {
        return Ok(table);
    }
    let mut columns = Columns::new(text.names.clone(), roles, settings, known);
    let rows = text.each(|place, cells| columns.look(place, cells))?;
    if rows == 0 {
        return Err(say
            .content("has no rows but its header")
            .advise(match known {
                None => "pass --no-header if the first line is an example",
                Some(_) => "add a row for each example",
            }));
    }
    let kinds = columns.kinds(&say)?;
    let write = |out: &mut dyn Write| {
        text.each(|_, cells| {
            for (cell, (kind, _)) in cells.iter().zip(&kinds) {
                let x = match kind {
                    ColumnKind::Numbers => number_with(cell, text.decimal).unwrap_or(f32::NAN),
                    ColumnKind::Texts(texts) => texts.index(cell),
                };
                out.write_all(&x.to_le_bytes()).map_err(|e| {
                    say.content(format!("cannot be kept as numbers in the cache: {e}"))
                        .advise("make space there, or let ANE_TRAINER_CACHE name another directory")
                })?;
            }
            Ok(())
        })
    };
    let columns = text.names.iter().cloned();
    let columns = table::columns(columns.zip(&kinds));
    match cache {
        Some(cache) => cache.write(columns, write, &say),
        None => {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            let rows = Rows::held(super::rows::Element::Fp32, columns.len(), bytes);
            Ok(Table { columns, rows })
        }
    }
}

/// The file, decompressed where it has to be.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let (file, _) = ane_files::open(path)?;
    let file = BufReader::with_capacity(1 << 18, file);
    let is_gzip = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

impl<'a> Text<'a> {
    fn open(path: &'a Path, settings: &DataSettings) -> Result<Self, OwnDataError> {
        let say = Sayer(path);
        let mut start = Vec::new();
        let read = open(path).and_then(|file| file.take(SNIFFED as u64).read_to_end(&mut start));
        read.map_err(|e| say.whole(e))?;
        if start.iter().all(u8::is_ascii_whitespace) {
            return Err(say
                .content("is empty")
                .advise("pass a table with a row per example"));
        }
        if start.contains(&0) {
            return Err(say
                .content("holds zero bytes, which no text has")
                .advise("save it as text in UTF-8; a .npy file has that ending"));
        }
        let mut text = Self {
            path,
            delimiter: match settings.delimiter {
                Some(c) => u8::try_from(c).ok().filter(u8::is_ascii).ok_or_else(|| {
                    say.content(format!("cannot be divided at `{c}`"))
                        .advise("pass a delimiter of one byte, such as , or ;")
                })?,
                None => delimiter(&start),
            },
            decimal: settings.decimal_sign(),
            has_header: false,
            names: Vec::new(),
        };
        let mut first = None;
        text.lines(|_, cells| {
            first = Some(cells.clone());
            Ok(false)
        })?;
        let Some(first) = first else {
            return Err(say
                .content("is empty")
                .advise("pass a table with a row per example"));
        };
        if first.len() > MOST_COLUMNS {
            return Err(say.whole(Problem::TooMany {
                what: "columns".into(),
                most: MOST_COLUMNS as u64,
                found: first.len() as u64,
            }));
        }
        // A line of names has no numbers in it.
        let is_number = |cell: &str| number(cell).is_ok() || number_with(cell, ',').is_ok();
        let looks_so = !first.iter().any(is_number);
        text.has_header = settings.header.unwrap_or(looks_so);
        text.names = if text.has_header {
            names(&first, &say)?
        } else {
            (0..first.len()).map(|i| i.to_string()).collect()
        };
        Ok(text)
    }

    /// What else than the file decides its cells.
    fn key(&self) -> String {
        format!("{} {} {}", self.delimiter, self.has_header, self.decimal)
    }

    /// Calls columns without names as a run does that has learned from so many, where they are inputs alone: their places
    /// are not those of a table with its label.
    fn call_as(&mut self, known: Option<&Description>) {
        if let Some(Input::Table { columns }) = known.map(|d| &d.input)
            && !self.has_header
            && self.names.len() == columns.len()
        {
            self.names = columns.iter().map(|c| c.name.clone()).collect();
        }
    }

    /// The same settings with names for columns that are called by their places.
    fn with_names(&self, settings: &DataSettings) -> DataSettings {
        let mut settings = settings.clone();
        let columns = settings.ignore.iter_mut().chain(&mut settings.categorical);
        for name in columns.filter(|name| !self.names.contains(name)) {
            if let Some(found) = roles::place(name, self.names.len()) {
                name.clone_from(&self.names[found]);
            }
        }
        settings
    }

    /// Calls `take` with every line of cells, by number from 1, until it wants no more.
    fn lines(
        &self,
        mut take: impl FnMut(u64, &StringRecord) -> Result<bool, OwnDataError>,
    ) -> Result<(), OwnDataError> {
        let say = Sayer(self.path);
        let file = open(self.path).map_err(|e| say.whole(e))?;
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Limited::new(file));
        let mut record = StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    if record.len() == 1 && record.get(0).is_some_and(|c| c.trim().is_empty()) {
                        continue;
                    }
                    let line = record.position().map_or(line, ::csv::Position::line);
                    if !take(line, &record)? {
                        return Ok(());
                    }
                }
                Err(e) => return Err(said(&say, line, e)),
            }
        }
    }

    /// Calls `take` with every row and where it is; gives how many there are.
    fn each(
        &self,
        mut take: impl FnMut(Place, &StringRecord) -> Result<(), OwnDataError>,
    ) -> Result<usize, OwnDataError> {
        let say = Sayer(self.path);
        let (mut row, mut is_first) = (0, true);
        self.lines(|line, cells| {
            if std::mem::take(&mut is_first) && self.has_header {
                return Ok(true);
            }
            if cells.len() != self.names.len() {
                let differs = Problem::Differs {
                    expected: format!("{} cells, as the first line has", self.names.len()),
                    found: cells.len().to_string(),
                };
                return Err(OwnDataError {
                    line: Some(line),
                    ..say.row(row, differs)
                }
                .advise("mend that line, put text that holds the delimiter in quotes, or pass --delimiter"));
            }
            take(Place { row, line }, cells)?;
            row += 1;
            Ok(true)
        })?;
        Ok(row)
    }
}

/// What the parser has to say.
fn said(say: &Sayer<'_>, line: u64, e: ::csv::Error) -> OwnDataError {
    match e.into_kind() {
        ::csv::ErrorKind::Io(e) => say.line(line, e),
        ::csv::ErrorKind::Utf8 { .. } => say
            .line(
                line,
                Problem::Content("holds bytes that are no UTF-8".into()),
            )
            .advise("save it as UTF-8"),
        other => say.line(
            line,
            Problem::Content(format!("cannot be divided into cells: {other:?}")),
        ),
    }
}

/// Names of columns, which have to differ.
fn names(first: &StringRecord, say: &Sayer<'_>) -> Result<Vec<String>, OwnDataError> {
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    let mut seen = std::collections::HashMap::new();
    for (i, cell) in first.iter().enumerate() {
        let cell = cell.trim().trim_start_matches('\u{feff}').to_owned();
        let name = if cell.is_empty() { i.to_string() } else { cell };
        if let Some(before) = seen.insert(name.clone(), i) {
            return Err(say
                .line(
                    1,
                    Problem::Content(format!("columns {before} and {i} are both called `{name}`")),
                )
                .advise("give every column a name of its own"));
        }
        names.push(name);
    }
    Ok(names)
}

/// The delimiter that divides the first lines into the same number of cells, as many as can be.
fn delimiter(start: &[u8]) -> u8 {
    let lines: Vec<&[u8]> = start.split(|&b| b == b'\n').take(20).collect();
    // The last one may have been cut off.
    let whole = &lines[..lines.len().saturating_sub(1).max(1)];
    let count = |d: u8| {
        let of = |line: &&[u8]| line.iter().filter(|&&b| b == d).count();
        let counts: Vec<usize> = whole.iter().filter(|l| !l.is_empty()).map(of).collect();
        let first = counts.first().copied().unwrap_or(0);
        (counts.iter().all(|&c| c == first), first)
    };
    DELIMITERS
        .into_iter()
        .filter(|&d| count(d).1 > 0)
        .max_by_key(|&d| (count(d), std::cmp::Reverse(d)))
        .unwrap_or(b',')
}

/// A file whose lines have an end: one that goes on without is no table, and would fill the memory.
struct Limited<R> {
    inner: R,
    since_line: usize,
}

impl<R> Limited<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            since_line: 0,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.since_line = match out[..n].iter().rposition(|&b| b == b'\n') {
            Some(last) => n - last - 1,
            None => self.since_line + n,
        };
        if self.since_line > LONGEST_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line is longer than {} MB", LONGEST_LINE >> 20),
            ));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_what_divides_all_lines_alike() {
        for (text, wanted) in [
            ("a,b,c\n1,2,3\n", b','),
            ("a;b\n1,5;2,5\n3,1;4,1\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("only\n1\n", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes()), wanted, "{text}");
        }
    }
}
