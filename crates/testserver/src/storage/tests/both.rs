//! Files, directories, names and paths, as every platform has them: each check on memory and on the disk.

use super::{both_ways, copy_data, exists, move_to, names, read, replace, seconds, size, size_of, write};
use crate::storage::{
    Changes, CopyData, Directory, FileKind, LONGEST_READ, Links, Memory, OpenOptions, Storage, StorageError,
};

table!(memory, disk, [
    what_is_written_is_read_back
    holes_read_as_zeros
    appended_data_goes_to_the_end
    handle_does_only_what_it_was_opened_for
    opening_makes_empties_and_refuses_as_told
    directories_are_not_opened_as_files
    copy_ends_where_the_source_did_at_its_start_and_goes_step_by_step
    part_that_cannot_be_changed_does_not_keep_the_others_from_it
    size_is_set_by_path_and_by_handle
    offsets_have_an_end
    times_are_kept
    listing_is_ordered_and_comes_in_pieces
    listing_leaves_out_what_was_removed_meanwhile
    directory_is_removed_only_when_empty
    rename_moves_and_refuses_to_replace
    replacing_rename_replaces_like_by_like
    directory_is_not_moved_into_itself
    paths_are_resolved_from_the_root
    wrong_names_are_refused
    slash_at_the_end_means_a_directory
    data_is_copied_between_handles
]);

fn what_is_written_is_read_back(tree: &dyn Storage) {
    let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = tree.open(b"file", both_ways()).unwrap();
    // Back to front, in pieces that meet no boundary.
    let mut start = data.len();
    for piece in data.rchunks(33_333) {
        start -= piece.len();
        file.write_at(start as u64, piece).unwrap();
    }
    file.sync().unwrap();
    assert!(file.read_at(0, LONGEST_READ).unwrap() == data);
    assert!(file.read_at(65_000, 140_000).unwrap() == data[65_000..205_000]);
    assert_eq!(file.read_at(399_998, 100).unwrap(), data[399_998..]);
    assert!(file.read_at(400_000, 1).unwrap().is_empty());
    assert!(file.read_at(u64::MAX, usize::MAX).unwrap().is_empty());
    file.write_at(70_000, b"").unwrap();
    let attributes = file.attributes().unwrap();
    assert_eq!((attributes.kind, attributes.size, attributes.links), (FileKind::File, 400_000, 1));
    assert_eq!(attributes.kind.bits(), 0o100_000);
    assert_eq!(tree.attributes(b"/file", Links::Follow).unwrap(), attributes);
}

fn holes_read_as_zeros(tree: &dyn Storage) {
    let file = tree.open(b"/sparse", both_ways()).unwrap();
    file.write_at(3_000_000, b"end").unwrap();
    assert_eq!(file.read_at(2_999_998, 10).unwrap(), b"\0\0end"[..]);
    let long = file.read_at(5, usize::MAX).unwrap();
    assert_eq!(long.len(), LONGEST_READ);
    assert!(long.iter().all(|&byte| byte == 0));
    file.set_attributes(&size_of(1 << 32)).unwrap();
    assert_eq!(file.read_at((1 << 32) - 3, 10).unwrap(), [0; 3][..]);
}

fn appended_data_goes_to_the_end(tree: &dyn Storage) {
    write(tree, "/log", b"first");
    let (one, other) = (OpenOptions::new().append(), OpenOptions::new().read().append());
    let (one, other) = (tree.open(b"/log", one).unwrap(), tree.open(b"/log", other).unwrap());
    one.write_at(0, b", second").unwrap();
    other.write_at(1, b", third").unwrap();
    one.write_at(2, b".").unwrap();
    assert_eq!(other.read_at(0, 100).unwrap(), "first, second, third.");
    let again = tree.open(b"/log", OpenOptions::new().append().truncate()).unwrap();
    again.write_at(100, b"again").unwrap();
    assert_eq!(read(tree, "/log").unwrap(), "again");
    again.set_attributes(&size_of(2)).unwrap();
    assert_eq!(size(tree, "/log"), 2);
}

fn handle_does_only_what_it_was_opened_for(tree: &dyn Storage) {
    write(tree, "/file", b"data");
    let reader = tree.open(b"/file", OpenOptions::new()).unwrap();
    assert_eq!(reader.write_at(0, b"x").unwrap_err(), StorageError::PermissionDenied);
    assert_eq!(
        reader.set_attributes(&size_of(1)),
        Err(StorageError::Invalid("the file is not open for writing"))
    );
    let writer = tree.open(b"/file", OpenOptions::new().write()).unwrap();
    assert_eq!(writer.read_at(0, 1).unwrap_err(), StorageError::PermissionDenied);
    let maker = tree.open(b"/made", OpenOptions::new().read().create()).unwrap();
    assert_eq!(maker.write_at(0, b"x").unwrap_err(), StorageError::PermissionDenied);
    assert_eq!(reader.read_at(0, 9).unwrap(), "data");
}

fn opening_makes_empties_and_refuses_as_told(tree: &dyn Storage) {
    let open = |options| tree.open(b"/file", options).map(|_| ());
    let write_only = OpenOptions::new().write();
    assert_eq!(open(write_only).unwrap_err(), StorageError::NotFound);
    assert_eq!(open(write_only.exclusive()).unwrap_err(), StorageError::NotFound);
    open(write_only.create().exclusive()).unwrap();
    assert_eq!(open(write_only.create().exclusive()).unwrap_err(), StorageError::Exists);
    write(tree, "/file", b"data");
    open(write_only.create()).unwrap();
    assert_eq!(size(tree, "/file"), 4);
    assert!(matches!(open(OpenOptions::new().truncate()), Err(StorageError::Invalid(_))));
    open(write_only.truncate()).unwrap();
    assert_eq!(size(tree, "/file"), 0);
    assert_eq!(tree.open(b"/no/file", both_ways()).unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.open(b"/file/x", both_ways()).unwrap_err(), StorageError::NotADirectory);
}

fn part_that_cannot_be_changed_does_not_keep_the_others_from_it(tree: &dyn Storage) {
    tree.make_directory(b"/dir", None).unwrap();
    let times = Changes { accessed: Some(seconds(5)), modified: Some(seconds(6)), ..size_of(1) };
    assert_eq!(tree.set_attributes(b"/dir", Links::Follow, &times), Err(StorageError::IsADirectory));
    assert_eq!(tree.attributes(b"/dir", Links::Follow).unwrap().modified, seconds(6));
    write(tree, "/file", b"data");
    let writer = tree.open(b"/file", both_ways()).unwrap();
    let impossible = Changes { size: Some(u64::MAX), ..times };
    assert!(writer.set_attributes(&impossible).is_err());
    assert_eq!(writer.attributes().unwrap().modified, seconds(6));
}

fn directories_are_not_opened_as_files(tree: &dyn Storage) {
    tree.make_directory(b"/dir", None).unwrap();
    for path in [&b"/dir"[..], b"/", b"dir/..", b"/new/"] {
        assert_eq!(tree.open(path, both_ways()).unwrap_err(), StorageError::IsADirectory, "{path:?}");
    }
    for path in [&b"/dir"[..], b"/", b"dir/."] {
        let options = both_ways().exclusive();
        assert_eq!(tree.open(path, options).unwrap_err(), StorageError::Exists, "{path:?}");
    }
    assert_eq!(tree.remove_file(b"/dir").unwrap_err(), StorageError::IsADirectory);
    assert_eq!(tree.set_attributes(b"/dir", Links::Follow, &size_of(1)), Err(StorageError::IsADirectory));
    write(tree, "/file", b"");
    assert_eq!(tree.list(b"/file").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(tree.list(b"/none").unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.remove_directory(b"/file").unwrap_err(), StorageError::NotADirectory);
    assert!(matches!(tree.read_link(b"/file"), Err(StorageError::Invalid(_))));
    assert_eq!(tree.read_link(b"/none").unwrap_err(), StorageError::NotFound);
}

fn size_is_set_by_path_and_by_handle(tree: &dyn Storage) {
    write(tree, "/file", &[7; 100_000]);
    tree.set_attributes(b"/file", Links::Follow, &size_of(70_000)).unwrap();
    let file = tree.open(b"/file", both_ways()).unwrap();
    file.set_attributes(&size_of(70_002)).unwrap();
    assert_eq!(file.read_at(69_999, 9).unwrap(), [7, 0, 0][..]);
    assert_eq!(
        tree.set_attributes(b"/none", Links::Follow, &size_of(0)).unwrap_err(),
        StorageError::NotFound
    );
}

fn offsets_have_an_end(tree: &dyn Storage) {
    let file = tree.open(b"/file", both_ways()).unwrap();
    let past_the_end = [(u64::MAX, 1), (u64::MAX - 1, 1), (i64::MAX as u64, 1), (i64::MAX as u64 - 1, 2)];
    for (offset, length) in past_the_end {
        assert_eq!(
            file.write_at(offset, &vec![1; length]).unwrap_err(),
            StorageError::TooLarge,
            "{offset}, {length}"
        );
    }
    assert_eq!(file.set_attributes(&size_of(1 << 63)).unwrap_err(), StorageError::TooLarge);
    assert_eq!(
        tree.set_attributes(b"/file", Links::Follow, &size_of(u64::MAX)).unwrap_err(),
        StorageError::TooLarge
    );
    assert_eq!(size(tree, "/file"), 0);
}

fn times_are_kept(tree: &dyn Storage) {
    let times = |accessed, modified| Changes {
        accessed: Some(seconds(accessed)),
        modified: Some(seconds(modified)),
        ..Changes::default()
    };
    let shown = |path: &str| {
        let attributes = tree.attributes(path.as_bytes(), Links::Follow).unwrap();
        (attributes.accessed, attributes.modified)
    };
    write(tree, "/file", b"data");
    tree.make_directory(b"/dir", None).unwrap();
    for path in ["/file", "/dir"] {
        tree.set_attributes(path.as_bytes(), Links::Follow, &times(1_000_000_000, 2_000_000_000)).unwrap();
        assert_eq!(shown(path), (seconds(1_000_000_000), seconds(2_000_000_000)), "{path}");
    }
    let file = tree.open(b"/file", both_ways()).unwrap();
    file.set_attributes(&times(4_294_967_295, 1)).unwrap();
    assert_eq!(shown("/file"), (seconds(4_294_967_295), seconds(1)));
    let one = Changes { modified: Some(seconds(5)), ..Changes::default() };
    tree.set_attributes(b"/file", Links::Follow, &one).unwrap();
    assert_eq!(shown("/file"), (seconds(4_294_967_295), seconds(5)));
    file.write_at(0, b"x").unwrap();
    drop(file);
    assert!(shown("/file").1 > seconds(1_600_000_000), "a write did not change the time");
}

fn listing_is_ordered_and_comes_in_pieces(tree: &dyn Storage) {
    assert!(names(tree, "/").is_empty());
    tree.make_directory(b"/d", None).unwrap();
    for name in ["b", "a", "B", "aa", "a-", "c", "_"] {
        // In a directory of its own, since some disks do not tell `b` from `B`.
        tree.make_directory(format!("/d/{name}x{}", name.len()).as_bytes(), None)
            .or_else(|error| if error == StorageError::Exists { Ok(()) } else { Err(error) })
            .unwrap();
    }
    let listed = names(tree, "d");
    assert!(listed.is_sorted() && listed.len() >= 6, "{listed:?}");
    write(tree, "/d/file", b"12345");
    let mut listing = tree.list(b"/d/.").unwrap();
    let entries = listing.next(1000).unwrap();
    assert_eq!(entries.len(), listed.len() + 3);
    assert!(listing.next(1000).unwrap().is_empty() && listing.next(0).unwrap().is_empty());
    let file = entries.iter().find(|entry| entry.name == "file").unwrap();
    assert_eq!((file.attributes.kind, file.attributes.size), (FileKind::File, 5));
    assert_eq!(entries[0].attributes.kind, FileKind::Directory);
    assert_eq!(entries[0].attributes, tree.attributes(b"/d", Links::Follow).unwrap());
    assert_eq!(entries[1].attributes.inode, tree.attributes(b"/", Links::Follow).unwrap().inode);
    let root = tree.list(b"/").unwrap().next(2).unwrap();
    assert_eq!(root[0].attributes, root[1].attributes, "nothing is above the root");
}

fn listing_leaves_out_what_was_removed_meanwhile(tree: &dyn Storage) {
    for name in ["/a", "/b", "/c"] {
        write(tree, name, b"");
    }
    let mut listing = tree.list(b"/").unwrap();
    assert_eq!(listing.next(3).unwrap()[2].name, "a");
    tree.remove_file(b"/b").unwrap();
    write(tree, "/d", b"");
    let rest: Vec<_> = listing.next(9).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(rest, ["c"]);

    tree.make_directory(b"/gone", None).unwrap();
    let mut listing = tree.list(b"/gone").unwrap();
    tree.remove_directory(b"/gone").unwrap();
    let left: Vec<_> = listing.next(9).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(left.iter().all(|name| name == ".."), "{left:?}");
}

fn directory_is_removed_only_when_empty(tree: &dyn Storage) {
    tree.make_directory(b"/dir", Some(0o755)).unwrap();
    assert_eq!(tree.make_directory(b"/dir", None).unwrap_err(), StorageError::Exists);
    assert_eq!(tree.make_directory(b"/", None).unwrap_err(), StorageError::Exists);
    assert_eq!(tree.make_directory(b"/none/dir", None).unwrap_err(), StorageError::NotFound);
    write(tree, "/dir/file", b"");
    assert_eq!(tree.remove_directory(b"/dir").unwrap_err(), StorageError::NotEmpty);
    tree.remove_file(b"/dir/file").unwrap();
    tree.remove_directory(b"/dir").unwrap();
    assert_eq!(tree.remove_directory(b"/dir").unwrap_err(), StorageError::NotFound);
    assert_eq!(tree.remove_file(b"/dir").unwrap_err(), StorageError::NotFound);
    for path in [&b"/"[..], b".", b"/.."] {
        assert!(matches!(tree.remove_directory(path), Err(StorageError::Invalid(_))), "{path:?}");
        assert_eq!(tree.remove_file(path).unwrap_err(), StorageError::IsADirectory, "{path:?}");
    }
}

fn rename_moves_and_refuses_to_replace(tree: &dyn Storage) {
    write(tree, "/a", b"a");
    write(tree, "/b", b"b");
    tree.make_directory(b"/d", None).unwrap();
    assert_eq!(move_to(tree, "/a", "/b").unwrap_err(), StorageError::Exists);
    assert_eq!(move_to(tree, "/a", "/d").unwrap_err(), StorageError::Exists);
    assert_eq!(move_to(tree, "/a", "/a").unwrap_err(), StorageError::Exists);
    assert_eq!(move_to(tree, "/a", "/").unwrap_err(), StorageError::Exists);
    assert_eq!(move_to(tree, "/none", "/x").unwrap_err(), StorageError::NotFound);
    assert_eq!(move_to(tree, "/a", "/none/x").unwrap_err(), StorageError::NotFound);
    assert!(matches!(move_to(tree, "/d/..", "/x"), Err(StorageError::Invalid(_))));
    move_to(tree, "/a", "/d/a").unwrap();
    assert!(!exists(tree, "/a"));
    assert_eq!(read(tree, "/d/a").unwrap(), "a");
    move_to(tree, "/d", "/e").unwrap();
    assert_eq!(read(tree, "/e/a").unwrap(), "a");
    assert_eq!(tree.real_path(b"/e/a/../a").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(tree.real_path(b"/e/./../e/a").unwrap(), "/e/a");
    assert_eq!(names(tree, "/"), ["b", "e"]);
}

fn replacing_rename_replaces_like_by_like(tree: &dyn Storage) {
    write(tree, "/a", b"a");
    write(tree, "/b", b"b");
    for dir in ["/d", "/d/d", "/e"] {
        tree.make_directory(dir.as_bytes(), None).unwrap();
    }
    replace(tree, "/a", "/b").unwrap();
    assert_eq!(read(tree, "/b").unwrap(), "a");
    assert!(!exists(tree, "/a"));
    replace(tree, "/b", "/b").unwrap();
    assert_eq!(read(tree, "/b").unwrap(), "a");
    assert_eq!(replace(tree, "/b", "/e").unwrap_err(), StorageError::IsADirectory);
    assert_eq!(replace(tree, "/e", "/b").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(replace(tree, "/e", "/d").unwrap_err(), StorageError::NotEmpty);
    replace(tree, "/d", "/e").unwrap();
    assert_eq!(names(tree, "/"), ["b", "e"]);
    assert_eq!(names(tree, "/e"), ["d"]);
    replace(tree, "/b", "/e/new").unwrap();
    assert_eq!(read(tree, "/e/new").unwrap(), "a");
}

fn directory_is_not_moved_into_itself(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    tree.make_directory(b"/d/e", None).unwrap();
    for to in ["/d/x", "/d/e/x"] {
        assert!(matches!(move_to(tree, "/d", to), Err(StorageError::Invalid(_))), "{to}");
        assert!(matches!(replace(tree, "/d", to), Err(StorageError::Invalid(_))), "{to}");
    }
    assert_eq!(replace(tree, "/d/e", "/d").unwrap_err(), StorageError::NotEmpty);
    replace(tree, "/d", "/d").unwrap();
    move_to(tree, "/d", "/dd").unwrap();
    assert!(exists(tree, "/dd/e"));
}

fn paths_are_resolved_from_the_root(tree: &dyn Storage) {
    tree.make_directory(b"/d", None).unwrap();
    tree.make_directory(b"/d/e", None).unwrap();
    write(tree, "/d/file", b"");
    for (path, real) in [
        ("", "/"),
        (".", "/"),
        ("..", "/"),
        ("/../../..", "/"),
        ("//d///e/", "/d/e"),
        ("d/e/../../d/./e/..", "/d"),
        ("/d/file", "/d/file"),
        ("/d/not-yet", "/d/not-yet"),
        ("../d/not-yet/", "/d/not-yet"),
    ] {
        assert_eq!(tree.real_path(path.as_bytes()).unwrap(), real, "{path}");
    }
    for path in ["/none/..", "none/file", "/d/none/."] {
        assert_eq!(tree.real_path(path.as_bytes()).unwrap_err(), StorageError::NotFound, "{path}");
    }
    for path in ["/d/file/", "/d/file/..", "/d/file/x", "/d/file/."] {
        assert_eq!(tree.real_path(path.as_bytes()).unwrap_err(), StorageError::NotADirectory, "{path}");
    }
    assert_eq!(tree.attributes(b"", Links::Follow).unwrap_err(), StorageError::NotFound);
    let root = tree.attributes(b"/", Links::Follow).unwrap();
    assert_eq!(tree.attributes(b"d/../..", Links::Keep).unwrap(), root);
}

fn wrong_names_are_refused(tree: &dyn Storage) {
    let long = "n".repeat(255);
    write(tree, &long, b"long");
    assert_eq!(names(tree, "/"), [long.as_str()]);
    let too_long = format!("/{long}n");
    let deep = "/..".repeat(1365);
    assert_eq!(tree.real_path(format!("{deep}/").as_bytes()).unwrap(), "/");
    for path in [too_long.as_bytes(), b"/a\0b", b"/a\0/b", format!("{deep}/..").as_bytes()] {
        assert_eq!(tree.open(path, both_ways()).unwrap_err(), StorageError::InvalidName);
        assert_eq!(tree.make_directory(path, None).unwrap_err(), StorageError::InvalidName);
        assert_eq!(tree.attributes(path, Links::Keep).unwrap_err(), StorageError::InvalidName);
    }
}

fn slash_at_the_end_means_a_directory(tree: &dyn Storage) {
    write(tree, "/file", b"");
    assert_eq!(tree.attributes(b"/file/", Links::Keep).unwrap_err(), StorageError::NotADirectory);
    assert_eq!(tree.remove_file(b"/file/").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(move_to(tree, "/file/", "/x").unwrap_err(), StorageError::NotADirectory);
    assert_eq!(move_to(tree, "/file", "/x/").unwrap_err(), StorageError::NotADirectory);
    tree.make_directory(b"/dir/", None).unwrap();
    move_to(tree, "/dir/", "/dir2/").unwrap();
    tree.remove_directory(b"/dir2/").unwrap();
    assert_eq!(names(tree, "/"), ["file"]);
}

fn data_is_copied_between_handles(tree: &dyn Storage) {
    let data: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
    write(tree, "/from", &data);
    let from = tree.open(b"/from", OpenOptions::new().read()).unwrap();
    let to = tree.open(b"/to", both_ways()).unwrap();
    assert_eq!(copy_data((&*from, 1), None, (&*to, 2)).unwrap(), 599_999);
    assert_eq!(to.read_at(0, 5).unwrap(), [0, 0, data[1], data[2], data[3]][..]);
    assert!(to.read_at(2, usize::MAX).unwrap() == data[1..]);
    assert_eq!(copy_data((&*from, 10), Some(5), (&*to, 0)).unwrap(), 5);
    assert_eq!(to.read_at(0, 5).unwrap(), data[10..15]);
    assert_eq!(copy_data((&*from, 599_999), Some(5), (&*to, 0)).unwrap(), 1);
    assert_eq!(copy_data((&*from, 600_000), Some(5), (&*to, 0)).unwrap(), 0);
    assert_eq!(copy_data((&*from, 0), Some(0), (&*to, 0)).unwrap(), 0);
    assert_eq!(copy_data((&*to, 0), None, (&*from, 0)).unwrap_err(), StorageError::PermissionDenied);
    if from.attributes().unwrap().inode.is_some() {
        let again = tree.open(b"/from", both_ways()).unwrap();
        assert!(matches!(copy_data((&*from, 0), None, (&*again, 9)), Err(StorageError::Invalid(_))));
    }
}

fn copy_ends_where_the_source_did_at_its_start_and_goes_step_by_step(tree: &dyn Storage) {
    write(tree, "/from", &[7; 300_000]);
    let from = tree.open(b"/from", both_ways()).unwrap();
    let to = tree.open(b"/to", both_ways()).unwrap();
    let mut copy = CopyData::new((&*from, 0), None, (&*to, 0)).unwrap();
    assert_eq!(copy.step().unwrap(), None);
    assert!(size(tree, "/to") < 300_000);
    from.write_at(300_000, &[8; 300_000]).unwrap();
    assert_eq!(copy.step().unwrap(), None);
    assert_eq!(copy.step().unwrap(), Some(300_000));
    assert_eq!(size(tree, "/to"), 300_000);
}
