//! Any run of operations, against a model that is nothing but a map of paths; and memory against the disk, error by
//! error.

use std::collections::BTreeMap;

use proptest::prelude::{
    BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};

use super::{both_ways, names, size_of};
use crate::storage::{Existing, FileKind, Links, Memory, OpenOptions, Storage, StorageError};

#[derive(Debug, Clone)]
enum Step {
    Write { path: String, offset: u16, length: u16 },
    Append { path: String, length: u16 },
    Create { path: String },
    Empty { path: String },
    Resize { path: String, size: u32 },
    Remove { path: String },
    MakeDirectory { path: String },
    RemoveDirectory { path: String },
    Rename { from: String, to: String, existing: Existing },
    Symlink { target: String, link: String },
    HardLink { from: String, link: String },
}

/// Few names, so that operations meet.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("/a"),
        4 => Just("/d"),
        3 => Just("/d/a"),
        1 => Just("/b"),
        1 => Just("/d/b"),
        1 => Just("/d/d"),
        1 => Just("/d/d/a"),
        1 => Just("/e"),
        1 => Just("/e/a"),
    ]
    .prop_map(str::to_owned)
}

fn existing() -> impl Strategy<Value = Existing> {
    prop_oneof![Just(Existing::Refuse), Just(Existing::Replace)]
}

/// Operations on files and directories.
fn plain() -> BoxedStrategy<Step> {
    let length = 0..40_000_u16;
    prop_oneof![
        3 => (path(), any::<u16>(), length.clone())
            .prop_map(|(path, offset, length)| Step::Write { path, offset, length }),
        1 => (path(), length).prop_map(|(path, length)| Step::Append { path, length }),
        1 => path().prop_map(|path| Step::Create { path }),
        1 => path().prop_map(|path| Step::Empty { path }),
        1 => (path(), 0..200_000_u32).prop_map(|(path, size)| Step::Resize { path, size }),
        1 => path().prop_map(|path| Step::Remove { path }),
        2 => path().prop_map(|path| Step::MakeDirectory { path }),
        1 => path().prop_map(|path| Step::RemoveDirectory { path }),
        3 => (path(), path(), existing()).prop_map(|(from, to, existing)| Step::Rename { from, to, existing }),
    ]
    .boxed()
}

/// Those and links, by paths that go round about.
fn linked() -> BoxedStrategy<Step> {
    let target = prop_oneof![
        path(),
        Just("..".to_owned()),
        Just("a".to_owned()),
        Just("d/".to_owned()),
        Just("./../d".to_owned())
    ];
    let detour = prop_oneof![6 => Just(""), 1 => Just("/"), 1 => Just("/../d"), 1 => Just("/.")];
    prop_oneof![
        9 => (plain(), detour).prop_map(|(step, detour)| step.go_on(detour)),
        3 => (target, path()).prop_map(|(target, link)| Step::Symlink { target, link }),
        2 => (path(), path()).prop_map(|(from, link)| Step::HardLink { from, link }),
    ]
    .boxed()
}

impl Step {
    /// Lengthens each path, but not what a link reads.
    fn go_on(mut self, detour: &str) -> Self {
        let apply = |path: &mut String| path.push_str(detour);
        match &mut self {
            Self::Write { path, .. }
            | Self::Append { path, .. }
            | Self::Create { path }
            | Self::Empty { path }
            | Self::Resize { path, .. }
            | Self::Remove { path }
            | Self::MakeDirectory { path }
            | Self::RemoveDirectory { path } => apply(path),
            Self::Rename { from, to, .. } => {
                apply(from);
                apply(to);
            }
            Self::Symlink { link, .. } => apply(link),
            Self::HardLink { from, link } => {
                apply(from);
                apply(link);
            }
        }
        self
    }

    /// Carries it out; `number` is what it writes.
    fn run(&self, tree: &dyn Storage, number: u8) -> Result<(), StorageError> {
        match self {
            Self::Write { path, offset, length } => {
                let data = vec![number; usize::from(*length)];
                tree.open(path.as_bytes(), both_ways())?.write_at(u64::from(*offset), &data)
            }
            Self::Append { path, length } => {
                let data = vec![number; usize::from(*length)];
                tree.open(path.as_bytes(), OpenOptions::new().append())?.write_at(0, &data)
            }
            Self::Create { path } => tree.open(path.as_bytes(), both_ways().exclusive()).map(drop),
            Self::Empty { path } => {
                tree.open(path.as_bytes(), OpenOptions::new().write().truncate()).map(drop)
            }
            Self::Resize { path, size } => {
                tree.set_attributes(path.as_bytes(), Links::Follow, &size_of(u64::from(*size)))
            }
            Self::Remove { path } => tree.remove_file(path.as_bytes()),
            Self::MakeDirectory { path } => tree.make_directory(path.as_bytes(), None),
            Self::RemoveDirectory { path } => tree.remove_directory(path.as_bytes()),
            Self::Rename { from, to, existing } => tree.rename(from.as_bytes(), to.as_bytes(), *existing),
            Self::Symlink { target, link } => tree.make_symlink(target.as_bytes(), link.as_bytes()),
            Self::HardLink { from, link } => tree.make_hard_link(from.as_bytes(), link.as_bytes()),
        }
    }
}

/// Files by path, directories without content.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Model(BTreeMap<String, Option<Vec<u8>>>);

impl Model {
    /// Whether the step has to succeed; if so, it is done.
    fn run(&mut self, step: &Step, number: u8) -> bool {
        match step {
            Step::Write { path, offset, length } => {
                let (offset, length) = (usize::from(*offset), usize::from(*length));
                self.file_or_new(path).is_some_and(|data| {
                    if length > 0 {
                        let end = data.len().max(offset + length);
                        data.resize(end, 0);
                        data[offset..offset + length].fill(number);
                    }
                    true
                })
            }
            Step::Append { path, length } => self
                .file(path)
                .map(|data| data.extend(std::iter::repeat_n(number, usize::from(*length))))
                .is_some(),
            Step::Create { path } => !self.0.contains_key(path) && self.file_or_new(path).is_some(),
            Step::Empty { path } => self.file(path).map(Vec::clear).is_some(),
            Step::Resize { path, size } => {
                self.file(path).map(|data| data.resize(*size as usize, 0)).is_some()
            }
            Step::Remove { path } => self.file(path).is_some() && self.0.remove(path).is_some(),
            Step::MakeDirectory { path } => {
                let may = !self.0.contains_key(path) && self.has_parent(path);
                if may {
                    self.0.insert(path.clone(), None);
                }
                may
            }
            Step::RemoveDirectory { path } => {
                let may = self.0.get(path) == Some(&None) && self.below(path).is_empty();
                if may {
                    self.0.remove(path);
                }
                may
            }
            Step::Rename { from, to, existing } => self.rename(from, to, *existing),
            Step::Symlink { .. } | Step::HardLink { .. } => unreachable!("the model has no links"),
        }
    }

    fn rename(&mut self, from: &str, to: &str, existing: Existing) -> bool {
        let Some(moved) = self.0.get(from).cloned() else { return false };
        let fits = match self.0.get(to) {
            None => self.has_parent(to),
            Some(_) if existing == Existing::Refuse => false,
            Some(_) if from == to => return true,
            Some(there) => there.is_some() == moved.is_some() && self.below(to).is_empty(),
        };
        if !fits || to.starts_with(&format!("{from}/")) {
            return false;
        }
        for path in self.below(from) {
            let content = self.0.remove(&path).flatten();
            self.0.insert(path.replacen(from, to, 1), content);
        }
        self.0.remove(from);
        self.0.insert(to.to_owned(), moved);
        true
    }

    fn file(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        self.0.get_mut(path)?.as_mut()
    }

    fn file_or_new(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        if !self.0.contains_key(path) && self.has_parent(path) {
            self.0.insert(path.to_owned(), Some(Vec::new()));
        }
        self.file(path)
    }

    fn has_parent(&self, path: &str) -> bool {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        parent.is_empty() || self.0.get(parent) == Some(&None)
    }

    fn below(&self, path: &str) -> Vec<String> {
        let prefix = format!("{path}/");
        self.0.keys().filter(|key| key.starts_with(&prefix)).cloned().collect()
    }
}

/// All that is in a tree, links not followed.
fn contents(tree: &dyn Storage) -> BTreeMap<String, (FileKind, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![String::new()];
    while let Some(directory) = ahead.pop() {
        for name in names(tree, if directory.is_empty() { "/" } else { &directory }) {
            let path = format!("{directory}/{}", String::from_utf8(name.into()).unwrap());
            let attributes = tree.attributes(path.as_bytes(), Links::Keep).unwrap();
            let data = match attributes.kind {
                FileKind::File => {
                    let file = tree.open(path.as_bytes(), OpenOptions::new()).unwrap();
                    let data = file.read_at(0, usize::MAX).unwrap().to_vec();
                    assert_eq!(data.len() as u64, attributes.size);
                    data
                }
                FileKind::Symlink => tree.read_link(path.as_bytes()).unwrap().to_vec(),
                _ => {
                    ahead.push(path.clone());
                    Vec::new()
                }
            };
            // Disks differ in how many links a directory has.
            let links = if attributes.kind == FileKind::Directory { 0 } else { attributes.links };
            found.insert(path, (attributes.kind, links, data));
        }
    }
    found
}

fn as_model(tree: &dyn Storage) -> Model {
    let found = contents(tree);
    Model(
        found
            .into_iter()
            .map(|(path, (kind, _, data))| (path, (kind == FileKind::File).then_some(data)))
            .collect(),
    )
}

/// Removes all there is, deepest first; then nothing may be left of it in the counts, whatever was cut off, replaced or
/// linked before.
fn nothing_stays(tree: &Memory) {
    for (path, (kind, ..)) in contents(tree).into_iter().rev() {
        match kind {
            FileKind::Directory => tree.remove_directory(path.as_bytes()),
            _ => tree.remove_file(path.as_bytes()),
        }
        .unwrap();
    }
    let numbers = tree.file_system(b"/").unwrap();
    assert_eq!((numbers.files - numbers.files_free, numbers.blocks_free), (1, numbers.blocks));
}

fn agrees_with_model(tree: &dyn Storage, steps: &[Step]) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut model = Model::default();
    for (number, step) in (1..).zip(steps) {
        let outcome = step.run(tree, number);
        prop_assert_eq!(outcome.is_ok(), model.run(step, number), "{:?}: {:?}", step, outcome);
    }
    prop_assert_eq!(as_model(tree), model);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_as_the_model(steps in proptest::collection::vec(plain(), 1..60)) {
        let tree = Memory::new();
        agrees_with_model(&tree, &steps)?;
        let numbers = tree.file_system(b"/").unwrap();
        prop_assert_eq!(numbers.files - numbers.files_free, 1 + contents(&tree).len() as u64);
        nothing_stays(&tree);
    }

    #[test]
    fn links_leave_memory_whole(steps in proptest::collection::vec(linked(), 1..60)) {
        let tree = Memory::new();
        for (number, step) in (1..).zip(&steps) {
            // Whether it succeeds is compared with the disk.
            drop(step.run(&tree, number));
        }
        nothing_stays(&tree);
    }
}

#[cfg(unix)]
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn disk_is_as_the_model(steps in proptest::collection::vec(plain(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        agrees_with_model(&crate::storage::Directory::new(root.path()).unwrap(), &steps)?;
    }

    #[test]
    fn memory_and_disk_answer_alike(steps in proptest::collection::vec(linked(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        let (memory, disk) = (Memory::new(), crate::storage::Directory::new(root.path()).unwrap());
        for (number, step) in (1..).zip(&steps) {
            let (here, there) = (step.run(&memory, number), step.run(&disk, number));
            // Of the reasons that come with a text, the sort counts.
            let sort = |outcome: &Result<(), StorageError>| outcome.as_ref().err().map(std::mem::discriminant);
            prop_assert_eq!(sort(&here), sort(&there), "{:?}: {:?} and {:?}", step, here, there);
        }
        prop_assert_eq!(contents(&memory), contents(&disk));
    }
}
