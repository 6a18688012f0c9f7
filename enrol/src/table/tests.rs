//! Tables of tables, as spreadsheets, portals and people leave them.

use super::*;

fn known(cell: &str) -> bool {
    ["id", "name", "room"].contains(&cell)
}

fn parse(text: &str) -> Table {
    Table::parse(text.as_bytes(), known).unwrap_or_else(|problems| panic!("{text:?}: {problems}"))
}

fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
    parse(text).rows.into_iter().map(|record| (record.line, record.cells)).collect()
}

fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
    (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
}

#[test]
fn separators_are_told_from_the_header() {
    for text in [
        "id,name,room\n1,Ada; B|C,R\n",
        "id;name;room\n1;Ada, B;R\n",
        "id\tname\troom\n1\tAda\tR\n",
        "id|name|room\n1|Ada|R\n",
        "sep=;\nid;name;room\n1;Ada;R\n",
        "\"sep=;\"\r\nid;name;room\r\n1;Ada;R\r\n",
        "SEP=\t\rid\tname\troom\r1\tAda\tR\r",
        "sep=^\nid^name^room\n1^Ada^R\n",
    ] {
        let table = parse(text);
        assert_eq!((table.known, table.rows.len()), (3, 1), "{text:?}");
        assert_eq!(table.rows[0].cells.len(), 3, "{text:?}");
    }
}

#[test]
fn lines_are_true_whatever_ends_them() {
    let wanted = [row(2, &["1", "A", "R"]), row(4, &["2", "B\nb", "R"]), row(6, &["3", "C", "R"])];
    for end in ["\n", "\r", "\r\n"] {
        let text = "id,name,room\n1,A,R\n\n2,\"B\nb\",R\n3,C,R".replace('\n', end);
        let read: Vec<_> =
            rows(&text).into_iter().map(|(line, cells)| (line, cells.join("|").replace(end, "\n"))).collect();
        let wanted: Vec<_> = wanted.iter().map(|(line, cells)| (*line, cells.join("|"))).collect();
        assert_eq!(read, wanted, "{end:?}");
    }
    assert_eq!(
        rows("id,name,room\r1,A,R\n2,B,R\r\n3,C,R"),
        [1, 2, 3]
            .map(|n| (n + 1, rows(&format!("id,name,room\n{n},{},R", ["A", "B", "C"][n as usize - 1]))[0].1.clone()))
    );
    assert_eq!(rows("sep=,\r\nid,name,room\r\n1,A,R")[0].0, 3);
}

#[test]
fn what_spreadsheets_put_around_cells_is_taken_off() {
    assert_eq!(
        rows("id,name,room\n\u{a0}1 ,\u{200b}Ada\u{feff},=\"007\"\n\"=\"\"008\"\"\",\" B \" ,R\n"),
        [row(2, &["1", "Ada", "007"]), row(3, &["008", "B", "R"])]
    );
}

#[test]
fn empty_lines_and_columns_are_no_rows() {
    let table = parse("id,name,room,,\n\n1,A,R,,\n2,B,R\n3,C,R,,,,\n,,,,\n , ,\t,,\n");
    assert_eq!(table.width(), 3);
    assert_eq!(table.rows.len(), 3);
    assert!(table.rows.iter().all(|record| table.misfit(record).is_none()));
}

#[test]
fn titles_above_the_header_are_passed_over() {
    let table = parse("Final exam,,\nroom 101,name?,\n\nid,name,room\n1,A,R\n");
    assert_eq!((table.header.line, table.above, table.rows.len()), (4, vec![1, 2], 1));
}

#[test]
fn a_wrong_number_of_cells_says_what_it_may_be() {
    for (line, wanted) in [
        ("1,A", "the header has 3 fields, this line 2: a separator too few, or a quote left open"),
        ("1,A,B,R", "the header has 3 fields, this line 4: a separator too many"),
        ("1,A,R,,x", "the header has 3 fields, this line 5: a separator too many"),
        ("1;A;R", "the header has 3 fields, this line 1: this line is parted by `;`, the header is not"),
        ("1\tA\tR", "this line is parted by tabs"),
        ("1, \"B, A\",R", "a quote must be straight (\") and the first character of its cell"),
        ("1,“B, A”,R", "a quote must be straight"),
    ] {
        let table = parse(&format!("id,name,room\n{line}\n"));
        let said = table.misfit(&table.rows[0]).unwrap_or_default();
        assert!(said.contains(wanted), "{line:?}: {said:?} lacks {wanted:?}");
    }
}

#[test]
fn stray_quotes_are_named_where_they_open_and_other_lines_are_read() {
    for (text, wanted, lines) in [
        ("id,name,room\n1,A,R\n2,\"B,R\n3,C,R\n", "line 3: the quote that opens in cell 2 is never closed", vec![2]),
        ("id,name,room\r1,\"A \"x\" B\",R\r3,C,R\r", "line 2: cell 2 goes on behind the quote that closes it", vec![3]),
        (
            "id,name,room\n1,\"A,R\n2,\"B\",R\n3,C,R\n",
            "line 2: the quote that opens in cell 2 closes on line 3 only",
            vec![4],
        ),
    ] {
        let table = parse(text);
        assert_eq!(table.rows.iter().map(|record| record.line).collect::<Vec<_>>(), lines, "{text:?}");
        assert_eq!(table.problems.len(), 1, "{text:?}");
        assert!(table.problems[0].to_string().starts_with(wanted), "{:?} lacks {wanted:?}", table.problems);
    }
    let spoilt = Table::parse(b"\"id,name,room\n1,A,R\n", known).unwrap_err().to_string();
    assert!(spoilt.starts_with("line 1: the quote that opens in cell 1 is never closed"), "{spoilt}");
    let empty = Table::parse(b",,\n,,\n", known).unwrap_err().to_string();
    assert!(empty.starts_with("the file is empty"), "{empty}");
}
