//! What was found, as files.

use std::io::Write;

use crate::{judge::Pair, linker::Linked, table::Table};

impl Linked {
    /// Writes a CSV file with the cluster of each record: its id, under the name that the table has for it, and
    /// `cluster_id`, the least id of the cluster.
    pub fn write_clusters(&self, table: &Table, writer: impl Write) -> Result<(), csv::Error> {
        let mut csv = csv::Writer::from_writer(writer);
        csv.write_record([table.id_name(), "cluster_id"])?;
        for (row, first) in self.clusters.iter().enumerate() {
            csv.write_record([table.id(row), table.id(*first as usize)])?;
        }
        Ok(csv.flush()?)
    }

    /// Writes a CSV file with the kept pairs: two ids, the score in bits, the probability that both are one person, and
    /// whether they were put into one cluster.
    pub fn write_pairs(&self, table: &Table, writer: impl Write) -> Result<(), csv::Error> {
        let mut csv = csv::Writer::from_writer(writer);
        let id = table.id_name();
        csv.write_record([&format!("{id}_a"), &format!("{id}_b"), "score", "probability", "same_cluster"])?;
        for pair in &self.pairs {
            csv.write_record([
                table.id(pair.a as usize),
                table.id(pair.b as usize),
                format!("{:.3}", pair.score).as_bytes(),
                format!("{:.6}", pair.probability()).as_bytes(),
                if self.is_joined(pair) { b"true" } else { b"false" },
            ])?;
        }
        Ok(csv.flush()?)
    }

    /// Whether both records of a pair are in one cluster.
    pub fn is_joined(&self, pair: &Pair) -> bool {
        self.clusters[pair.a as usize] == self.clusters[pair.b as usize]
    }

    /// How many clusters there are of each size; of size 1 first.
    pub fn cluster_sizes(&self) -> Vec<usize> {
        let mut members = vec![0usize; self.clusters.len()];
        self.clusters.iter().for_each(|first| members[*first as usize] += 1);
        let mut sizes = vec![0; members.iter().copied().max().unwrap_or(0)];
        members.into_iter().filter(|size| *size > 0).for_each(|size| sizes[size - 1] += 1);
        sizes
    }
}
