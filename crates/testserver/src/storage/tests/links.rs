//! Links, modes and names that are no text, as a Unix has them: each check on memory and on the disk.

use super::{both_ways, exists, move_to, names, read, replace, seconds, size, size_of, write};
use crate::storage::{Changes, Directory, FileKind, Links, Memory, OpenOptions, Storage, StorageError};

table!(memory, disk, [
    any_bytes_make_a_name
    links_lead_on_and_can_be_looked_at
    absolute_links_begin_at_the_root
    links_that_go_round_are_found_out
    dangling_link_makes_its_target_and_is_no_free_name
    links_are_moved_and_removed_and_not_followed
    link_and_slash_are_the_directory_where_nothing_is_made_or_removed
    hard_links_are_one_file
    directories_have_one_name
    removed_file_lives_until_closed
    modes_are_set_by_path_and_by_handle
    link_has_times_and_no_mode
    file_system_has_numbers
]);

fn any_bytes_make_a_name(tree: &dyn Storage) {
    let mut all: Vec<Vec<u8>> =
        (1..=255).filter(|&byte| byte != b'/' && byte != b'.').map(|byte| vec![byte]).collect();
    all.push(b"\xff\xfe not \xc3\x28 text\n\\".to_vec());
    all.push(b"...".to_vec());
    // A disk may take text alone.
    let probe = tree.open(b"/\xff", both_ways());
    if !matches!(probe, Err(StorageError::Io(_))) {
        drop(probe);
        for name in &all {
            tree.open(name, both_ways()).unwrap();
        }
        all.sort();
        assert_eq!(names(tree, "/"), all);
        assert_eq!(tree.real_path(b"\xff/.").unwrap_err(), StorageError::NotADirectory);
        assert_eq!(tree.real_path(b"./\xfe").unwrap(), b"/\xfe"[..]);
    }
}

fn links_lead_on_and_can_be_looked_at(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    tree.make_directory(b"/d/e", None).unwrap();
    write(tree, "/d/file", b"data");
    tree.make_symlink(b"d", b"/to-d").unwrap();
    tree.make_symlink(b"to-d/e/../file", b"/to-file").unwrap();
    assert_eq!(read(tree, "/to-file").unwrap(), "data");
    assert_eq!(read(tree, "/to-d/file").unwrap(), "data");
    assert_eq!(tree.read_link(b"/to-file").unwrap(), "to-d/e/../file");
    assert_eq!(tree.real_path(b"/to-file").unwrap(), "/d/file");
    assert_eq!(tree.real_path(b"/to-d/e/../..").unwrap(), "/");
    let link = tree.attributes(b"/to-file", Links::Keep).unwrap();
    assert_eq!((link.kind, link.size), (FileKind::Symlink, 14));
    assert_eq!(tree.attributes(b"/to-file", Links::Follow).unwrap().size, 4);
    assert_eq!(names(tree, "/to-d"), ["e", "file"]);
    let listed = tree.list(b"/").unwrap().next(9).unwrap();
    assert_eq!(listed.last().unwrap().attributes.kind, FileKind::Symlink);
    tree.set_attributes(b"/to-file", Links::Follow, &size_of(1)).unwrap();
    assert_eq!(size(tree, "/d/file"), 1);
    assert!(matches!(
        tree.set_attributes(b"/to-file", Links::Keep, &size_of(1)),
        Err(StorageError::Invalid(_))
    ));
}

fn absolute_links_begin_at_the_root(tree: &dyn Storage) {
    tree.make_directory(b"/etc", None).unwrap();
    write(tree, "/etc/passwd", b"ours");
    tree.make_symlink(b"/etc/passwd", b"/etc/link").unwrap();
    tree.make_symlink(b"../../../../../etc", b"/etc/up").unwrap();
    tree.make_symlink(b"/", b"/etc/top").unwrap();
    assert_eq!(read(tree, "/etc/link").unwrap(), "ours");
    assert_eq!(read(tree, "/etc/up/passwd").unwrap(), "ours");
    assert_eq!(tree.real_path(b"/etc/up/top/etc/link").unwrap(), "/etc/passwd");
    assert_eq!(tree.real_path(b"/etc/top").unwrap(), "/");
}

fn links_that_go_round_are_found_out(tree: &dyn Storage) {
    tree.make_symlink(b"b", b"/a").unwrap();
    tree.make_symlink(b"/a", b"/b").unwrap();
    tree.make_symlink(b"self/x", b"/self").unwrap();
    for path in ["/a", "/b/c", "/self", "/a/"] {
        assert_eq!(tree.open(path.as_bytes(), both_ways()).unwrap_err(), StorageError::Loop, "{path}");
        assert_eq!(tree.real_path(path.as_bytes()).unwrap_err(), StorageError::Loop, "{path}");
    }
    assert!(exists(tree, "/a"));
    // Forty are followed, and not one more.
    write(tree, "/link0", b"far");
    for n in 1..=41 {
        let (to, at) = (format!("link{}", n - 1), format!("/link{n}"));
        tree.make_symlink(to.as_bytes(), at.as_bytes()).unwrap();
    }
    assert_eq!(read(tree, "/link40").unwrap(), "far");
    assert_eq!(read(tree, "/link41").unwrap_err(), StorageError::Loop);
}

fn dangling_link_makes_its_target_and_is_no_free_name(tree: &dyn Storage) {
    tree.make_symlink(b"target", b"/link").unwrap();
    assert_eq!(tree.attributes(b"/link", Links::Follow).unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.real_path(b"/link").unwrap(), "/target");
    assert_eq!(tree.open(b"/link", both_ways().exclusive()).unwrap_err(), StorageError::Exists);
    assert_eq!(tree.make_directory(b"/link", None).unwrap_err(), StorageError::Exists);
    assert_eq!(tree.make_symlink(b"x", b"/link").unwrap_err(), StorageError::Exists);
    write(tree, "/file", b"");
    assert_eq!(move_to(tree, "/file", "/link").unwrap_err(), StorageError::Exists);
    write(tree, "/link", b"through");
    assert_eq!(read(tree, "/target").unwrap(), "through");
    assert_eq!(tree.make_symlink(b"", b"/empty").unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.make_symlink(b"a\0b", b"/zero").unwrap_err(), StorageError::InvalidName);
    assert_eq!(tree.make_symlink(&[b'x'; 4096], b"/long").unwrap_err(), StorageError::InvalidName);
    assert_eq!(tree.make_symlink(b"x", b"/slash/").unwrap_err(), StorageError::NotFound);
}

fn links_are_moved_and_removed_and_not_followed(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    write(tree, "/d/file", b"data");
    tree.make_symlink(b"/d", b"/link").unwrap();
    assert_eq!(tree.remove_directory(b"/link").unwrap_err(), StorageError::NotADirectory);
    move_to(tree, "/link", "/moved").unwrap();
    assert_eq!(tree.read_link(b"/moved").unwrap(), "/d");
    write(tree, "/file", b"new");
    replace(tree, "/file", "/moved").unwrap();
    assert_eq!(read(tree, "/moved").unwrap(), "new");
    tree.make_symlink(b"/d/file", b"/again").unwrap();
    tree.remove_file(b"/again").unwrap();
    assert_eq!(read(tree, "/d/file").unwrap(), "data");
}

fn link_and_slash_are_the_directory_where_nothing_is_made_or_removed(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    tree.make_symlink(b"d/", b"/link").unwrap();
    tree.make_symlink(b"none", b"/dangling").unwrap();
    assert_eq!(tree.attributes(b"/link/", Links::Keep).unwrap().kind, FileKind::Directory);
    assert_eq!(tree.attributes(b"/link", Links::Keep).unwrap().kind, FileKind::Symlink);
    assert_eq!(tree.remove_directory(b"/link/").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(tree.remove_file(b"/link/").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(move_to(tree, "/link/", "/x").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(tree.make_directory(b"/dangling/", None).unwrap_err(), StorageError::Exists);
    assert!(matches!(tree.read_link(b"/link/"), Err(StorageError::Invalid(_))));
    write(tree, "/d/file", b"");
    tree.make_symlink(b"d/file/", b"/file").unwrap();
    assert_eq!(read(tree, "/file").unwrap_err(), StorageError::NotADirectory);
}

fn hard_links_are_one_file(tree: &dyn Storage) {
    write(tree, "/a", b"data");
    tree.make_hard_link(b"/a", b"/b").unwrap();
    let (a, b) = (tree.attributes(b"/a", Links::Keep).unwrap(), tree.attributes(b"/b", Links::Keep).unwrap());
    assert_eq!((a.links, a.inode), (2, b.inode));
    assert!(a.inode.is_some());
    write(tree, "/b", b"changed");
    assert_eq!(read(tree, "/a").unwrap(), "changed");
    assert_eq!(tree.make_hard_link(b"/a", b"/b").unwrap_err(), StorageError::Exists);
    assert_eq!(tree.make_hard_link(b"/none", b"/c").unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.make_hard_link(b"/a", b"/c/").unwrap_err(), StorageError::NotFound);
    // Two names of one file stay two.
    replace(tree, "/a", "/b").unwrap();
    assert_eq!(names(tree, "/"), ["a", "b"]);
    tree.remove_file(b"/a").unwrap();
    assert_eq!(read(tree, "/b").unwrap(), "changed");
    assert_eq!(tree.attributes(b"/b", Links::Keep).unwrap().links, 1);
}

fn directories_have_one_name(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    assert_eq!(tree.make_hard_link(b"/d", b"/e").unwrap_err(), StorageError::PermissionDenied);
    assert_eq!(tree.make_hard_link(b"/", b"/e").unwrap_err(), StorageError::PermissionDenied);
    assert_eq!(tree.make_hard_link(b"/d", b"/d").unwrap_err(), StorageError::Exists);
}

fn removed_file_lives_until_closed(tree: &dyn Storage) {
    write(tree, "/file", b"data");
    let file = tree.open(b"/file", both_ways()).unwrap();
    tree.remove_file(b"/file").unwrap();
    assert!(!exists(tree, "/file"));
    write(tree, "/file", b"other");
    file.write_at(4, b" lives").unwrap();
    assert_eq!(file.read_at(0, 99).unwrap(), "data lives");
    assert_eq!(file.attributes().unwrap().links, 0);
    replace(tree, "/file", "/file2").unwrap();
    drop(file);
    assert_eq!(read(tree, "/file2").unwrap(), "other");
}

fn modes_are_set_by_path_and_by_handle(tree: &dyn Storage) {
    let mode = |path: &str| tree.attributes(path.as_bytes(), Links::Follow).unwrap().mode;
    let set = |mode| Changes { mode: Some(mode), ..Changes::default() };
    drop(tree.open(b"/file", both_ways().mode(0o600)).unwrap());
    assert_eq!(mode("/file"), 0o600);
    tree.set_attributes(b"/file", Links::Follow, &set(0o100_751)).unwrap();
    assert_eq!(mode("/file"), 0o751);
    tree.open(b"/file", OpenOptions::new()).unwrap().set_attributes(&set(0o640)).unwrap();
    assert_eq!(mode("/file"), 0o640);
    tree.make_directory(b"/dir", Some(0o700)).unwrap();
    assert_eq!(mode("/dir"), 0o700);
    tree.set_attributes(b"/dir", Links::Keep, &set(0o1755)).unwrap();
    assert_eq!(mode("/dir"), 0o1755);
    // What they have already can be set again by their owner.
    let owner = tree.attributes(b"/file", Links::Keep).unwrap();
    let same = Changes { uid: Some(owner.uid), gid: Some(owner.gid), ..Changes::default() };
    tree.set_attributes(b"/file", Links::Keep, &same).unwrap();
    tree.open(b"/file", OpenOptions::new()).unwrap().set_attributes(&same).unwrap();
}

fn link_has_times_and_no_mode(tree: &dyn Storage) {
    write(tree, "/file", b"");
    tree.make_symlink(b"file", b"/link").unwrap();
    let times =
        Changes { accessed: Some(seconds(7)), modified: Some(seconds(1_000_000)), ..Changes::default() };
    tree.set_attributes(b"/link", Links::Keep, &times).unwrap();
    assert_eq!(tree.attributes(b"/link", Links::Keep).unwrap().modified, seconds(1_000_000));
    assert_ne!(tree.attributes(b"/file", Links::Keep).unwrap().modified, seconds(1_000_000));
    let mode = Changes { mode: Some(0o600), ..Changes::default() };
    assert!(matches!(tree.set_attributes(b"/link", Links::Keep, &mode), Err(StorageError::Unsupported(_))));
}

fn file_system_has_numbers(tree: &dyn Storage) {
    write(tree, "/file", b"data");
    let by_path = tree.file_system(b"/file").unwrap();
    assert!(by_path.blocks > 0 && by_path.blocks >= by_path.blocks_free && by_path.fragment_size > 0);
    assert_eq!(by_path.longest_name, 255);
    let by_handle = tree.open(b"/file", both_ways()).unwrap().file_system().unwrap();
    assert_eq!((by_handle.blocks, by_handle.id), (by_path.blocks, by_path.id));
    assert_eq!(tree.file_system(b"/none").unwrap_err(), StorageError::NotFound);
}
