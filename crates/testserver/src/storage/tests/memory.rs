//! What only the tree in memory has: users, a quota, its own clock, and figures that can be counted on.

use super::{both_ways, exists, names, read, seconds, size_of, write};
use crate::storage::{
    Changes, Existing, Links, Memory, OpenOptions, Storage, StorageError, tests::copy_data,
};

fn set_mode(tree: &Memory, path: &str, mode: u32) -> Result<(), StorageError> {
    tree.set_attributes(path.as_bytes(), Links::Follow, &Changes { mode: Some(mode), ..Changes::default() })
}

fn set_owner(tree: &Memory, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), StorageError> {
    tree.set_attributes(path.as_bytes(), Links::Keep, &Changes { uid, gid, ..Changes::default() })
}

const DENIED: StorageError = StorageError::PermissionDenied;

/// What a user is denied of: reading, writing.
fn denied(tree: &Memory, path: &str) -> (bool, bool) {
    let open = |options| match tree.open(path.as_bytes(), options) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error, DENIED);
            true
        }
    };
    (open(OpenOptions::new().read()), open(OpenOptions::new().write()))
}

#[test]
fn owner_group_and_others_have_bits_of_their_own() {
    let owner = Memory::new();
    let (member, other, root) = (owner.as_user(7, 1000), owner.as_user(8, 8), owner.as_user(0, 0));
    write(&owner, "/file", b"data");
    for (mode, expected) in [
        (0o640, [(false, false), (false, true), (true, true)]),
        (0o246, [(true, false), (false, true), (false, false)]),
        (0o077, [(true, true), (false, false), (false, false)]),
        (0o000, [(true, true), (true, true), (true, true)]),
    ] {
        set_mode(&owner, "/file", mode).unwrap();
        let found = [&owner, &member, &other].map(|user| denied(user, "/file"));
        assert_eq!(found, expected, "{mode:o}");
        assert_eq!(denied(&root, "/file"), (false, false));
    }
    // Looking at it needs no right on the file itself.
    assert_eq!(other.attributes(b"/file", Links::Keep).unwrap().size, 4);
}

#[test]
fn directory_needs_search_to_pass_and_write_to_change() {
    let owner = Memory::new();
    let other = owner.as_user(8, 8);
    owner.make_directory(b"/d", Some(0o755)).unwrap();
    write(&owner, "/d/file", b"data");
    set_mode(&owner, "/d/file", 0o666).unwrap();

    assert_eq!(other.open(b"/d/new", both_ways()).unwrap_err(), DENIED);
    assert_eq!(other.make_directory(b"/d/new", None).unwrap_err(), DENIED);
    assert_eq!(other.make_symlink(b"x", b"/d/new").unwrap_err(), DENIED);
    assert_eq!(other.make_hard_link(b"/d/file", b"/d/new").unwrap_err(), DENIED);
    assert_eq!(other.remove_file(b"/d/file").unwrap_err(), DENIED);
    assert_eq!(other.rename(b"/d/file", b"/d/new", Existing::Replace).unwrap_err(), DENIED);
    assert_eq!(other.remove_directory(b"/d").unwrap_err(), DENIED);
    write(&other, "/d/file", b"allowed");

    // Names can be listed without the right to pass, and the other way round.
    set_mode(&owner, "/d", 0o754).unwrap();
    assert_eq!(names(&other, "/d"), ["file"]);
    for path in [&b"/d/file"[..], b"/d/none", b"/d/.", b"/d/.."] {
        assert_eq!(other.attributes(path, Links::Follow).unwrap_err(), DENIED, "{path:?}");
    }
    set_mode(&owner, "/d", 0o751).unwrap();
    assert_eq!(other.list(b"/d").unwrap_err(), DENIED);
    assert_eq!(read(&other, "/d/file").unwrap(), "allowed");

    set_mode(&owner, "/d", 0o753).unwrap();
    write(&other, "/d/mine", b"");
    let mine = owner.attributes(b"/d/mine", Links::Keep).unwrap();
    assert_eq!((mine.uid, mine.gid, mine.mode), (8, 8, 0o644));
    other.remove_file(b"/d/file").unwrap();
}

#[test]
fn moving_a_directory_needs_the_right_to_change_it() {
    let owner = Memory::new();
    let root = owner.as_user(0, 0);
    owner.make_directory(b"/to", None).unwrap();
    root.make_directory(b"/theirs", Some(0o755)).unwrap();
    owner.rename(b"/theirs", b"/renamed", Existing::Refuse).unwrap();
    assert_eq!(owner.rename(b"/renamed", b"/to/d", Existing::Refuse).unwrap_err(), DENIED);
    set_mode(&root, "/renamed", 0o777).unwrap();
    owner.rename(b"/renamed", b"/to/d", Existing::Refuse).unwrap();
}

#[test]
fn attributes_are_the_owners_to_change() {
    let owner = Memory::new();
    let (other, root) = (owner.as_user(8, 8), owner.as_user(0, 0));
    write(&owner, "/file", b"data");
    assert_eq!(set_mode(&other, "/file", 0o777).unwrap_err(), DENIED);
    let times = Changes { modified: Some(seconds(1)), ..Changes::default() };
    assert_eq!(other.set_attributes(b"/file", Links::Follow, &times).unwrap_err(), DENIED);
    assert_eq!(other.set_attributes(b"/file", Links::Follow, &size_of(0)).unwrap_err(), DENIED);
    let opened = other.open(b"/file", OpenOptions::new()).unwrap();
    assert_eq!(opened.set_attributes(&times).unwrap_err(), DENIED);

    for (uid, gid) in [(Some(8), None), (None, Some(8)), (Some(0), Some(0))] {
        assert_eq!(set_owner(&owner, "/file", uid, gid).unwrap_err(), DENIED);
        assert_eq!(set_owner(&other, "/file", uid, gid).unwrap_err(), DENIED);
    }
    set_owner(&root, "/file", None, Some(8)).unwrap();
    set_owner(&owner, "/file", Some(1000), Some(1000)).unwrap();
    set_owner(&root, "/file", Some(8), None).unwrap();
    let given = owner.attributes(b"/file", Links::Keep).unwrap();
    assert_eq!((given.uid, given.gid), (8, 1000));
    set_mode(&other, "/file", 0o600).unwrap();
    assert_eq!(denied(&owner, "/file"), (true, true));
}

#[test]
fn open_handle_keeps_the_rights_it_had() {
    let owner = Memory::new();
    let file = owner.open(b"/file", both_ways().mode(0)).unwrap();
    assert_eq!(owner.attributes(b"/file", Links::Keep).unwrap().mode, 0);
    file.write_at(0, b"data").unwrap();
    assert_eq!(file.read_at(0, 9).unwrap(), "data");
    assert_eq!(denied(&owner, "/file"), (true, true));
}

#[test]
fn umask_takes_bits_away() {
    let tree = Memory::new().umask(0o077);
    drop(tree.open(b"/file", both_ways()).unwrap());
    tree.make_directory(b"/dir", Some(0o2775)).unwrap();
    let mode = |path: &[u8]| tree.attributes(path, Links::Keep).unwrap().mode;
    assert_eq!((mode(b"/file"), mode(b"/dir")), (0o600, 0o2700));
}

#[test]
fn read_only_view_changes_nothing() {
    let tree = Memory::new();
    write(&tree, "/file", b"data");
    let view = tree.read_only();
    let before = (view.attributes(b"/", Links::Keep), view.attributes(b"/file", Links::Keep));
    let refused = [
        view.open(b"/file", OpenOptions::new().write()).map(|_| ()),
        view.open(b"/new", both_ways()).map(|_| ()),
        view.make_directory(b"/new", None),
        view.make_symlink(b"x", b"/new"),
        view.make_hard_link(b"/file", b"/new"),
        view.remove_file(b"/file"),
        view.rename(b"/file", b"/new", Existing::Replace),
        set_mode(&view, "/file", 0o777),
        view.set_attributes(b"/file", Links::Follow, &size_of(0)),
        view.open(b"/file", OpenOptions::new()).unwrap().set_attributes(&Changes::default()),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err(), StorageError::ReadOnly);
    }
    assert_eq!((view.attributes(b"/", Links::Keep), view.attributes(b"/file", Links::Keep)), before);
    assert_eq!(read(&view, "/file").unwrap(), "data");
    assert_eq!(view.file_system(b"/").unwrap().flags, 1);
    assert_eq!(tree.file_system(b"/").unwrap().flags, 0);
    write(&tree, "/file", b"changed");
    assert_eq!(read(&view, "/file").unwrap(), "changed");
}

#[test]
fn quota_ends_a_write_and_keeps_what_fitted() {
    let tree = Memory::new().quota(100_000);
    let file = tree.open(b"/file", both_ways()).unwrap();
    file.write_at(0, &[1; 60_000]).unwrap();
    assert_eq!(file.write_at(60_000, &[2; 60_000]).unwrap_err(), StorageError::NoSpace);
    assert_eq!(file.attributes().unwrap().size, 100_000);
    assert_eq!(file.read_at(59_999, 2).unwrap(), [1, 2][..]);
    assert_eq!(file.write_at(100_000, b"x").unwrap_err(), StorageError::NoSpace);
    assert_eq!(tree.file_system(b"/").unwrap().blocks_available, 0);
    // What is stored can be changed, holes cost nothing, and so do names.
    file.write_at(5, &[3; 50_000]).unwrap();
    file.set_attributes(&size_of(1 << 40)).unwrap();
    tree.make_directory(b"/dir", None).unwrap();
    let other = tree.open(b"/other", both_ways()).unwrap();
    assert_eq!(other.write_at(0, b"x").unwrap_err(), StorageError::NoSpace);
    assert_eq!(copy_data((&*file, 0), None, (&*other, 0)).unwrap_err(), StorageError::NoSpace);
    file.set_attributes(&size_of(99_999)).unwrap();
    other.write_at(1 << 40, b"x").unwrap();
    assert_eq!(other.attributes().unwrap().allocated, 1);
}

#[test]
fn space_comes_back_when_the_last_name_and_handle_are_gone() {
    let tree = Memory::new().quota(10);
    let free = || tree.open(b"/probe", both_ways()).unwrap().write_at(0, b"0123456789").is_ok();
    write(&tree, "/a", b"0123456789");
    tree.make_hard_link(b"/a", b"/b").unwrap();
    let (one, other) = (tree.open(b"/a", both_ways()).unwrap(), tree.open(b"/b", both_ways()).unwrap());
    for path in [b"/a", b"/b"] {
        tree.remove_file(path).unwrap();
        assert!(!free());
    }
    drop(one);
    assert!(!free());
    drop(other);
    assert!(free());
    // A replaced file is gone too, and an emptied one.
    tree.rename(b"/probe", b"/target", Existing::Refuse).unwrap();
    drop(tree.open(b"/empty", both_ways()).unwrap());
    tree.rename(b"/empty", b"/target", Existing::Replace).unwrap();
    assert!(free());
    drop(tree.open(b"/probe", both_ways().truncate()).unwrap());
    assert!(free());
}

#[test]
fn file_has_so_many_names_and_no_more() {
    let tree = Memory::new();
    write(&tree, "/0", b"");
    for n in 1..65_000 {
        tree.make_hard_link(b"/0", format!("/{n}").as_bytes()).unwrap();
    }
    assert_eq!(tree.make_hard_link(b"/0", b"/more").unwrap_err(), StorageError::TooManyLinks);
    assert!(!exists(&tree, "/more"));
    tree.remove_file(b"/1").unwrap();
    tree.make_hard_link(b"/0", b"/more").unwrap();
}

#[test]
fn directories_count_those_in_them() {
    let tree = Memory::new();
    let links = |path: &[u8]| tree.attributes(path, Links::Keep).unwrap().links;
    for dir in [&b"/a"[..], b"/a/b", b"/a/c", b"/d"] {
        tree.make_directory(dir, None).unwrap();
    }
    write(&tree, "/a/file", b"");
    assert_eq!((links(b"/"), links(b"/a"), links(b"/d")), (4, 4, 2));
    tree.rename(b"/a/b", b"/d/b", Existing::Refuse).unwrap();
    tree.rename(b"/a/c", b"/d/b", Existing::Replace).unwrap();
    assert_eq!((links(b"/"), links(b"/a"), links(b"/d")), (4, 2, 3));
    assert_eq!(tree.real_path(b"/d/b/..").unwrap(), "/d");
    tree.remove_directory(b"/d/b").unwrap();
    assert_eq!(links(b"/d"), 2);
}

#[test]
fn each_change_is_a_second_later_and_a_file_is_written_in_one() {
    let tree = Memory::new();
    let modified = |path: &[u8]| tree.attributes(path, Links::Keep).unwrap().modified;
    assert_eq!(modified(b"/"), seconds(1_700_000_000));
    let file = tree.open(b"/file", both_ways()).unwrap();
    assert_eq!((modified(b"/"), modified(b"/file")), (seconds(1_700_000_001), seconds(1_700_000_001)));
    for n in 0..100 {
        file.write_at(n, b"x").unwrap();
    }
    assert_eq!(modified(b"/file"), seconds(1_700_000_002));
    file.read_at(0, 9).unwrap();
    let attributes = file.attributes().unwrap();
    assert_eq!((attributes.accessed, attributes.modified), (seconds(1_700_000_001), seconds(1_700_000_002)));
    // A time that a client sets stays until something is written after.
    file.set_attributes(&Changes { modified: Some(seconds(5)), ..Changes::default() }).unwrap();
    assert_eq!(modified(b"/file"), seconds(5));
    file.write_at(0, b"y").unwrap();
    assert_eq!(modified(b"/file"), seconds(1_700_000_003));
}

#[test]
fn clock_can_be_told() {
    let mut calls = 0;
    let tree = Memory::new().clock(move || {
        calls += 1;
        seconds(calls * 100)
    });
    let file = tree.open(b"/file", both_ways()).unwrap();
    assert_eq!(file.attributes().unwrap().modified, seconds(100));
    for n in 2..5 {
        file.write_at(0, b"x").unwrap();
        assert_eq!(file.attributes().unwrap().modified, seconds(n * 100));
    }
}

#[test]
fn same_operations_give_the_same_tree() {
    let build = || {
        let tree = Memory::new();
        tree.make_directory(b"/d", None).unwrap();
        write(&tree, "/d/a", b"1");
        tree.make_symlink(b"a", b"/d/b").unwrap();
        tree.remove_file(b"/d/a").unwrap();
        write(&tree, "/d/c", b"2");
        tree.list(b"/d").unwrap().next(100).unwrap()
    };
    assert_eq!(build(), build());
    assert_eq!(build().iter().filter_map(|entry| entry.attributes.inode).collect::<Vec<_>>(), [2, 1, 4, 5]);
}

#[test]
fn tree_survives_a_panic_while_it_is_locked() {
    let tree = Memory::new();
    write(&tree, "/file", b"data");
    let panicking = tree.clone().clock(|| panic!("a test's clock"));
    let outcome = std::thread::spawn(move || panicking.make_directory(b"/d", None)).join();
    assert!(outcome.is_err());
    assert_eq!(read(&tree, "/file").unwrap(), "data");
}
