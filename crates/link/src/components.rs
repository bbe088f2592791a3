//! Connected groups of records.

/// Disjoint sets with path halving (Tarjan, van Leeuwen, J. ACM 31, 1984).
#[derive(Debug, Clone)]
pub struct Sets(Vec<u32>);

impl Sets {
    /// `count` records, each alone.
    pub fn new(count: usize) -> Sets {
        Sets((0..count as u32).collect())
    }

    /// The representative of a record's set.
    pub fn find(&mut self, mut of: u32) -> u32 {
        while self.0[of as usize] != of {
            let parent = self.0[of as usize];
            self.0[of as usize] = self.0[parent as usize];
            of = self.0[of as usize];
        }
        of
    }

    /// Makes two sets one.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        // The lesser one stands for both.
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// Edges within one connected group.
type Edge = (u32, u32, f64);

/// Cuts a connected group of records, numbered from 0, into groups of at most `records_max`: the threshold for its edges
/// is raised by a bit at a time, within each part that is still too large. Gives the members of each part in order.
///
/// Where nothing else helps, because all edges are as strong, a part is left as single records.
pub fn cut(count: usize, edges: &[Edge], records_max: usize) -> Vec<Vec<u32>> {
    let mut done = Vec::new();
    let mut open = vec![((0..count as u32).collect::<Vec<u32>>(), edges.to_vec())];
    while let Some((members, edges)) = open.pop() {
        if members.len() <= records_max {
            done.push(members);
            continue;
        }
        let weakest = edges.iter().map(|edge| edge.2).fold(f64::INFINITY, f64::min);
        let edges: Vec<Edge> = edges.into_iter().filter(|edge| edge.2 > weakest + 1.0).collect();
        if edges.is_empty() {
            done.extend(members.into_iter().map(|member| vec![member]));
            continue;
        }
        let mut sets = Sets::new(count);
        edges.iter().for_each(|(a, b, _)| sets.join(*a, *b));
        let mut parts: std::collections::BTreeMap<u32, (Vec<u32>, Vec<Edge>)> = Default::default();
        for member in members {
            parts.entry(sets.find(member)).or_default().0.push(member);
        }
        for edge in edges {
            parts.entry(sets.find(edge.0)).or_default().1.push(edge);
        }
        open.extend(parts.into_values());
    }
    done.sort_unstable();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_the_weakest_links() {
        let edges = [(0, 1, 20.0), (1, 2, 3.0), (2, 3, 20.0), (3, 4, 5.0)];
        assert_eq!(cut(5, &edges, 5), [[0, 1, 2, 3, 4]]);
        assert_eq!(cut(5, &edges, 3), vec![vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(cut(5, &edges, 2), vec![vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(cut(3, &[(0, 1, 9.0), (1, 2, 9.0)], 2), vec![vec![0], vec![1], vec![2]]);
    }
}
