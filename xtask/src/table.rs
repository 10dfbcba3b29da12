//! Plain text tables: a heading, a rule, rows; the first column to the left, the others to the right.

/// Renders rows under a heading; a row may be shorter than the heading.
pub(crate) fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain([heading[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    push_row(&mut text, &widths, heading);
    push_row(
        &mut text,
        &widths,
        &widths
            .iter()
            .map(|width| "-".repeat(*width))
            .collect::<Vec<_>>(),
    );
    for row in rows {
        push_row(&mut text, &widths, row);
    }
    text
}

fn push_row<S: AsRef<str>>(text: &mut String, widths: &[usize], cells: &[S]) {
    let mut line = String::new();
    for (column, width) in widths.iter().enumerate() {
        let cell = cells.get(column).map_or("", AsRef::as_ref);
        let padding = " ".repeat(width - cell.chars().count().min(*width));
        let gap = if column == 0 { "" } else { "  " };
        let (before, after) = if column == 0 {
            ("", padding.as_str())
        } else {
            (padding.as_str(), "")
        };
        line.extend([gap, before, cell, after]);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_the_first_column_left_and_the_others_right() {
        let rows = [
            vec!["fmt".to_owned(), "1.5 s".to_owned()],
            vec!["clippy".to_owned()],
        ];
        assert_eq!(
            render(&["stage", "time"], &rows),
            "stage    time\n------  -----\nfmt     1.5 s\nclippy\n"
        );
    }
}
