//! `foreign`: no path into somebody's home folder.

use crate::tidy::Violation;
use crate::tree::Tree;

/// Folders in which each user has one, by name.
const HOMES: &[&str] = &["home", "Users"];

/// The home folder of the system's own user.
const SYSTEM_HOME: &str = "root";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files() {
        for (number, line) in file.lines() {
            if let Some(path) = home_path(line) {
                violations.push(Violation::new(
                    &file.path,
                    number,
                    format!("`{path}` is a path of one machine"),
                ));
            }
        }
    }
    violations
}

/// The first path into a home folder in a line, up to the name of its owner.
fn home_path(line: &str) -> Option<&str> {
    for (at, _) in line.match_indices('/') {
        // Behind a name this is the middle of a longer path, and behind a slash the start of a host.
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| is_name(c) || "/~})".contains(c)) {
            continue;
        }
        let mut parts = line[at + 1..].split('/');
        let (first, second, has_more) = (parts.next()?, parts.next(), parts.next().is_some());
        if first == SYSTEM_HOME && second.is_some() {
            return Some(&line[at..at + first.len() + 2]);
        }
        let owner = second.filter(|owner| {
            HOMES.contains(&first) && has_more && !owner.is_empty() && owner.chars().all(is_name)
        });
        if let Some(owner) = owner {
            return Some(&line[at..at + first.len() + owner.len() + 3]);
        }
    }
    None
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "_-.".contains(c)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings;

    #[test]
    fn paths_that_belong_to_nobody_pass() {
        let text = "crates/root/x https://example.org/home/a/b /home /Users/<name>/x $HOME/x ~/x /rooted/ a/home/b/c /usr/bin/env\n";
        assert_eq!(findings(super::check, &[("a.md", text)]), [""; 0]);
    }

    #[test]
    fn paths_into_a_home_are_reported() {
        let root = format!("x = \"/{}/x\"\n", "root");
        let user = format!("ok\n(/{}/somebody/x)\n", "home");
        let mac = format!("/{}/some.body/", "Users");
        let expected = [
            format!("a.toml:1: `/{}/` is a path of one machine", "root"),
            format!("b.md:2: `/{}/somebody/` is a path of one machine", "home"),
            format!("c:1: `/{}/some.body/` is a path of one machine", "Users"),
        ];
        assert_eq!(
            findings(
                super::check,
                &[("a.toml", &root), ("b.md", &user), ("c", &mac)]
            ),
            expected
        );
    }
}
