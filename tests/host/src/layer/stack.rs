//! Laying one tree over another.

use super::Whiteouts;
use super::tree::{Inode, InodeId, Kind, Tree};
use std::collections::BTreeMap;

/// Lays `upper` over `lower`.
pub(super) fn stack(mut lower: Tree, upper: Tree, whiteouts: Whiteouts) -> Tree {
    // Names of one inode stay names of one inode.
    let mut moved: BTreeMap<InodeId, InodeId> = BTreeMap::new();
    for (path, id) in upper.names {
        let Inode { kind, attributes } = upper.inodes[id].clone();
        if upper.opaque.contains(&path) {
            lower.clear(&path);
        }
        match kind {
            Kind::Whiteout if whiteouts == Whiteouts::Drop => lower.remove(&path),
            Kind::Directory => lower.insert(path.clone(), kind, attributes),
            _ => {
                let id = *moved.entry(id).or_insert_with(|| {
                    lower.inodes.push(Inode { kind, attributes });
                    lower.inodes.len() - 1
                });
                lower.place(path.clone(), id);
            }
        }
        if upper.opaque.contains(&path) && whiteouts == Whiteouts::Keep {
            lower.opaque.insert(path);
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Attributes;

    fn tree(paths: &[(&str, Kind)]) -> Tree {
        let mut tree = Tree::new();
        for (path, kind) in paths {
            tree.insert(
                path.as_bytes().to_vec(),
                kind.clone(),
                Attributes::default(),
            );
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.paths()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect()
    }

    #[test]
    fn a_whiteout_hides_what_is_below_and_not_what_is_above() {
        let lower = tree(&[
            ("d/a", Kind::Fifo),
            ("d/b", Kind::Fifo),
            ("x/y/z", Kind::Fifo),
        ]);
        let upper = tree(&[
            ("d/a", Kind::Whiteout),
            ("x", Kind::Whiteout),
            ("d/c", Kind::Fifo),
        ]);
        let dropped = stack(lower.clone(), upper.clone(), Whiteouts::Drop);
        assert_eq!(paths(&dropped), ["d", "d/b", "d/c"]);
        let kept = stack(lower, upper, Whiteouts::Keep);
        assert_eq!(paths(&kept), ["d", "d/a", "d/b", "d/c", "x"]);
        assert_eq!(kept.get("x").expect("marked").0, &Kind::Whiteout);
    }

    #[test]
    fn an_opaque_directory_shows_only_what_its_own_layer_has() {
        let lower = tree(&[
            ("d/a", Kind::Fifo),
            ("d/s/b", Kind::Fifo),
            ("e", Kind::Fifo),
        ]);
        let mut upper = tree(&[("d/c", Kind::Fifo)]);
        upper.opaque.insert(b"d".to_vec());
        let dropped = stack(lower.clone(), upper.clone(), Whiteouts::Drop);
        assert_eq!(paths(&dropped), ["d", "d/c", "e"]);
        assert!(dropped.opaque.is_empty());
        assert!(
            stack(lower, upper, Whiteouts::Keep)
                .opaque
                .contains(&b"d"[..])
        );
    }

    #[test]
    fn a_file_over_a_directory_hides_all_of_it_and_the_other_way_round() {
        let lower = tree(&[("d/a", Kind::Fifo), ("f", Kind::Fifo)]);
        let upper = tree(&[("d", Kind::Fifo), ("f/x", Kind::Fifo)]);
        let both = stack(lower, upper, Whiteouts::Drop);
        assert_eq!(paths(&both), ["d", "f", "f/x"]);
        assert_eq!(both.get("d").expect("there").0, &Kind::Fifo);
    }

    #[test]
    fn hard_links_stay_links_of_one_inode() {
        let mut upper = tree(&[("a", Kind::Fifo)]);
        assert!(upper.link(b"b".to_vec(), b"a"));
        let both = stack(Tree::new(), upper, Whiteouts::Drop);
        assert_eq!(both.names[&b"a"[..]], both.names[&b"b"[..]]);
    }
}
