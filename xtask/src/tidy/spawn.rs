//! Every task has an address: tasks and threads are started in files named `driver.rs`, and each site says in a
//! comment who owns what it starts, what ends it, and who waits for it.

use crate::tidy::Violation;
use crate::tidy::source::{Source, Token};

const STARTERS: [&str; 3] = ["spawn", "spawn_blocking", "spawn_local"];
/// What such a function's path ends in: modules of the runtime and of std, and types for those who write it in full.
const OWNERS_THAT_START: [&str; 10] = [
    "tokio",
    "task",
    "thread",
    "JoinSet",
    "LocalSet",
    "TaskTracker",
    "Handle",
    "Runtime",
    "Builder",
    "Scope",
];
const DRIVER: &str = "driver.rs";
/// One of these is in the comment.
const OWNER: [&str; 2] = ["Owner:", "Owned by"];
/// How far above the site the comment may stand.
const REACH: usize = 6;

/// Checks one file of a crate; its tests and build script may start what they like.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    if source.is_test() || !source.path().starts_with("crates/") {
        return Vec::new();
    }
    let code = source.code();
    let sites = (0..code.len()).filter(|&index| is_site(&code, index)).map(|index| &code[index]);
    let violations = sites.filter_map(|site| {
        let text = match source.name() == DRIVER {
            false => format!("`{}` outside of a file named {DRIVER}: a task needs an address", site.text),
            true if has_owner(source, site.line) => return None,
            true => {
                format!("`{}` without a comment `// Owner: …` that says who ends it and who waits", site.text)
            }
        };
        Some(Violation::at(source, site.line, text))
    });
    violations.collect()
}

/// A call with an argument (a process is started by `spawn()` without one). With a path, its owner tells: a function
/// of that name of our own, as in `Process::spawn(…)`, starts no task, but `tokio::spawn` does, also when handed on.
fn is_site(code: &[Token], index: usize) -> bool {
    let text = |at: Option<usize>| at.and_then(|at| code.get(at)).map_or("", |token| token.text.as_str());
    if !STARTERS.contains(&text(Some(index))) || text(index.checked_sub(1)) == "fn" {
        return false;
    }
    let after = past_turbofish(code, index + 1);
    if text(index.checked_sub(1)) == ":" && text(index.checked_sub(2)) == ":" {
        let is_import = [";", "as"].contains(&text(Some(after)));
        return !is_import && OWNERS_THAT_START.contains(&text(index.checked_sub(3)));
    }
    text(Some(after)) == "(" && text(Some(after + 1)) != ")"
}

/// Where the code goes on after a `::<…>`, if there is one.
fn past_turbofish(code: &[Token], mut index: usize) -> usize {
    let is = |at: usize, wanted: &str| code.get(at).is_some_and(|token| token.text == wanted);
    if !(is(index, ":") && is(index + 1, ":") && is(index + 2, "<")) {
        return index;
    }
    let mut depth = 0usize;
    index += 2;
    while index < code.len() {
        if is(index, "<") {
            depth += 1;
        } else if is(index, ">") && !is(index - 1, "-") {
            depth -= 1;
        }
        index += 1;
        if depth == 0 {
            break;
        }
    }
    index
}

fn has_owner(source: &Source, line: usize) -> bool {
    let first = line.saturating_sub(REACH + 1);
    let mut above = source.lines().skip(first).take(line - 1 - first);
    above.any(|line| line.trim_start().starts_with("//") && OWNER.iter().any(|owner| line.contains(owner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Source::parse(path, text).unwrap()).len()
    }

    #[test]
    fn a_task_started_elsewhere_is_refused() {
        for site in [
            "tokio::spawn(run())",
            "tokio::task::spawn_blocking(move || 1)",
            "std::thread::spawn(|| ())",
            "tracker.spawn(run())",
            "tokio::task::spawn_local::<Pin<Box<dyn Fn() -> u8>>>(x)",
            "futures.map(tokio::spawn)",
            "JoinSet::spawn(&mut set, run())",
            "tokio::select! { _ = a => { set.spawn(b); } }",
        ] {
            assert_eq!(count("crates/session/src/dial.rs", &format!("fn f() {{ {site}; }}")), 1, "{site}");
        }
    }

    #[test]
    fn a_process_a_definition_and_a_test_are_no_tasks() {
        for text in [
            "fn f() { Command::new(\"a\").spawn()?; }",
            "fn f() { Process::spawn(&shell, &call)?; start::spawn(self) }",
            "impl A { pub async fn spawn(self, x: u8) {} }",
            "#[cfg(test)]\nmod tests { fn f() { tokio::spawn(run()); } }",
            "// tokio::spawn(run())\nfn f() {}",
            "use tokio::task::spawn_blocking;\nuse std::thread::spawn as start;",
        ] {
            assert_eq!(count("crates/session/src/dial.rs", text), 0, "{text}");
        }
        for path in
            ["crates/session/tests/it/a.rs", "crates/session/build.rs", "xtask/src/a.rs", "tests/src/a.rs"]
        {
            assert_eq!(count(path, "fn f() { tokio::spawn(run()); }"), 0, "{path}");
        }
    }

    #[test]
    fn a_driver_says_who_owns_each_task() {
        let driver = "crates/session/src/channel/driver.rs";
        assert_eq!(count(driver, "fn f() {\n    tokio::spawn(run());\n}"), 1);
        assert_eq!(
            count(driver, "fn f() {\n    // Owner: the session, which ends it.\n    tokio::spawn(run());\n}"),
            0
        );
        assert_eq!(count(driver, "fn f() {\n    // Owned by the session.\n    set.spawn(run());\n}"), 0);
        let far = format!("// Owner: nobody near.\n{}fn f() {{ tokio::spawn(run()); }}", "\n".repeat(REACH));
        assert_eq!(count(driver, &far), 1);
        assert_eq!(count(driver, "fn f() { let owner = \"Owner:\";\n tokio::spawn(run()); }"), 1);
    }
}
