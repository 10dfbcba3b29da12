//! A folder of pictures by class: one folder per class, PNG or JPEG.
//!
//! What a run has learned is asked of a folder of pictures as well, without folders of classes.

use super::{
    Format, Kind, OwnDataError,
    error::{Problem, Sayer},
    picture::{is_picture, of_pictures},
    raw::{Raw, RawTargets},
    settings::DataSettings,
};
use crate::data::description::{Description, Target};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// See the module.
#[derive(Debug)]
pub(super) struct ImageFolder;

impl Format for ImageFolder {
    fn name(&self) -> &'static str {
        "a folder with a folder of PNG or JPEG pictures per class"
    }

    fn takes(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn kind(&self) -> Kind {
        Kind::Pictures
    }

    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError> {
        let say = Sayer(path);
        let folders = sorted(path, &say, |p| p.is_dir())?;
        let names: Vec<String> = folders.iter().map(|f| name_of(f)).collect();
        if folders.is_empty() {
            let pictures = sorted(path, &say, is_picture)?;
            if known.is_some() && !pictures.is_empty() {
                return of_pictures(pictures, None, settings, known, &say);
            }
            return Err(say
                .content("has no folder in it")
                .advise("put the pictures of each class into a folder called after the class"));
        }
        if let Some(Target::Classes { names: classes }) = known.map(|d| &d.target)
            && !settings.inputs_alone
            && let Some(other) = names.iter().find(|n| !classes.contains(n))
        {
            return Err(say
                .whole(Problem::Missing {
                    what: "class",
                    asked: other.clone(),
                    known: classes.clone(),
                })
                .advise("move that folder away, or train with some of that class"));
        }
        let (mut pictures, mut classes) = (Vec::new(), Vec::new());
        let mut others = 0;
        for (class, folder) in folders.iter().enumerate() {
            let here = sorted(folder, &say, is_picture)?;
            if here.is_empty() && known.is_none() {
                return Err(Sayer(folder)
                    .content("has no PNG or JPEG picture in it")
                    .advise("put pictures of the class there, or remove the folder"));
            }
            others += sorted(folder, &say, |p| p.is_file() && !is_picture(p))?.len();
            classes.resize(classes.len() + here.len(), class as u32);
            pictures.extend(here);
        }
        if names.len() < 2 && known.is_none() {
            return Err(say
                .whole(Problem::Differs {
                    expected: "folders of at least two classes".into(),
                    found: format!("the folder `{}` alone", names[0]),
                })
                .advise("put the pictures of each class into a folder called after the class"));
        }
        let targets = RawTargets::Classes { names, classes };
        let targets = (!settings.inputs_alone).then_some(targets);
        let raw = of_pictures(pictures, targets, settings, known, &say)?;
        Ok(Raw { others, ..raw })
    }
}

/// What is in a folder and not hidden, by name.
fn sorted(
    folder: &Path,
    say: &Sayer<'_>,
    is_wanted: fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, OwnDataError> {
    let at = |e: io::Error| say.at(format!("folder `{}`", folder.display()), e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let is_hidden = name_of(&path).starts_with('.');
        if !is_hidden && is_wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
