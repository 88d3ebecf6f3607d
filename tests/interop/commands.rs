//! Commands: how they end, what they read and write, and where they run.

use rustle_tests::{Server, interop};

#[test]
fn exit_codes_arrive_as_the_process_left_them() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        for code in [0, 1, 2, 127, 255] {
            let output = session.output(format!("exit {code}")).await.unwrap();
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert_eq!(output.status.success(), code == 0);
            assert_eq!(output.status.signal(), None);
        }
    });
}
