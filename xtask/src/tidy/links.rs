//! `links`: a relative link in a document leads to a file or folder of this tree.

use crate::tidy::Violation;
use crate::tree::{File, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files().filter(|file| file.extension() == "md") {
        for (line, link) in links(file) {
            let Some(path) = relative_path(&link) else {
                continue;
            };
            if !resolve(&file.path, &path).is_some_and(|place| tree.contains(&place)) {
                violations.push(Violation::new(
                    &file.path,
                    line,
                    format!("the link `{link}` leads nowhere"),
                ));
            }
        }
    }
    violations
}

/// The targets of the links of a document, outside code, with their lines.
fn links(file: &File) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in file.lines() {
        let start = line.trim_start();
        match fence {
            Some(mark) if start.starts_with(mark) => fence = None,
            Some(_) => {}
            None => match ["```", "~~~"]
                .into_iter()
                .find(|mark| start.starts_with(mark))
            {
                Some(mark) => fence = Some(mark),
                None => links.extend(links_of_line(line).map(|link| (number, link))),
            },
        }
    }
    links
}

fn links_of_line(line: &str) -> impl Iterator<Item = String> {
    // Every second part between backticks is code; a lone backtick opens nothing.
    let parts: Vec<&str> = line.split('`').collect();
    let is_code = |i: usize| i % 2 == 1 && i + 1 < parts.len();
    let prose: String = parts
        .iter()
        .enumerate()
        .map(|(i, part)| if is_code(i) { "code" } else { part })
        .collect();
    let inline = prose
        .split("](")
        .skip(1)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let reference = prose
        .trim_start()
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with('^'));
    let reference = reference
        .and_then(|rest| rest.split_once("]:"))
        .map(|(_, link)| link.to_owned());
    inline
        .into_iter()
        .filter_map(|rest| target(&rest))
        .chain(reference.and_then(|rest| target(&rest)))
}

/// The target at the start of what follows `](` or `]:`, without a title.
fn target(rest: &str) -> Option<String> {
    let rest = rest.trim_start();
    if let Some(bracketed) = rest.strip_prefix('<') {
        return bracketed.split_once('>').map(|(link, _)| link.to_owned());
    }
    let mut depth = 0usize;
    let end = rest.find(|c: char| {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ => return c == ')' || c.is_whitespace(),
        }
        false
    });
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// The path of a link into this tree; `None` for an address and for a place in the same document.
fn relative_path(link: &str) -> Option<String> {
    let path = link.split(['#', '?']).next().unwrap_or_default();
    let has_scheme = path
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.contains('/'));
    (!path.is_empty() && !has_scheme && !path.starts_with("//")).then(|| path.replace("%20", " "))
}

/// The place a path means when a document names it; `None` if that is outside the tree.
fn resolve(document: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn links_that_lead_somewhere_pass() {
        let readme = "[a](docs/a.md#part) [b](<docs/a b.md>) [c](./docs/) ![d](docs/a%20b.md \"t\") [e](https://example.org/x)
[f](#here) `[g](no.md)` [`h`](docs/(x).md) [m](mailto:a@example.org)
[i]: docs/a.md
```text
[j](no.md)
```
";
        let files = [
            ("README.md", readme),
            ("docs/a.md", "[up](../README.md) [root](/README.md)\n"),
            ("docs/a b.md", ""),
            ("docs/(x).md", ""),
        ];
        assert_eq!(findings(super::check, &files), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_reported() {
        let files = [
            (
                "docs/a.md",
                "[x](b.md) and [y](../../c)\n\n[z]: <gone.md>\n",
            ),
            ("README.md", "```\n```\n[a](docs/b.md#c)\n"),
        ];
        let expected = [
            "README.md:3: the link `docs/b.md#c` leads nowhere",
            "docs/a.md:1: the link `../../c` leads nowhere",
            "docs/a.md:1: the link `b.md` leads nowhere",
            "docs/a.md:3: the link `gone.md` leads nowhere",
        ];
        assert_eq!(findings(super::check, &files), expected);
    }
}
