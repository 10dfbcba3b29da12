//! A library that, loaded before a program, answers for the system as macOS would.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const SOURCE: &str = r#"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
int sysctlbyname(const char *name, void *value, size_t *size, const void *to, size_t to_size) {
    const char *text = !strcmp(name, "machdep.cpu.brand_string") ? getenv("PRETENDED_BRAND")
                     : !strcmp(name, "hw.model") ? getenv("PRETENDED_MODEL")
                     : !strcmp(name, "kern.osproductversion") ? "26.1" : NULL;
    if (!text || to || to_size) return -1;
    size_t length = strlen(text) + 1;
    if (value && *size < length) return -1;
    if (value) memcpy(value, text, length);
    *size = length;
    return 0;
}
"#;

/// A Mac that is not there.
pub(crate) struct Mac {
    library: PathBuf,
}

impl Mac {
    /// Builds the library in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("mac.c"), folder.join("libmac.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status()
            .expect("a C compiler is needed");
        assert!(built.success());
        Self { library }
    }

    /// Lets `command` find a processor called `brand` in a machine called `model`.
    pub(crate) fn around<'a>(
        &self,
        command: &'a mut Command,
        brand: &str,
        model: &str,
    ) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &self.library)
            .env("PRETENDED_BRAND", brand)
            .env("PRETENDED_MODEL", model)
    }
}
