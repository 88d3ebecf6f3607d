//! Which names may be handed on at all.
//!
//! A host and a user end up in tokens, in messages, and one day in command lines (CVE-2023-51385), so the
//! characters that a shell or a terminal would take for its own are refused at the door.

/// Whether the host's name is free of control and white-space characters, of what a shell would interpret, and
/// of a leading `-`.
#[must_use]
pub fn valid_hostname(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with('-')
        && !host.contains(|c: char| c.is_control() || c.is_whitespace() || "'`\"$\\;&<>|(){},".contains(c))
}

/// Whether the user's name is free of control characters and of what a shell would interpret. Blanks and
/// backslashes are allowed inside, as in Windows' domain accounts; a leading `-`, also after a blank, is not.
#[must_use]
pub fn valid_user(user: &str) -> bool {
    let mut after_blank = true;
    for c in user.chars() {
        if c.is_control() || "'`\";&<>|(){}".contains(c) || (after_blank && c == '-') {
            return false;
        }
        after_blank = c.is_whitespace();
    }
    !user.is_empty() && !user.ends_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in ["web", "web-1.example.com", "::1", "fe80::1%eth0", "10.0.0.1", "bücher.example", "a_b"]
        {
            assert!(valid_hostname(host), "{host}");
        }
        for host in
            ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a\nb", "a\0b", "`id`", "a\u{85}b", "a,b", "a\\b"]
        {
            assert!(!valid_hostname(host), "{host:?}");
        }
    }

    #[test]
    fn users() {
        for user in ["root", "DOMAIN\\alice", "Alice Smith", "a@b", "a$", "a-b"] {
            assert!(valid_user(user), "{user}");
        }
        for user in ["", "-l", "a -x", "a;b", "a\nb", "a\u{1b}[2J", "a\\", "a'b", "a`b", "{a}"] {
            assert!(!valid_user(user), "{user:?}");
        }
    }
}
