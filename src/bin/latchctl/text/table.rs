//! Columns that line up, by the width a terminal gives each character.

use unicode_width::UnicodeWidthStr;

use super::{Style, Tone, tame};

/// What stands between two columns.
const GAP: usize = 2;

#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn toned(tone: Tone, text: &str) -> Self {
        Cell { text: tame(text), tone }
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::toned(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::from(text.as_str())
    }
}

#[derive(Debug)]
pub struct Table {
    heads: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new<H: AsRef<str>>(heads: &[H]) -> Self {
        let heads = heads.iter().map(|h| Cell::toned(Tone::Faint, h.as_ref())).collect();
        Table { heads, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// A column that says nothing in any row is left out.
    pub fn show(&self, style: Style) -> String {
        let widths: Vec<usize> = self
            .heads
            .iter()
            .enumerate()
            .map(|(column, head)| {
                let widest = self.rows.iter().filter_map(|r| r.get(column)).map(Cell::width).max();
                widest.filter(|&w| w > 0).map_or(0, |w| w.max(head.width()))
            })
            .collect();
        std::iter::once(&self.heads).chain(&self.rows).map(|row| line(row, &widths, style)).collect()
    }
}

fn line(row: &[Cell], widths: &[usize], style: Style) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for (cell, &width) in row.iter().zip(widths).filter(|(_, w)| **w > 0) {
        if !cell.text.is_empty() {
            line.extend(std::iter::repeat_n(' ', owed));
            line.push_str(&style.paint(cell.tone, &cell.text));
            owed = 0;
        }
        owed += width - cell.width().min(width) + GAP;
    }
    line.push('\n');
    line
}

/// Lines of `key  value`, the values aligned; those without a value are left out.
pub fn pairs(pairs: &[(&str, Cell)], style: Style) -> String {
    let said = || pairs.iter().filter(|(_, value)| !value.text.is_empty());
    let width = said().map(|(key, _)| key.width()).max().unwrap_or(0);
    said()
        .map(|(key, value)| line(&[Cell::toned(Tone::Faint, key), value.clone()], &[width, 0xffff], style))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&["DOOR", "NAME", "NOTE", "MODE"]);
        table.row(vec!["a".into(), "Møterom 4".into(), "".into(), "locked".into()]);
        table.row(vec!["entrance".into(), "正面入口".into(), "".into(), Cell::toned(Tone::Bad, "blocked")]);
        table.row(vec!["".into(), "".into(), "".into(), "last".into()]);
        insta::assert_snapshot!(table.show(Style { colour: false }), @r"
        DOOR      NAME       MODE
        a         Møterom 4  locked
        entrance  正面入口   blocked
                             last
        ");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row(vec![Cell::toned(Tone::Bad, "x"), "y".into()]);
        assert_eq!(
            table.show(Style { colour: true }),
            "\x1b[2mA\x1b[0m  \x1b[2mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n"
        );
    }
}
