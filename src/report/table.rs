//! Tables for people: columns that are as wide as what is in them. Pure.

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As words do.
    Left,
    /// As numbers do.
    Right,
}

/// Rows of cells below their headings. The cells have to be safe to print.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Side)]) -> Self {
        let (headings, sides) = columns.iter().map(|(heading, side)| ((*heading).to_owned(), *side)).unzip();
        Table { sides, rows: vec![headings] }
    }

    /// Adds a row, with a cell for each column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Its lines, without spaces at their ends but those of the last cell.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.sides.len()).map(|column| width(column).unwrap_or_default()).collect();
        self.rows.iter().map(move |row| {
            let last = row.len().saturating_sub(1);
            let cells = row.iter().zip(&self.sides).zip(&widths).enumerate();
            let cells = cells.map(|(column, ((cell, side), width))| match side {
                Side::Right => format!("{cell:>width$}"),
                Side::Left if column == last => cell.clone(),
                Side::Left => format!("{cell:<width$}"),
            });
            cells.collect::<Vec<_>>().join("  ")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&[("NAME", Side::Left), ("N", Side::Right), ("REST", Side::Left)]);
        table.push(["a", "12", "x "].map(str::to_owned).to_vec());
        table.push(["数据数据数", "1", ""].map(str::to_owned).to_vec());
        let expected = ["NAME    N  REST", "a      12  x ", "数据数据数   1  "];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    }
}
