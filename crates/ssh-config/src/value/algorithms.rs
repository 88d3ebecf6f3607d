//! Lists of algorithms.

use std::fmt;

/// A list of algorithms, and what is done with the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlgorithmList {
    /// These instead of the defaults.
    Only(Vec<String>),
    /// `+`: the defaults, then these.
    Append(Vec<String>),
    /// `-`: the defaults without these, which may be patterns.
    Remove(Vec<String>),
    /// `^`: these, then the defaults.
    Prepend(Vec<String>),
}

impl AlgorithmList {
    pub(crate) fn parse(text: &str) -> Result<AlgorithmList, String> {
        let (make, names): (fn(Vec<String>) -> AlgorithmList, &str) = match text.as_bytes() {
            [b'+', ..] => (AlgorithmList::Append, &text[1..]),
            [b'-', ..] => (AlgorithmList::Remove, &text[1..]),
            [b'^', ..] => (AlgorithmList::Prepend, &text[1..]),
            _ => (AlgorithmList::Only, text),
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        // RFC 4251 section 6: names are of 1 to 64 printable US-ASCII characters.
        let fits =
            |name: &String| (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        match names.iter().find(|name| !fits(name)) {
            Some(bad) => Err(format!("{bad:?} is not an algorithm's name")),
            None => Ok(make(names)),
        }
    }

    /// The list that results, starting from `defaults`.
    ///
    /// ```
    /// use rustle_ssh_config::AlgorithmList;
    ///
    /// let list = AlgorithmList::Remove(vec!["aes*-ctr".to_owned()]);
    /// assert_eq!(list.apply(&["aes256-gcm@openssh.com", "aes256-ctr"]), ["aes256-gcm@openssh.com"]);
    /// ```
    #[must_use]
    pub fn apply(&self, defaults: &[&str]) -> Vec<String> {
        let defaults = defaults.iter().map(|name| (*name).to_owned());
        let mut list: Vec<String> = Vec::new();
        let mut push = |name: String| {
            if !list.contains(&name) {
                list.push(name);
            }
        };
        match self {
            AlgorithmList::Only(names) => names.iter().cloned().for_each(&mut push),
            AlgorithmList::Append(names) => defaults.chain(names.iter().cloned()).for_each(&mut push),
            AlgorithmList::Prepend(names) => names.iter().cloned().chain(defaults).for_each(&mut push),
            AlgorithmList::Remove(patterns) => defaults
                .filter(|name| {
                    !patterns.iter().any(|p| crate::matches_pattern(name.as_bytes(), p.as_bytes()))
                })
                .for_each(&mut push),
        }
        list
    }
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlgorithmList::Only(names) => f.write_str(&names.join(",")),
            AlgorithmList::Append(names) => write!(f, "+{}", names.join(",")),
            AlgorithmList::Remove(names) => write!(f, "-{}", names.join(",")),
            AlgorithmList::Prepend(names) => write!(f, "^{}", names.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithm_lists_change_the_defaults() {
        let apply = |text| AlgorithmList::parse(text).unwrap().apply(&["a", "b", "c"]);
        assert_eq!(apply("x,a"), ["x", "a"]);
        assert_eq!(apply("+x,a"), ["a", "b", "c", "x"]);
        assert_eq!(apply("^c,x"), ["c", "x", "a", "b"]);
        assert_eq!(apply("-a,?"), Vec::<String>::new());
        assert!(AlgorithmList::parse("a,,b").is_err());
        assert!(AlgorithmList::parse("+").is_err());
        assert!(AlgorithmList::parse("é").is_err());
    }
}
