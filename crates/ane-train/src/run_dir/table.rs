//! The metrics as a table of comma-separated values, made of the lines that hold them: same columns, same digits.

use super::row::Row;

/// The names of a row's values.
fn head(row: &Row) -> String {
    csv_row(row.texts().map(|(name, _)| name))
}

/// A row's values.
pub(super) fn body(row: &Row) -> String {
    csv_row(row.texts().map(|(_, text)| text))
}

/// Head and body of a row: how a table begins.
pub(super) fn beginning(row: &Row) -> String {
    head(row) + &body(row)
}

/// The table of all rows.
pub(super) fn of(rows: &[Row]) -> String {
    let mut table = rows.first().map_or_else(String::new, head);
    table.extend(rows.iter().map(body));
    table
}

/// Cells as a row of comma-separated values, with its line end.
pub fn csv_row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(cell).collect();
    cells.join(",") + "\n"
}

/// A cell, in quotes where its text would end it.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_values_as_they_stand_and_nothing_for_null() {
        let rows =
            Row::all("{\"epoch\":1,\"loss\":0.30000000000000004}\n{\"epoch\":2,\"loss\":null}\n");
        assert_eq!(of(&rows), "epoch,loss\n1,0.30000000000000004\n2,\n");
        assert_eq!(of(&rows), beginning(&rows[0]) + &body(&rows[1]));
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn a_cell_with_a_comma_is_quoted() {
        let row = Row::parse(r#"{"a,b":"c\"d"}"#).unwrap();
        assert_eq!(beginning(&row), "\"a,b\"\n\"\"\"c\\\"\"d\"\"\"\n");
    }
}
