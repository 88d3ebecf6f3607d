//! Names by a pattern, at each kind of host.

use std::fs;

use crate::commands::host::at_each_host;

#[tokio::test]
async fn patterns_find_what_they_find_by_sftp() {
    at_each_host(async |name, host, files| {
        for directory in ["log/old", "log/.hidden", "empty"] {
            fs::create_dir_all(host.folder().join(directory)).unwrap();
        }
        for file in ["log/a.gz", "log/b.gz", "log/c", "log/old/d.gz", "log/.hidden/e.gz", "log/li\nne.gz"] {
            fs::write(host.folder().join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("log", host.folder().join("link")).unwrap();
        for (pattern, expected) in [
            ("log/*.gz", &["log/a.gz", "log/b.gz", "log/li\nne.gz"][..]),
            ("log/[bc]*", &["log/b.gz", "log/c"]),
            ("l*/?", &["link/c", "log/c"]),
            ("log/**/*.gz", &["log/a.gz", "log/b.gz", "log/li\nne.gz", "log/old/d.gz"]),
            ("*/", &["empty", "link", "log"]),
            ("log/.*/e.gz", &["log/.hidden/e.gz"]),
            ("none/*", &[]),
            ("log/c/*", &[]),
            ("log/c", &["log/c"]),
        ] {
            let found = files.glob(pattern).unwrap().sorted().await.unwrap();
            let paths: Vec<_> = found.iter().map(|entry| entry.path().clone()).collect();
            assert_eq!(paths, expected, "{name}: {pattern}");
        }
        let found = files.glob("log/a.gz").unwrap().sorted().await.unwrap();
        assert_eq!(found[0].metadata().len(), Some(8), "{name}");
    })
    .await;
}
