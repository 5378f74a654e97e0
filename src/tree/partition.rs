//! Divides a pass over a tree into scopes that can run at the same time. Pure.
//!
//! Whole subtrees become `Tree` scopes of about equal weight. The directories above them, which no subtree covers, are
//! the *glue*: one `Shallow` scope, which runs first, so that every subtree's place is there and what has no place any
//! more is deleted. Every directory is covered exactly once, so deletion is exact.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use super::census::{Census, Directory};
use super::shard::Shard;
use crate::scope::{Listed, Scope};

/// The scopes of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Runs before everything else; nothing when there is no glue.
    pub glue: Option<Scope>,
    /// Run at the same time, the heaviest first.
    pub parts: Vec<Scope>,
    /// How many entries the source has in them.
    pub entries: u64,
    /// How many the heaviest of the parts has at most.
    pub heaviest: u64,
}

/// A tree with fewer entries is one job: a session with the daemon costs as much as comparing some thousand files.
const SMALL: u64 = 5_000;
/// A subtree is taken apart while it is heavier than this share of one job, so that the parts can be balanced.
const FINENESS: u64 = 8;
/// A subtree that is lighter is never taken apart.
const LIGHT: u64 = 100;
/// Stands for the number of jobs where that must not depend on the machine.
const MOST_JOBS: usize = 16;
/// How many subtrees a shard should get, so that chance gives all of them about the same.
const SHARES: u64 = 32;
/// A directory costs more than its entry in the one above: it is opened and read.
const DIRECTORY: u64 = 2;
/// More subtrees than this for one job are not worth the balance that they bring: each is an argument.
const MOST_SUBTREES: usize = 20_000;

/// How many jobs a tree is worth: one when it is small, else what `jobs` finds out.
pub fn worthwhile(census: &Census, jobs: impl FnOnce() -> usize) -> usize {
    let small = weights(census).first().is_none_or(|total| *total < SMALL);
    if small { 1 } else { jobs() }
}

/// Divides what a shard takes of the tree among `jobs` rsync processes.
#[must_use]
pub fn partition(census: &Census, jobs: usize, shard: Shard) -> Partition {
    let weights = weights(census);
    let total = weights.first().copied().unwrap_or_default();
    let whole = shard == Shard::WHOLE;
    if whole && (jobs <= 1 || total < SMALL) {
        let heaviest = census.entries();
        return Partition { entries: heaviest, heaviest, glue: None, parts: vec![Scope::Tree(vec![PathBuf::new()])] };
    }
    // When several machines take part, how the tree is cut must not depend on the machine.
    let (pieces, most) = if whole { (jobs as u64 * FINENESS, jobs) } else { (u64::from(shard.of) * SHARES, MOST_JOBS) };
    let (mut glue, mut subtrees) = cut(census, &weights, (total / pieces).max(LIGHT), most * MOST_SUBTREES);
    let mut entries = census.entries();
    if !whole {
        glue.retain(|index| shard.takes(&census.path(*index)));
        subtrees.retain(|(index, _)| shard.takes(&census.path(*index)));
        let below = sums(census, |directory| u64::from(directory.entries));
        let own = glue.iter().map(|index| u64::from(census.directories[*index as usize].entries));
        entries = own.chain(subtrees.iter().map(|(index, _)| below[*index as usize])).sum();
    }
    subtrees.sort_by_key(|(index, weight)| (Reverse(*weight), *index));
    let mut parts = pack(subtrees, jobs);
    parts.sort_by_key(|(weight, _)| Reverse(*weight));
    let paths = |mut indexes: Vec<u32>| {
        indexes.sort_unstable();
        indexes.into_iter().map(|index| census.path(index)).collect::<Vec<_>>()
    };
    Partition {
        entries,
        heaviest: parts.first().map_or(0, |(weight, _)| *weight),
        glue: (!glue.is_empty()).then(|| Scope::Listed(Listed { shallow: paths(glue), ..Listed::default() })),
        parts: parts.into_iter().map(|(_, indexes)| Scope::Tree(paths(indexes))).collect(),
    }
}

/// The weight of every directory with all that is below it.
fn weights(census: &Census) -> Vec<u64> {
    sums(census, |directory| DIRECTORY + u64::from(directory.entries))
}

/// A number for every directory, with those of all that is below it added.
fn sums(census: &Census, own: impl Fn(&Directory) -> u64) -> Vec<u64> {
    let mut sums: Vec<u64> = census.directories.iter().map(own).collect();
    // Children come after their parents, so that from the end every directory is complete when it is reached.
    for index in (1..sums.len()).rev() {
        sums[census.directories[index].parent as usize] += sums[index];
    }
    sums
}

/// Takes the heaviest subtree apart until all are light enough: directories whose own level is glue, and the subtrees
/// that are left, with their weights.
fn cut(census: &Census, weights: &[u64], light: u64, most: usize) -> (Vec<u32>, Vec<(u32, u64)>) {
    let children = children(census);
    let (mut glue, mut whole) = (Vec::new(), Vec::new());
    let mut heap = BinaryHeap::from([(weights[0], 0_u32)]);
    while let Some((weight, index)) = heap.peek().copied() {
        let below = &children[index as usize];
        if weight <= light || heap.len() + below.len() > most {
            break;
        }
        heap.pop();
        if below.is_empty() {
            // However heavy, it cannot be taken apart.
            whole.push((index, weight));
            continue;
        }
        glue.push(index);
        heap.extend(below.iter().map(|child| (weights[*child as usize], *child)));
    }
    whole.extend(heap.into_iter().map(|(weight, index)| (index, weight)));
    (glue, whole)
}

fn children(census: &Census) -> Vec<Vec<u32>> {
    let mut children = vec![Vec::new(); census.directories.len()];
    for (index, directory) in (0_u32..).zip(&census.directories).skip(1) {
        children[directory.parent as usize].push(index);
    }
    children
}

/// Puts each subtree, the heaviest first, where the least is so far.
fn pack(subtrees: Vec<(u32, u64)>, jobs: usize) -> Vec<(u64, Vec<u32>)> {
    let mut bins: BinaryHeap<Reverse<(u64, Vec<u32>)>> = (0..jobs).map(|_| Reverse((0, Vec::new()))).collect();
    for (index, weight) in subtrees {
        if let Some(mut least) = bins.peek_mut() {
            least.0.0 += weight;
            least.0.1.push(index);
        }
    }
    bins.into_iter().map(|Reverse(bin)| bin).filter(|(_, indexes)| !indexes.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::census::Directory;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    /// A tree in which directory `i + 1` is below one of those before it, chosen by the number.
    fn census(shape: &[(u32, u32)]) -> Census {
        let mut directories = vec![Directory { parent: 0, name: OsString::new().into(), entries: 3, bytes: 0 }];
        for (above, entries) in shape {
            let parent = above % u32::try_from(directories.len()).unwrap();
            let name = OsString::from(directories.len().to_string()).into();
            directories.push(Directory { parent, name, entries: *entries, bytes: 0 });
        }
        Census { directories, unreadable: vec![], mounts: vec![] }
    }

    fn shape() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop_oneof![
            prop::collection::vec((any::<u32>(), 0u32..4000), 0..200),
            // One deep chain.
            (0u32..150).prop_map(|depth| (0..depth).map(|above| (above, 100)).collect()),
            // One directory with very many others.
            (0u32..300).prop_map(|width| vec![(0, 5000); width as usize]),
        ]
    }

    /// How often each directory is covered.
    fn covered(census: &Census, partition: &Partition) -> Vec<usize> {
        let paths: Vec<PathBuf> =
            (0..u32::try_from(census.directories.len()).unwrap()).map(|index| census.path(index)).collect();
        let mut times = vec![0; paths.len()];
        for scope in partition.glue.iter().chain(&partition.parts) {
            for (path, times) in paths.iter().zip(&mut times) {
                *times += match scope {
                    Scope::Tree(roots) => roots.iter().filter(|root| path.starts_with(root)).count(),
                    Scope::Listed(listed) => listed.shallow.iter().filter(|dir| *dir == path).count(),
                };
            }
        }
        times
    }

    proptest! {
        #[test]
        fn every_directory_is_covered_exactly_once(shape in shape(), jobs in 1usize..20) {
            let census = census(&shape);
            let partition = partition(&census, jobs, Shard::WHOLE);
            prop_assert!(covered(&census, &partition).iter().all(|times| *times == 1), "{partition:?}");
            prop_assert!(partition.parts.len() <= jobs);
            prop_assert!(!partition.parts.is_empty() || partition.glue.is_some());
        }

        /// The machines may have different numbers of processors.
        #[test]
        fn shards_are_disjoint_and_complete(shape in shape(), of in 1u32..9, jobs in prop::collection::vec(1usize..20, 9)) {
            let census = census(&shape);
            let mut times = vec![0; census.directories.len()];
            let mut entries = 0;
            for number in 1..=of {
                let partition = partition(&census, jobs[number as usize], Shard { number, of });
                times.iter_mut().zip(covered(&census, &partition)).for_each(|(times, more)| *times += more);
                entries += partition.entries;
            }
            prop_assert!(times.iter().all(|times| *times == 1), "{times:?}");
            prop_assert_eq!(entries, census.entries());
        }

        #[test]
        fn the_place_of_a_subtree_is_made_by_the_glue(shape in shape(), jobs in 2usize..20) {
            let partition = partition(&census(&shape), jobs, Shard::WHOLE);
            let glue: BTreeSet<PathBuf> = match &partition.glue {
                Some(Scope::Listed(listed)) => listed.shallow.iter().cloned().collect(),
                _ => BTreeSet::new(),
            };
            for part in &partition.parts {
                let Scope::Tree(roots) = part else { panic!("{part:?}") };
                for root in roots.iter().filter(|root| !root.as_os_str().is_empty()) {
                    prop_assert!(glue.contains(root.parent().unwrap()));
                }
            }
        }
    }

    #[test]
    fn equal_directories_are_divided_equally() {
        let partition = partition(&census(&[(0, 1000); 64]), 4, Shard::WHOLE);
        let sizes: Vec<usize> = partition
            .parts
            .iter()
            .map(|part| match part {
                Scope::Tree(roots) => roots.len(),
                Scope::Listed(_) => 0,
            })
            .collect();
        assert_eq!(sizes, [16; 4]);
    }

    #[test]
    fn a_small_tree_is_one_job() {
        let partition = partition(&census(&[(0, 10); 10]), 8, Shard::WHOLE);
        assert_eq!(
            partition,
            Partition { entries: 103, heaviest: 103, glue: None, parts: vec![Scope::Tree(vec![PathBuf::new()])] }
        );
    }
}
