//! Directories are listed in parts, and made without following what a server may have put there.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use super::{assert_local, directory, file_with};
use crate::local::details::Kind;
use crate::local::preserve::Preserved;
use crate::local::tree::{AT_ONCE, Links, create_dir_all, details, list, make_dir, preserve};
#[cfg(unix)]
use crate::local::tree::{link_target, make_link};

#[tokio::test]
async fn a_large_directory_comes_in_parts_and_whole() {
    let directory = directory();
    let wanted: BTreeSet<_> = (0..2500).map(|index| format!("file-{index}")).collect();
    for name in &wanted {
        file_with(&directory, name, b"x");
    }
    let mut listing = list(directory.path().to_owned());
    let (mut found, mut parts) = (BTreeSet::new(), 0);
    while let Some(entries) = listing.next().await.unwrap() {
        assert!(entries.len() <= AT_ONCE);
        parts += 1;
        for entry in entries {
            let details = entry.details.unwrap();
            assert_eq!((details.kind(), details.length()), (Kind::File, 1));
            found.insert(entry.name.into_string().unwrap());
        }
    }
    assert_eq!((found == wanted, parts), (true, 10));
    assert!(listing.next().await.unwrap().is_none(), "the end stays the end");
}

#[tokio::test]
async fn what_cannot_be_listed_is_an_error_with_its_path() {
    let directory = directory();
    let path = directory.path().join("missing");
    assert_local(&list(path.clone()).next().await.unwrap_err(), &path, "no such file");
    let path = file_with(&directory, "a", b"");
    // Windows says of a file that its name is no directory's.
    let text = if cfg!(windows) { "does not take the name" } else { "no directory" };
    assert_local(&list(path.clone()).next().await.unwrap_err(), &path, text);
}

#[tokio::test]
async fn directories_are_made_and_found() {
    let directory = directory();
    let deep = directory.path().join("a").join("b").join("c");
    create_dir_all(deep.clone(), false).await.unwrap();
    create_dir_all(deep.clone(), false).await.unwrap();
    make_dir(deep.join("d"), 0o755, false).await.unwrap();
    make_dir(deep.join("d"), 0o755, false).await.unwrap();
    assert_eq!(details(deep.join("d"), Links::Keep).await.unwrap().kind(), Kind::Directory);
    let file = file_with(&directory, "file", b"");
    assert_local(&make_dir(file.clone(), 0o755, false).await.unwrap_err(), &file, "a file of this name");
    let orphan = directory.path().join("missing").join("d");
    assert_local(&make_dir(orphan.clone(), 0o755, false).await.unwrap_err(), &orphan, "no such");
}

#[tokio::test]
async fn a_directory_gets_its_times_when_it_is_filled() {
    let directory = directory();
    let path = directory.path().join("a");
    make_dir(path.clone(), 0o755, false).await.unwrap();
    fs::write(path.join("file"), "x").unwrap();
    preserve(path.clone(), Links::Keep, Preserved::NOTHING.times(1_000_000_000, 1_111_111_111).mode(0o755))
        .await
        .unwrap();
    let wanted = SystemTime::UNIX_EPOCH + Duration::from_secs(1_111_111_111);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), wanted);
    let found = details(path, Links::Keep).await.unwrap();
    assert_eq!((found.modified(), found.mode()), (Some(1_111_111_111), 0o755));
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_made_as_they_are_said_and_read_back() {
    let directory = directory();
    let path = directory.path().join("link");
    make_link(path.clone(), "../\u{e9}/x\\y".into()).await.unwrap();
    assert_eq!(link_target(path.clone()).await.unwrap(), "../\u{e9}/x\\y");
    assert_eq!(details(path.clone(), Links::Keep).await.unwrap().kind(), Kind::Link);
    assert_local(&details(path.clone(), Links::Follow).await.unwrap_err(), &path, "no such file");
    assert_local(&make_link(path.clone(), "x".into()).await.unwrap_err(), &path, "taken");
    let bytes = directory.path().join("bytes");
    make_link(bytes.clone(), b"\xff\xfe".as_slice().into()).await.unwrap();
    assert_eq!(link_target(bytes).await.unwrap(), &b"\xff\xfe"[..]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_place_of_a_directory_is_refused() {
    let directory = directory();
    let (outside, path) = (directory.path().join("outside"), directory.path().join("a"));
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert_local(&make_dir(path.clone(), 0o755, false).await.unwrap_err(), &path, "there is a link");
    let preserved = Preserved::NOTHING.times(1_000_000_000, 1_111_111_111).mode(0o711);
    assert!(preserve(path.clone(), Links::Keep, preserved).await.is_err());
    assert_ne!(details(outside.clone(), Links::Keep).await.unwrap().modified(), Some(1_111_111_111));
    preserve(path, Links::Follow, preserved).await.unwrap();
    assert_eq!(details(outside, Links::Keep).await.unwrap().modified(), Some(1_111_111_111));
    let file = file_with(&directory, "file", b"");
    assert!(preserve(file, Links::Keep, preserved).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_is_made_can_be_filled_whatever_its_permissions_will_be() {
    use std::os::unix::fs::PermissionsExt;
    let directory = directory();
    let path = directory.path().join("a");
    make_dir(path.clone(), 0o7500, false).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7700, 0o700);
    preserve(path.clone(), Links::Keep, Preserved::NOTHING.mode(0o500)).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o500);
    make_dir(path.clone(), 0o500, false).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o500);
    make_dir(path.clone(), 0o500, true).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o555)).unwrap();
    create_dir_all(path.clone(), true).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn times_that_the_protocol_has_no_number_for_are_left_out() {
    let directory = directory();
    let path = file_with(&directory, "a", b"x");
    for (time, wanted) in [
        (SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000), None),
        (SystemTime::UNIX_EPOCH - Duration::from_secs(1_000_000), None),
        (SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000), Some(4_000_000_000)),
    ] {
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(details(path.clone(), Links::Keep).await.unwrap().modified(), wanted);
    }
}
