//! `docs/ssh-config-keywords.md` is the table of keywords, and nothing else writes it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rustle_ssh_config::{Keyword, Support};

const REWRITE: &str = "RUSTLE_WRITE_DOCS=1 cargo test -p rustle-ssh-config --test it keyword_page";

const HEAD: &str = "# Keywords of ssh_config

Every keyword that OpenSSH 10.5 documents, and what is done with it here. Each is read, checked and printed by
`rustle-connect ssh-config HOST`, whatever its row says.

- **evaluated**: it governs the reading of the files themselves.
- **acted on**: the connection, or the program, does what it says.
- **acted on by a pool**: a pool of connections does what it says. A single connection goes without, and a line on
  standard error says so of a forwarding.
- **refused**: a value that asks for something is an error with file and line, because leaving it out would change
  whom one reaches or trusts, or what runs.
- **declined**: the connection is made without it, and a line on standard error says so.
- **ignored**: nothing follows from it; `-v` says why.

Values that ask for nothing are passed over in silence. *Since* is the first release of OpenSSH whose client has the
keyword, counted from 1.2.2.

";

fn page() -> String {
    let mut page = format!("<!-- Written by: {REWRITE} -->\n\n{HEAD}");
    page += "| keyword | here | why | asks for nothing | since |\n|---|---|---|---|---|\n";
    for keyword in Keyword::ALL {
        let (here, why) = match keyword.support() {
            Support::Evaluated => ("evaluated", ""),
            Support::Acted => ("acted on", ""),
            Support::Refused(why) => ("refused", why),
            Support::Pooled(why) => ("acted on by a pool", why),
            Support::Declined(why) => ("declined", why),
            Support::Ignored(why) => ("ignored", why),
            other => panic!("{other:?} has no name on the page"),
        };
        let neutral: Vec<String> =
            keyword.neutral_values().iter().map(|value| format!("`{value}`")).collect();
        let since = keyword.since();
        writeln!(page, "| {keyword} | {here} | {why} | {} | {since} |", neutral.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_of_keywords_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ssh-config-keywords.md");
    if cfg!(windows) {
        println!("skipped: the_page_of_keywords_is_the_table: the page is written where it is read");
        return;
    }
    let page = page();
    if std::env::var_os("RUSTLE_WRITE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/ssh-config-keywords.md is stale; to write it anew: {REWRITE}");
}
