//! `demo`: every step holds, and none of the user's own files is touched.

use crate::host::{finish, program};

#[tokio::test]
async fn every_step_holds() {
    let home = tempfile::tempdir().unwrap();
    let mut command = program(&["demo"]);
    command.env("HOME", home.path()).env("USERPROFILE", home.path());
    let ran = finish(command, b"").await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout());
    assert!(ran.stdout().contains("All 11 steps held"), "{}", ran.stdout());
    assert!(!ran.stdout().contains('\x1b'), "colours go to terminals only");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_steps_are_one_value_as_json() {
    let ran = finish(program(&["demo", "--format", "json"]), b"").await;
    let value: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((ran.code, &value["held"]), (Some(0), &serde_json::Value::Bool(true)));
    assert_eq!(value["steps"].as_array().unwrap().len(), 11);
}
