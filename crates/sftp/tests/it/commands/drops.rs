//! What is dropped leaves no temporary file and no process.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::commands::host::{Host, files_of};
use crate::support::{When, dropped};

#[tokio::test]
async fn a_put_that_is_dropped_leaves_the_old_file_or_the_new_one_and_no_process() {
    let host = Arc::new(Host::new());
    let server = host.serve().await;
    let files = files_of(&server).await;
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), vec![7; 700_000]).unwrap();
    for polls in (0..).step_by(3) {
        fs::write(host.folder().join("file"), "old").unwrap();
        let finished =
            dropped(files.put(here.path(), "file").atomic().into_future(), polls, When::Woken).await;
        let none = server.wait_until(|record| record.channels_open() == 0, Duration::from_secs(60)).await;
        assert!(none.is_ok(), "after {polls} polls a command runs on");
        host.settles_at(&["file"]).await;
        let length = fs::metadata(host.folder().join("file")).unwrap().len();
        assert!(length == 700_000 || (!finished && length == 3), "{polls}: {length}");
        if finished {
            break;
        }
    }
    server.stop().await.unwrap();
}
