//! Every input of the pool's policy stands in the list of them, in each of its kinds, and the properties of its tests are
//! made of every step that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::{Fields, Item, ItemEnum, Type};

use crate::shell;
use crate::tidy::Violation;
use crate::tidy::source::Source;

const EVENTS: &str = "crates/pool/src/policy/event.rs";
/// A table: the input's name in backticks, its kinds in backticks, what it is. The tests read it too.
const LIST: &str = "crates/pool/src/policy/inputs.md";
const STEPS: &str = "crates/pool/src/policy/tests/steps.rs";

/// Compares the enums with the list, and the steps with what makes them.
pub(super) fn check(root: &Path, sources: &[Source]) -> Vec<Violation> {
    let source = |path: &str| sources.iter().find(|source| source.path() == path);
    let (Some(events), Some(steps), Ok(list)) =
        (source(EVENTS), source(STEPS), shell::read(&root.join(LIST)))
    else {
        return vec![Violation::of(LIST, format!("it, {EVENTS} or {STEPS} cannot be read"))];
    };
    let mut violations = compare(events, &list);
    violations.extend(unmade(steps));
    violations
}

/// The inputs, each with its kinds: the variants of the enums that it has fields of.
fn inputs(events: &Source) -> BTreeMap<String, BTreeSet<String>> {
    let enums: Vec<&ItemEnum> = enums(events).collect();
    let of = |name: &str| enums.iter().find(|one| one.ident == name);
    let variants = of("Event").into_iter().flat_map(|event| &event.variants);
    let kinds = |fields: &Fields| {
        let types = fields.iter().filter_map(|field| match &field.ty {
            Type::Path(path) => path.path.get_ident().map(ToString::to_string),
            _ => None,
        });
        let found = types.filter_map(|name| of(&name)).flat_map(|kinds| &kinds.variants);
        found.map(|kind| kind.ident.to_string()).collect()
    };
    variants.map(|variant| (variant.ident.to_string(), kinds(&variant.fields))).collect()
}

fn enums(source: &Source) -> impl Iterator<Item = &ItemEnum> {
    source.items().iter().filter_map(|item| match item {
        Item::Enum(found) => Some(found),
        _ => None,
    })
}

/// The rows of the list.
fn rows(list: &str) -> BTreeMap<String, BTreeSet<String>> {
    let cells = list.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        Some((cells.next()?, cells.next()?))
    });
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    cells.map(|(name, kinds)| (name.trim().trim_end_matches('`').to_owned(), words(kinds))).collect()
}

fn compare(events: &Source, list: &str) -> Vec<Violation> {
    let (inputs, rows) = (inputs(events), rows(list));
    if inputs.is_empty() {
        return vec![Violation::of(
            EVENTS,
            "has no enum `Event`: mend the reader in xtask/src/tidy/alphabet.rs",
        )];
    }
    let mut violations = Vec::new();
    for (input, kinds) in &inputs {
        match rows.get(input) {
            None => violations.push(Violation::of(LIST, format!("`{input}` of {EVENTS} is not in the list"))),
            Some(row) if row != kinds => {
                let text = format!("`{input}` has the kinds {kinds:?} in {EVENTS}, and here {row:?}");
                violations.push(Violation::of(LIST, text));
            }
            Some(_) => {}
        }
    }
    let stale = rows.keys().filter(|row| !inputs.contains_key(*row));
    violations.extend(stale.map(|row| Violation::of(LIST, format!("`{row}` is no input of {EVENTS}"))));
    violations
}

/// The steps that `fn steps` never makes.
fn unmade(steps: &Source) -> Vec<Violation> {
    let made: Vec<&str> = steps
        .lines()
        .skip_while(|line| !line.contains("fn steps("))
        .take_while(|line| *line != "}")
        .collect();
    let made = made.join("\n");
    let variants = enums(steps).filter(|one| one.ident == "Step").flat_map(|step| &step.variants);
    let names: Vec<String> = variants.map(|variant| variant.ident.to_string()).collect();
    if names.is_empty() {
        return vec![Violation::of(
            STEPS,
            "has no enum `Step`: mend the reader in xtask/src/tidy/alphabet.rs",
        )];
    }
    let is_made = |name: &str| {
        let mut rests = made.split("Step::").skip(1).filter_map(|used| used.strip_prefix(name));
        rests.any(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let missing = names.iter().filter(|name| !is_made(name));
    missing.map(|name| Violation::of(STEPS, format!("`Step::{name}` is never made by `fn steps`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# X\n\n| input | kinds | is |\n|---|---|---|\n| `Ask` | `Near`, `Far` | asked |\n\
        | `Tick` | | time |\n";

    fn events(text: &str) -> Source {
        Source::parse(EVENTS, text).unwrap()
    }

    fn found(event: &str, list: &str) -> Vec<String> {
        let text = format!("enum Where {{ Near, Far }}\nenum Event {{ {event} }}\nstruct Id(u64);");
        compare(&events(&text), list).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_input_or_a_kind_that_is_not_listed_and_one_that_is_no_more_are_refused() {
        assert_eq!(found("Ask { id: Id, place: Where }, Tick", LIST), Vec::<String>::new());
        assert!(found("Ask { place: Where }, Tick, Stop", LIST)[0].contains("`Stop`"));
        assert!(found("Ask { place: Where }", LIST)[0].contains("`Tick` is no input"));
        assert!(found("Ask { id: Id }, Tick", LIST)[0].contains("`Ask` has the kinds {}"));
        let shorter = LIST.replace("`Near`, ", "");
        assert_eq!(found("Ask { place: Where }, Tick", &shorter).len(), 1);
        assert_eq!(compare(&events("enum Other {}"), LIST).len(), 1);
    }

    #[test]
    fn a_step_that_the_properties_never_take_is_refused() {
        let steps = |made: &str| {
            let text = format!(
                "enum Step {{ Opens, OpensLate }}\nfn steps() {{\n    [{made}];\n}}\nfn f() {{ Step::Opens; Step::OpensLate }}\n"
            );
            unmade(&Source::parse(STEPS, &text).unwrap()).len()
        };
        assert_eq!(steps("Step::Opens(1), Step::OpensLate"), 0);
        assert_eq!(steps("Step::OpensLate"), 1);
        assert_eq!(steps(""), 2);
    }
}
