//! Tables for the terminal: columns as wide as their widest cell.

/// The rows, each on its line, the first one the head. Cells are parted by two blanks; nothing trails.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A row out of anything that is text.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let rows = [row(["box", "room", ""]), row(["door-silver", "Zoë", "x"]), row(["d", "", ""])];
        assert_eq!(aligned(&rows), "box          room\ndoor-silver  Zoë   x\nd\n");
        assert_eq!(aligned(&[]), "");
    }
}
