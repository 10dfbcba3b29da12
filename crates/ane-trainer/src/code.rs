//! Codes of errors, which `explain` takes. A new code is a variant, its entry in `ALL` and a section of `docs/errors.md`.

/// The sections, one a code.
const TEXT: &str = include_str!("../../../docs/errors.md");

/// A kind of error that keeps its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Usage,
    NotThere,
    UnknownDataset,
    DataNotHad,
    DataNotPublished,
    OwnData,
    TooFewExamples,
    Config,
    RunFile,
    NoCheckpoint,
    RunBusy,
    StateDiffers,
    CannotResume,
    NoRun,
    NotSoFar,
    UnknownDevice,
    EngineBusy,
    Supervised,
    Device,
    Memory,
    Illegal,
    NotOnEngine,
    Contradiction,
    ModelFile,
    Diverged,
    NonFiniteState,
    GaveUp,
    Export,
    Baseline,
}

impl Code {
    /// Every code, by its name.
    const ALL: [(&str, Self); 29] = [
        ("E0001", Self::Usage),
        ("E0002", Self::NotThere),
        ("E0101", Self::UnknownDataset),
        ("E0102", Self::DataNotHad),
        ("E0103", Self::DataNotPublished),
        ("E0104", Self::OwnData),
        ("E0105", Self::TooFewExamples),
        ("E0201", Self::Config),
        ("E0301", Self::RunFile),
        ("E0302", Self::NoCheckpoint),
        ("E0303", Self::RunBusy),
        ("E0304", Self::StateDiffers),
        ("E0305", Self::CannotResume),
        ("E0306", Self::NoRun),
        ("E0307", Self::NotSoFar),
        ("E0401", Self::UnknownDevice),
        ("E0402", Self::EngineBusy),
        ("E0403", Self::Supervised),
        ("E0404", Self::Device),
        ("E0501", Self::Memory),
        ("E0502", Self::Illegal),
        ("E0503", Self::NotOnEngine),
        ("E0504", Self::Contradiction),
        ("E0505", Self::ModelFile),
        ("E0601", Self::Diverged),
        ("E0602", Self::NonFiniteState),
        ("E0603", Self::GaveUp),
        ("E0701", Self::Export),
        ("E0702", Self::Baseline),
    ];

    /// Its name, such as `E0101`.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, code)| *code == self);
        found.map_or("", |(name, _)| name)
    }

    /// The names of all of them, each with what it is.
    pub(crate) fn titles() -> impl Iterator<Item = (&'static str, &'static str)> {
        let title = |&(name, _): &(&'static str, Self)| {
            let section = section(name)?;
            Some((name, section.lines().next()?.split_once(": ")?.1))
        };
        Self::ALL.iter().filter_map(title)
    }
}

/// What is to be said of a code, whose first line is its name and what it is.
pub(crate) fn section(name: &str) -> Option<&'static str> {
    TEXT.split("\n## ")
        .skip(1)
        .find(|section| section.split(':').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_section_and_every_section_a_code() {
        let sections: Vec<&str> = TEXT.split("\n## ").skip(1).collect();
        let titles: Vec<(&str, &str)> = Code::titles().collect();
        assert_eq!(titles.len(), Code::ALL.len());
        assert_eq!(sections.len(), Code::ALL.len());
        for ((name, code), section) in Code::ALL.into_iter().zip(sections) {
            assert!(section.starts_with(&format!("{name}: ")), "{section}");
            assert!(section.lines().count() > 2, "{section}");
            assert_eq!(code.name(), name);
        }
    }
}
