//! `doctor`: what is wrong first, each with what to do; then what is well.

use std::path::Path;

use super::{
    Style, Tone,
    table::{Cell, Table},
    tame,
};
use crate::doctor::{Finding, Grade};

pub fn findings(findings: &[Finding], path: &Path, style: Style) -> String {
    let of = |grade| findings.iter().filter(move |finding| finding.grade == grade);
    let (problems, warnings) = (of(Grade::Problem).count(), of(Grade::Warning).count());
    let mut text = match (problems, warnings) {
        (0, 0) => {
            format!("{}, by {}\n", style.paint(Tone::Good, "nothing is wrong with this box"), path.display())
        }
        (problems, warnings) => {
            let is = if problems + warnings == 1 {
                "1 thing is".into()
            } else {
                format!("{} things are", problems + warnings)
            };
            format!("{is} wrong with this box, by {}:\n", path.display())
        }
    };
    for finding in of(Grade::Problem).chain(of(Grade::Warning)) {
        let tone = if finding.grade == Grade::Problem { Tone::Bad } else { Tone::Warning };
        let check = style.paint(Tone::Strong, finding.check);
        text += &format!("\n{} {check}: {}\n", style.paint(tone, "!"), tame(&finding.finding));
        if let Some(advice) = &finding.advice {
            text += &format!("  {} {}\n", style.paint(Tone::Faint, "do:"), tame(advice));
        }
    }
    for (head, grade) in [("worth knowing", Grade::Note), ("well", Grade::Good)] {
        let mut table = Table::new::<&str>(&["", ""]);
        for finding in of(grade) {
            let advice = finding.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
            let said: Cell = format!("{}{advice}", finding.finding).into();
            table.row(vec![Cell::toned(Tone::Faint, &format!("  {}", finding.check)), said]);
        }
        let rows = table.show(style);
        if let Some((_, rows)) = rows.split_once('\n').filter(|(_, rows)| !rows.is_empty()) {
            text += &format!("\n{head}:\n{rows}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colour: false };

    fn finding(check: &'static str, grade: Grade, finding: &str, advice: Option<&str>) -> Finding {
        Finding { check, grade, finding: finding.into(), advice: advice.map(str::to_owned) }
    }

    #[test]
    fn doctor_with_something_wrong() {
        let all = [
            finding(
                "broker",
                Grade::Problem,
                "127.0.0.1:1883: Connection refused",
                Some("does the broker run?"),
            ),
            finding("clock", Grade::Warning, "the clock \u{1b}[2J", Some("look")),
            finding("devices", Grade::Note, "the log can't be seen", Some("run it as root")),
            finding("disk", Grade::Good, "/var/lib/latchd: 5000 MiB free", None),
            finding("configuration", Grade::Good, "/etc/latchd/latchd.toml is valid", None),
        ];
        insta::assert_snapshot!(findings(&all, Path::new("/etc/latchd/latchd.toml"), PLAIN), @r"
        2 things are wrong with this box, by /etc/latchd/latchd.toml:

        ! broker: 127.0.0.1:1883: Connection refused
          do: does the broker run?

        ! clock: the clock �[2J
          do: look

        worth knowing:
          devices  the log can't be seen; run it as root

        well:
          disk           /var/lib/latchd: 5000 MiB free
          configuration  /etc/latchd/latchd.toml is valid
        ");
    }

    #[test]
    fn doctor_with_nothing_wrong() {
        let all = [finding("disk", Grade::Good, "/var/lib/latchd: 5000 MiB free", None)];
        insta::assert_snapshot!(findings(&all, Path::new("/etc/latchd/latchd.toml"), PLAIN), @r"
        nothing is wrong with this box, by /etc/latchd/latchd.toml

        well:
          disk  /var/lib/latchd: 5000 MiB free
        ");
    }
}
