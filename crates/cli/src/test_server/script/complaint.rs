//! What is wrong with a script or a request, where, and what was probably meant.

use std::path::Path;

use crate::failure::Failure;

/// The code of a script that cannot be followed.
pub(super) const CODE: &str = "TEST_SERVER_SCRIPT";

/// What a TOML parser said. Its own picture of the line is left out: a password may stand there.
pub(super) fn in_script(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let place = match error.span() {
        Some(span) => {
            let (line, column) = position(text, span.start);
            format!("{}:{line}:{column}", path.display())
        }
        None => path.display().to_string(),
    };
    worded(CODE, &place, error.message())
}

/// What a JSON parser said of the body of a request.
pub(crate) fn in_json(code: &'static str, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&format!(" at {place}")).unwrap_or(&text);
    worded(code, &format!("body, {place}"), message)
}

fn worded(code: &'static str, place: &str, message: &str) -> Failure {
    // Of several lines the first says what is wrong, the others how TOML works.
    let message = &without_value(message.lines().next().unwrap_or_default());
    let mut names = names(message);
    let known: Vec<&str> = names.split_off(names.len().min(1));
    let Some(name) = names.first() else { return Failure::new(code, format!("{place}: {message}")) };
    let said = if message.starts_with("unknown field ") {
        format!("there is no key `{name}` here")
    } else if message.starts_with("unknown variant ") {
        format!("there is no `{name}` here")
    } else if message.starts_with("missing field ") {
        return Failure::new(code, format!("{place}: the key `{name}` is missing"));
    } else {
        return Failure::new(code, format!("{place}: {message}"));
    };
    let failure = Failure::new(code, format!("{place}: {said}"));
    let list = known.join(", ");
    match nearest(name, &known) {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`? known here: {list}")),
        None => failure.hint(format!("known here: {list}")),
    }
}

/// What serde says of a value in the wrong place, without the value: it may be a secret in one that it was not meant for.
fn without_value(message: &str) -> String {
    let at = ["invalid type: ", "invalid value: "].into_iter().find(|start| message.starts_with(start));
    let parts = at.and_then(|start| Some((start, message.rfind(", expected ")?)));
    let Some((start, expected)) = parts else { return message.to_owned() };
    let value = message.get(start.len()..expected).unwrap_or_default();
    let sort = value.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{start}{sort}{}", message.get(expected..).unwrap_or_default())
}

/// What stands between backticks.
fn names(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The known name that differs least, if it differs in less than half of its letters.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|known| (distance(name, known), *known)).min()?;
    (near.0 * 2 < near.1.chars().count()).then_some(near.1)
}

/// How many letters have to be put in, taken out or replaced to make one word of the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Line and column, both from 1, in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("pasword", "password"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_place_counts_lines_and_characters() {
        assert_eq!(position("a\nüb = 1", 4), (2, 2));
        assert_eq!(position("", 0), (1, 1));
    }
}
