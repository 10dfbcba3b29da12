//! Tables of at most eighty columns.

use comfy_table::{ContentArrangement, Table, presets};

/// Columns of a terminal.
pub(crate) const COLUMNS: u16 = 80;

/// A table without lines, whose cells are broken where it would be wider.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS)
        .set_header(header);
    table
}
