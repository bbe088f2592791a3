//! One HTML page about a run: what was compared, what it weighs, where the threshold lies, and what is in doubt.
//!
//! It needs nothing from the network. Every chart says in words what it shows, and has its numbers in a table or a title.

use std::fmt::Write;

use crate::{
    compare::levels,
    doubts::Doubts,
    judge::Pair,
    linker::{HISTOGRAM_FROM, Linked},
    model::Model,
    table::Table,
    weights::Weights,
};

/// Rows of a list of doubtful pairs.
const DOUBTS_MAX: usize = 50;
/// Below this, a pair that alone holds a cluster together is in doubt, bits: 32 to 1.
const SURE: f64 = 5.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--line:#c9c9d2;--for:#1f6f54;--against:#a8322d;--mark:#5a4fcf}
@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--paper:#16161a;--line:#44444f;--for:#5fc4a0;--against:#f08a84;--mark:#a9a1ff}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;width:100%}caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{border-bottom:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:11px}
.for{fill:var(--for)}.against{fill:var(--against)}.axis{stroke:var(--line)}.mark{stroke:var(--mark);stroke-width:2;stroke-dasharray:4 3}
.scroll{overflow-x:auto}";

/// The report on a run. `weights` are those that `linked` was made with.
pub fn report(table: &Table, model: &Model, weights: &Weights, linked: &Linked) -> String {
    let doubts = linked.doubts(model.thresholds.join, SURE);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Record linkage</title><style>{STYLE}</style></head><body><main><h1>Record linkage</h1>\n"
    );
    summary(&mut page, table, linked);
    levels_of_agreement(&mut page, model, weights);
    blocking(&mut page, model, linked);
    threshold(&mut page, model, linked);
    sizes(&mut page, linked);
    in_doubt(&mut page, table, model, &doubts);
    page.push_str("</main></body></html>\n");
    page
}

/// Text as it stands in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `1234567` as `1,234,567`.
fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A table with a caption; cells are HTML, and columns after the first `text` ones are numbers.
fn rows(page: &mut String, caption: &str, head: &[&str], text: usize, rows: impl Iterator<Item = Vec<String>>) {
    let class = |i: usize| if i < text { "" } else { " class=\"n\"" };
    push(page, format_args!("<div class=\"scroll\"><table><caption>{caption}</caption><thead><tr>"));
    for (i, name) in head.iter().enumerate() {
        push(page, format_args!("<th scope=\"col\"{}>{name}</th>", class(i)));
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            push(page, format_args!("<td{}>{cell}</td>", class(i)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes all that is written");
}

fn summary(page: &mut String, table: &Table, linked: &Linked) {
    let sizes = linked.cluster_sizes();
    let people: usize = sizes.iter().sum();
    let compared: u64 = linked.histogram.iter().sum();
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let lines = [
        line("Records", grouped(table.len())),
        line("Clusters (people)", grouped(people)),
        line("Records that another one stands for", grouped(table.len() - people)),
        line("Largest cluster, records", grouped(sizes.len())),
        line("Pairs compared", grouped(compared)),
        line("Pairs kept", grouped(linked.pairs.len())),
        line("Connected groups that were too large and were cut", grouped(linked.components_cut)),
    ];
    rows(page, "In short", &["", "Count"], 1, lines.into_iter());
    if !table.notes().is_empty() {
        page.push_str("<h2>What was odd in the file</h2><ul>\n");
        for note in table.notes() {
            push(page, format_args!("<li>{}</li>\n", escaped(&note.to_string())));
        }
        page.push_str("</ul>\n");
    }
}

fn levels_of_agreement(page: &mut String, model: &Model, weights: &Weights) {
    page.push_str(
        "<h2>What agreement weighs</h2><p>Bits that speak for one person (right) or against (left), for values as frequent \
         as the average. Rare values weigh more.</p>\n",
    );
    let lines: usize = weights.comparison.iter().map(|of| of.same.len() + 1).sum();
    let bits = |same: f64, random: f64| (same / random).log2();
    push(
        page,
        format_args!(
            "<svg viewBox=\"0 0 800 {}\" role=\"img\" aria-label=\"Weight of each level of each comparison, as in the table below\">\
         <line class=\"axis\" x1=\"480\" x2=\"480\" y1=\"0\" y2=\"{0}\"/>\n",
            lines * 16 + 8
        ),
    );
    let mut y = 0;
    for (comparison, of) in model.comparisons.iter().zip(&weights.comparison) {
        y += 16;
        push(
            page,
            format_args!("<text x=\"4\" y=\"{y}\" font-weight=\"600\">{}</text>\n", escaped(&comparison.column)),
        );
        for ((level, same), random) in levels(comparison.kind).iter().zip(&of.same).zip(&of.random) {
            y += 16;
            let bits = bits(*same, *random);
            let width = (bits.abs() * 12.0).min(300.0);
            let (x, class) = if bits > 0.0 { (480.0, "for") } else { (480.0 - width, "against") };
            push(
                page,
                format_args!(
                    "<text x=\"20\" y=\"{y}\">{}</text><rect class=\"{class}\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"11\">\
                 <title>{bits:+.1} bits</title></rect>\n",
                    level.name,
                    y - 10
                ),
            );
        }
    }
    page.push_str("</svg>\n");
    let share = |p: f64| format!("{:.4} %", p * 100.0);
    let lines = model.comparisons.iter().zip(&weights.comparison).flat_map(|(comparison, of)| {
        levels(comparison.kind).iter().zip(&of.same).zip(&of.random).map(move |((level, same), random)| {
            let bits = format!("{:+.1}", bits(*same, *random));
            vec![escaped(&comparison.column), level.name.to_owned(), share(*same), share(*random), bits]
        })
    });
    let head = ["Column", "Level", "Of one person", "By chance", "Bits"];
    rows(page, "How often each level is met between two records that both have a value", &head, 2, lines);
}

fn blocking(page: &mut String, model: &Model, linked: &Linked) {
    page.push_str("<h2>Which pairs were compared</h2>\n");
    let lines = model.rules.iter().zip(&linked.rules).map(|(rule, counts)| {
        let of = [counts.keyed, counts.pairs, counts.new_pairs, counts.crowded_keys, counts.crowded_records];
        std::iter::once(escaped(&rule.to_string())).chain(of.map(grouped)).collect()
    });
    let head = ["Records agree in", "Records with a key", "Pairs", "New pairs", "Crowded keys", "Their records"];
    rows(page, "Blocking rules in their order; crowded keys were left out", &head, 1, lines);
}

fn threshold(page: &mut String, model: &Model, linked: &Linked) {
    let join = model.thresholds.join;
    push(
        page,
        format_args!(
            "<h2>Where the threshold lies</h2><p>Compared pairs by score, each bar a bit wide and its height logarithmic. \
         Clusters are joined from {join} bits on (dashed), odds of {:.1} to 1.</p>\n",
            join.exp2()
        ),
    );
    let most = linked.histogram.iter().copied().max().unwrap_or(0).max(1) as f64;
    let above: u64 =
        (HISTOGRAM_FROM..).zip(&linked.histogram).filter(|(bit, _)| f64::from(*bit) >= join).map(|(_, n)| n).sum();
    let step = 780.0 / linked.histogram.len() as f64;
    let x = |bits: f64| 10.0 + (bits - f64::from(HISTOGRAM_FROM)) * step;
    push(
        page,
        format_args!(
            "<svg viewBox=\"0 0 800 230\" role=\"img\" aria-label=\"Histogram of scores: {} pairs score {join} bits or more\">\n",
            grouped(above)
        ),
    );
    for (bit, count) in (HISTOGRAM_FROM..).zip(&linked.histogram).filter(|(_, count)| **count > 0) {
        let height = 200.0 * (*count as f64 + 1.0).ln() / (most + 1.0).ln();
        let class = if f64::from(bit) >= join { "for" } else { "against" };
        push(
            page,
            format_args!(
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{bit} bits: {} pairs</title></rect>\n",
                x(f64::from(bit)),
                205.0 - height,
                step - 0.6,
                grouped(*count)
            ),
        );
    }
    for bit in (HISTOGRAM_FROM..=HISTOGRAM_FROM + linked.histogram.len() as i32).step_by(20) {
        push(page, format_args!("<text x=\"{:.1}\" y=\"222\">{bit}</text>\n", x(f64::from(bit))));
    }
    push(page, format_args!("<line class=\"mark\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"205\"/></svg>\n", x(join)));
}

fn sizes(page: &mut String, linked: &Linked) {
    page.push_str("<h2>How large clusters are</h2>\n");
    let sizes = linked.cluster_sizes();
    let lines = (1usize..)
        .zip(&sizes)
        .filter(|(_, count)| **count > 0)
        .map(|(size, count)| vec![grouped(size), grouped(*count), grouped(size * count)]);
    rows(page, "Clusters by size", &["Records in a cluster", "Clusters", "Records"], 0, lines);
}

fn in_doubt(page: &mut String, table: &Table, model: &Model, doubts: &Doubts) {
    page.push_str("<h2>What is in doubt</h2><p>Ask for the reasons of a pair with <code>--explain A B</code>.</p>\n");
    let list = |pairs: &[Pair]| -> Vec<Vec<String>> {
        let id = |row: u32| escaped(&String::from_utf8_lossy(table.id(row as usize)));
        let line = |pair: &Pair| {
            vec![id(pair.a), id(pair.b), format!("{:+.1}", pair.score), format!("{:.4}", pair.probability())]
        };
        pairs.iter().take(DOUBTS_MAX).map(line).collect()
    };
    let head = ["Record", "Record", "Bits", "Probability"];
    let caption = format!(
        "Bridges: pairs below {SURE} bits that alone hold their cluster together ({}, the weakest {DOUBTS_MAX} are listed)",
        grouped(doubts.bridges.len())
    );
    rows(page, &caption, &head, 2, list(&doubts.bridges).into_iter());
    let caption = format!(
        "Refused: pairs above {} bits that the other records of their clusters contradict ({}, the strongest {DOUBTS_MAX} are listed)",
        model.thresholds.join,
        grouped(doubts.refused.len())
    );
    rows(page, &caption, &head, 2, list(&doubts.refused).into_iter());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linker::Linker;

    #[test]
    fn a_report_is_whole_and_escapes_what_it_shows() {
        let rows = "id,first_name,last_name,dob\n<b>1,ann,lee,19800102\n2&,ann,lee,19800102\n3,bob,roe,19810304\n";
        let table = Table::read_csv(rows.as_bytes()).unwrap();
        let model = Model::guess(&table).unwrap();
        let linker = Linker::new(&table, &model, &|_| {}).unwrap();
        let weights = linker.train(1, &|_| {});
        let mut linked = linker.link(&weights, &|_| {});
        linked.clusters = vec![0, 0, 2];
        linked.pairs = vec![Pair { a: 0, b: 1, score: 3.0 }, Pair { a: 1, b: 2, score: 4.0 }];
        let page = report(&table, &model, &weights, &linked);
        for tag in ["main", "table", "svg", "tbody", "tr", "td", "h2", "p"] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!page.contains("<b>1") && page.contains("&lt;b&gt;1") && page.contains("2&amp;"));
        for part in [
            "What agreement weighs",
            "Which pairs were compared",
            "Where the threshold lies",
            "How large clusters are",
            "What is in doubt",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("http"), "nothing from the network");
    }

    #[test]
    fn numbers_are_read_in_threes() {
        assert_eq!([grouped(7usize), grouped(1234usize), grouped(1_234_567usize)], ["7", "1,234", "1,234,567"]);
    }
}
