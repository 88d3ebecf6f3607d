//! Our names against OpenSSH's own lists.

use std::process::Command;

use rustle_session::Algorithms;

/// What `ssh -Q` prints for a list; `None`, with a line that says so, where no ssh is installed.
fn ssh_has(list: &str) -> Option<Vec<String>> {
    match Command::new("ssh").args(["-Q", list]).output() {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            Some(names.lines().map(|line| line.trim().to_owned()).collect())
        }
        Ok(output) => panic!("ssh -Q {list}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: ssh -Q {list}: {error}");
            None
        }
    }
}

fn everything() -> Algorithms {
    Algorithms::default()
        .with_kex("*")
        .and_then(|all| all.with_host_keys("*"))
        .and_then(|all| all.with_ciphers("*"))
        .and_then(|all| all.with_macs("*"))
        .unwrap()
}

#[test]
fn every_name_we_offer_is_one_that_ssh_knows() {
    let all = everything();
    for (list, ours) in [
        ("kex", all.kex()),
        ("HostKeyAlgorithms", all.host_keys()),
        ("cipher", all.ciphers()),
        ("mac", all.macs()),
    ] {
        let Some(theirs) = ssh_has(list) else { return };
        for name in ours {
            // OpenSSH has the ML-KEM hybrid since 9.9; older ones are still in use.
            let newer =
                *name == "mlkem768x25519-sha256" && !theirs.iter().any(|their| their.starts_with("mlkem"));
            assert!(newer || theirs.iter().any(|their| their == name), "ssh -Q {list} has no {name}");
        }
    }
}

#[test]
fn every_name_that_ssh_knows_may_stand_in_a_list() {
    let Some(kex) = ssh_has("kex") else { return };
    let lists = ["HostKeyAlgorithms", "cipher", "mac"].map(|list| ssh_has(list).unwrap().join(","));
    let algorithms = Algorithms::default()
        .with_kex(&kex.join(","))
        .and_then(|all| all.with_host_keys(&lists[0]))
        .and_then(|all| all.with_ciphers(&lists[1]))
        .and_then(|all| all.with_macs(&lists[2]))
        .unwrap();
    assert!(
        algorithms.left_out().iter().any(|name| name.starts_with("umac-")),
        "{:?}",
        algorithms.left_out()
    );
    assert!(
        kex.iter().all(|name| algorithms.kex().contains(&&**name) || algorithms.left_out().contains(name))
    );
}

/// ssh prints the list that a setting of ours comes to; ours has to be that list, in that order, where both
/// have a name.
#[test]
fn changes_to_a_list_come_to_what_ssh_makes_of_them() {
    let base = "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes128-ctr";
    for change in [
        "^aes128-ctr",
        "-aes*-ctr",
        "-aes256-*",
        "aes128-ctr,aes256-ctr",
        "^aes128-ctr,aes128-gcm@openssh.com",
    ] {
        // ssh changes its own default list, so only names that are in both are compared.
        let argument = format!("Ciphers={change}");
        let output = match Command::new("ssh").args(["-F", "none", "-G", "-o", &argument, "host"]).output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: ssh -G: {error}"),
        };
        assert!(output.status.success(), "{change}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let theirs = printed.lines().find_map(|line| line.strip_prefix("ciphers ")).unwrap();
        let theirs: Vec<_> = theirs.split(',').collect();
        let algorithms = Algorithms::default().with_ciphers(base).unwrap().with_ciphers(change).unwrap();
        let mut ours = algorithms.ciphers().to_vec();
        ours.sort_unstable();
        let mut same: Vec<_> =
            theirs.iter().copied().filter(|name| base.split(',').any(|our| our == *name)).collect();
        if change.starts_with('^') {
            assert_eq!(algorithms.ciphers()[0], theirs[0], "{change}");
        }
        same.sort_unstable();
        assert_eq!(ours, same, "{change}");
    }
}
