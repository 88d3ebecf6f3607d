//! Lines of both answers that are not the same on purpose, made the same where they differ in nothing else.

use std::fmt::Write;

use rustle_ssh_config::matches_pattern;
use sha1::{Digest, Sha1};

use crate::answer::Answer;
use crate::differences::Asked;
use crate::files::SYSTEM;

/// The lines of both sides: ours, then theirs.
pub(crate) type Lines = [Vec<String>; 2];

/// ssh asks a quiet server for signs of life under BatchMode; we do not.
pub(super) fn signs_of_life(asked: &Asked<'_>, [ours, theirs]: &mut Lines) {
    let ours_is_off = ours.iter().any(|line| line == "serveraliveinterval 0");
    if ours_is_off && asked.theirs.value("batchmode") == Some("yes") {
        for line in theirs.iter_mut().filter(|line| *line == "serveraliveinterval 300") {
            *line = "serveraliveinterval 0".to_owned();
        }
    }
}

/// The keys of `-i` are put first in theirs.
pub(super) fn keys_of_the_command_line(asked: &Asked<'_>, [_, theirs]: &mut Lines) {
    let args = &asked.written.args;
    let named: Vec<String> = args
        .chunks(2)
        .filter(|pair| pair[0] == "-i")
        .filter_map(|pair| pair.get(1).map(|file| format!("identityfile {file}")))
        .collect();
    if named.is_empty() || args.len() == 2 {
        return;
    }
    let Some(first) = theirs.iter().position(|line| line.starts_with("identityfile ")) else { return };
    let mut at = first;
    for line in named {
        if let Some(place) = theirs.iter().skip(at).position(|other| *other == line) {
            let line = theirs.remove(at + place);
            theirs.insert(at, line);
            at += 1;
        }
    }
}

/// A key file that the system's file has once more is left out of theirs there.
pub(super) fn named_twice(asked: &Asked<'_>, [_, theirs]: &mut Lines) {
    if !asked.written.has(SYSTEM) {
        return;
    }
    let is_key = |line: &str| line.starts_with("identityfile ") || line.starts_with("certificatefile ");
    let mut seen = Vec::new();
    theirs.retain(|line| {
        let is_new = !is_key(line) || !seen.contains(line);
        seen.push(line.clone());
        is_new
    });
}

/// Patterns in ours become the names for which ssh puts them.
pub(super) fn key_types(asked: &Asked<'_>, [ours, _]: &mut Lines) {
    for line in ours {
        let Some((keyword, list)) = line.split_once(' ') else { continue };
        if !KEY_TYPES.contains(&keyword) || !list.contains(['*', '?']) {
            continue;
        }
        let known = match keyword {
            "casignaturealgorithms" => &asked.algorithms.signatures,
            _ => &asked.algorithms.keys,
        };
        let mut names: Vec<&str> = Vec::new();
        for pattern in list.split(',') {
            let known = known.iter().map(String::as_str);
            let found = known.filter(|name| matches_pattern(name.as_bytes(), pattern.as_bytes()));
            for name in found {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        *line = format!("{keyword} {}", names.join(","));
    }
}

pub(super) const KEY_TYPES: &[&str] = &[
    "casignaturealgorithms",
    "hostbasedacceptedalgorithms",
    "hostkeyalgorithms",
    "pubkeyacceptedalgorithms",
];

/// ssh prints the listening side of each of our forwards to a socket once more, among those of DynamicForward.
pub(super) fn socket_forwards(_: &Asked<'_>, [ours, theirs]: &mut Lines) {
    let to_sockets = ours.iter().filter_map(|line| {
        let (listen, target) = line.strip_prefix("localforward ")?.split_once(' ')?;
        target.contains('/').then(|| format!("dynamicforward {listen}"))
    });
    for extra in to_sockets {
        if let Some(at) = theirs.iter().position(|line| *line == extra) {
            theirs.remove(at);
        }
    }
}

/// ssh prints the text as it stands; ours has tokens and variables filled in.
pub(super) fn variables_to_set(asked: &Asked<'_>, [_, theirs]: &mut Lines) {
    for line in theirs.iter_mut().filter(|line| line.starts_with("setenv ")) {
        if let Some(filled) = filled_in(line, asked) {
            *line = filled;
        }
    }
}

/// The hash that ssh prints becomes the one that has the last jump host in it too.
pub(super) fn hash_of_connection(asked: &Asked<'_>, [_, theirs]: &mut Lines) {
    let Some(jump) = asked.theirs.value("proxyjump").and_then(|jumps| jumps.rsplit(',').next()) else {
        return;
    };
    let host = jump.rsplit('@').next().unwrap_or(jump);
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    };
    let Some((without, with)) = hash(asked, "").zip(hash(asked, host)) else { return };
    for line in theirs {
        *line = line.replace(&without, &with);
    }
}

fn hash(asked: &Asked<'_>, jump: &str) -> Option<String> {
    let mut hash = Sha1::new();
    hash.update(&asked.account.machine);
    for keyword in ["hostname", "port", "user"] {
        hash.update(asked.theirs.value(keyword)?);
    }
    hash.update(jump);
    Some(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A text with its tokens and variables filled in by what ssh itself says of the connection; none where it has others.
pub(super) fn filled_in(text: &str, asked: &Asked<'_>) -> Option<String> {
    let env = |name: &str| match name {
        "HOME" => Some(asked.account.home.as_str()),
        name => {
            let env = &asked.written.question.env;
            env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        }
    };
    let said = |keyword: &str| asked.theirs.value(keyword);
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        filled.push_str(&rest[..at]);
        let special = &rest[at..];
        if let Some((name, after)) = special.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            filled.push_str(env(name)?);
            rest = after;
        } else if let Some(after) = special.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else {
            filled.push_str(match special.chars().nth(1)? {
                '%' => "%",
                'd' => &asked.account.home,
                'h' => said("hostname")?,
                'k' => said("hostkeyalias").or(said("host"))?,
                'n' => said("host")?,
                'p' => said("port")?,
                'r' => said("user")?,
                'u' => &asked.account.user,
                _ => return None,
            });
            rest = &special[2..];
        }
    }
    filled.push_str(rest);
    Some(filled)
}

/// Whether a value has anything to fill in.
pub(super) fn has_tokens(answer: &Answer, keyword: &str) -> bool {
    answer.value(keyword).is_some_and(|value| value.contains('%') || value.contains("${"))
}
