//! Annotated CSV, the form in which InfluxDB answers.

use serde_json::{Map, Value};

use super::Error;

/// The first cell of the row that tells the types of a table.
const TYPES: &str = "#datatype";
/// The first cell of the row that tells what stands for an empty cell.
const DEFAULTS: &str = "#default";
/// What InfluxDB counts its tables by; it says nothing about a figure.
const BOOKKEEPING: &[&str] = &["", "result", "table"];

/// Figures, one row each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// The keys of the rows, in the order in which they first came.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Map<String, Value>>,
    /// Whether there are more.
    pub is_truncated: bool,
}

/// The head of the table that is being read.
#[derive(Debug, Default)]
struct Head {
    types: Vec<String>,
    defaults: Vec<String>,
    names: Vec<String>,
}

impl Figures {
    /// Reads `csv`, of which at most `most` rows are kept.
    pub(super) fn parse(csv: &[u8], most: usize) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(csv);
        let (mut figures, mut head) = (Self::default(), Head::default());
        for record in reader.records() {
            let record = record.map_err(|_| Error::Unreadable("it is no CSV"))?;
            let cells: Vec<&str> = record.iter().collect();
            match cells.first().copied() {
                Some(TYPES) => {
                    head = Head {
                        types: owned(&cells),
                        ..Head::default()
                    };
                }
                Some(DEFAULTS) => head.defaults = owned(&cells),
                Some(other) if other.starts_with('#') => {}
                _ if head.types.is_empty() => return Err(Error::Unreadable("its columns have no types")),
                _ if head.names.is_empty() => {
                    head.names = owned(&cells);
                    figures.add_columns(&head)?;
                }
                _ if figures.rows.len() == most => {
                    figures.is_truncated = true;
                    break;
                }
                _ => figures.rows.push(head.row(&cells)?),
            }
        }
        Ok(figures)
    }

    fn add_columns(&mut self, head: &Head) -> Result<(), Error> {
        let mut names = head.names.iter().filter(|name| !BOOKKEEPING.contains(&name.as_str()));
        // An error that comes to light while InfluxDB answers is a table of its own.
        if names.clone().any(|name| name == "error") {
            return Err(Error::Unreadable("the query failed on the way"));
        }
        names.try_for_each(|name| {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
            Ok(())
        })
    }
}

impl Head {
    fn row(&self, cells: &[&str]) -> Result<Map<String, Value>, Error> {
        let mut row = Map::new();
        for (index, name) in self.names.iter().enumerate() {
            if BOOKKEEPING.contains(&name.as_str()) {
                continue;
            }
            let nothing = self.defaults.get(index).map_or("", String::as_str);
            let cell = cells
                .get(index)
                .copied()
                .filter(|cell| !cell.is_empty())
                .unwrap_or(nothing);
            let kind = self.types.get(index).map_or("string", String::as_str);
            row.insert(name.clone(), value(kind, cell)?);
        }
        Ok(row)
    }
}

fn owned(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn value(kind: &str, cell: &str) -> Result<Value, Error> {
    let misfit = || Error::Unreadable("a cell does not fit its column");
    if cell.is_empty() {
        return Ok(Value::Null);
    }
    match kind {
        "long" => cell.parse::<i64>().map(Value::from).map_err(|_| misfit()),
        "unsignedLong" => cell.parse::<u64>().map(Value::from).map_err(|_| misfit()),
        // What is no number, or without end, has no form in JSON.
        "double" => cell.parse::<f64>().map(Value::from).map_err(|_| misfit()),
        "boolean" => cell.parse::<bool>().map(Value::from).map_err(|_| misfit()),
        _ => Ok(cell.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TWO_TABLES: &str = "#datatype,string,long,dateTime:RFC3339,double,string,string\r\n\
        #group,false,false,false,false,true,true\r\n\
        #default,_result,,,,,\r\n\
        ,result,table,_time,_value,_field,host\r\n\
        ,,0,2026-07-01T00:00:00Z,0.25,cpu,pve1\r\n\
        ,,0,2026-07-01T00:05:00Z,NaN,cpu,\"pve, 1\"\r\n\
        \r\n\
        #datatype,string,long,dateTime:RFC3339,long,boolean,string\r\n\
        #group,false,false,false,false,true,true\r\n\
        #default,_result,,,,,lab\r\n\
        ,result,table,_time,_value,up,cluster\r\n\
        ,,1,2026-07-01T00:00:00Z,18,true,\r\n";

    #[test]
    fn rows_of_all_tables_have_the_types_of_their_columns() {
        let figures = Figures::parse(TWO_TABLES.as_bytes(), 10).unwrap();
        assert_eq!(figures.columns, ["_time", "_value", "_field", "host", "up", "cluster"]);
        let rows = json!(figures.rows);
        let wanted = json!([
            {"_time": "2026-07-01T00:00:00Z", "_value": 0.25, "_field": "cpu", "host": "pve1"},
            {"_time": "2026-07-01T00:05:00Z", "_value": null, "_field": "cpu", "host": "pve, 1"},
            {"_time": "2026-07-01T00:00:00Z", "_value": 18, "up": true, "cluster": "lab"},
        ]);
        assert_eq!((rows, figures.is_truncated), (wanted, false));
    }

    #[test]
    fn cell_may_hold_quotes_commas_and_line_breaks() {
        let csv = "#datatype,string,long,string\r\n#default,_result,,\r\n,result,table,note\r\n\
            ,,0,\"a \"\"b\"\", c\r\n,,1,d\"\r\n,,0,plain\n";
        let figures = Figures::parse(csv.as_bytes(), 10).unwrap();
        let wanted = json!([{"note": "a \"b\", c\r\n,,1,d"}, {"note": "plain"}]);
        assert_eq!(json!(figures.rows), wanted);
    }

    #[test]
    fn rows_beyond_the_most_are_left_out_and_told() {
        let figures = Figures::parse(TWO_TABLES.as_bytes(), 2).unwrap();
        assert_eq!((figures.rows.len(), figures.is_truncated), (2, true));
    }

    #[test]
    fn nothing_is_no_figures_and_something_else_is_an_error() {
        for nothing in ["", "\r\n"] {
            assert_eq!(Figures::parse(nothing.as_bytes(), 10).unwrap(), Figures::default());
        }
        for other in [
            "{\"code\":\"invalid\"}",
            "#datatype,string,long\n,error,reference\n,failed,897\n",
            "#datatype,string,long\n,name,count\n,a,many\n",
        ] {
            let answer = Figures::parse(other.as_bytes(), 10);
            assert!(matches!(answer, Err(Error::Unreadable(_))), "{other}: {answer:?}");
        }
    }
}
