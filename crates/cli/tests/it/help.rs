//! What the program says of itself.

use crate::host::{finish, program, snapshot};

#[tokio::test]
async fn help_is_on_standard_output_and_a_success() {
    let ran = finish(program(&["--help"]), b"").await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    snapshot!("help", ran.stdout());
    for (name, command) in [
        ("help_exec", "exec"),
        ("help_get", "get"),
        ("help_put", "put"),
        ("help_sync", "sync"),
        ("help_ls_remote", "ls-remote"),
        ("help_test_connection", "test-connection"),
        ("help_ssh_config", "ssh-config"),
        ("help_demo", "demo"),
        ("help_test_server", "test-server"),
    ] {
        let ran = finish(program(&[command, "--help"]), b"").await;
        insta::with_settings!({ filters => crate::host::FILTERS.to_vec() }, {
            insta::assert_snapshot!(name, ran.stdout());
        });
    }
}

#[tokio::test]
async fn the_version_is_the_packages() {
    let ran = finish(program(&["--version"]), b"").await;
    assert_eq!(ran.stdout().trim_end(), concat!("rustle-connect ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn nothing_typed_is_help_on_standard_error_and_a_failure() {
    let ran = finish(program(&[]), b"").await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(ran.stderr.contains("Usage:"), "{}", ran.stderr);
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = finish(program(&["completions", shell]), b"").await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        for command in [
            "exec",
            "get",
            "put",
            "sync",
            "ls-remote",
            "test-connection",
            "ssh-config",
            "demo",
            "test-server",
        ] {
            assert!(ran.stdout().contains(command), "{shell} {command}");
        }
    }
}
