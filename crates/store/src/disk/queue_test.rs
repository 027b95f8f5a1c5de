//! The queue's view against the disk it becomes, whenever steps are carried out.

use proptest::prelude::*;

use super::*;
use crate::disk::sim::SimDisk;
use crate::disk::{Disk, DiskFile, Open, read_all};

const PATHS: [&str; 4] = ["d/a", "d/b", "d/c", "e/a"];

/// One operation on both disks; false if it does not apply.
fn apply<D: Disk>(disk: &D, (what, at, n): (u8, usize, u8)) -> bool {
    let (path, other) = (PATHS[at % 4], PATHS[(at + 1) % 3]);
    let bytes = vec![n; usize::from(n)];
    let write = |file: D::File, offset| file.write_at(&bytes, offset).is_ok();
    match what {
        0 => disk.open(path, Open::Create).is_ok_and(|f| write(f, 0)),
        1 => disk.open(path, Open::Write).is_ok_and(|f| write(f, u64::from(n) / 2)),
        2 => disk.open(path, Open::Write).is_ok_and(|f| f.set_len(u64::from(n)).is_ok()),
        3 => crate::disk::exists(disk, path).unwrap() && disk.remove_file(path).is_ok(),
        4 => path != other && disk.rename(path, other).is_ok(),
        5 => disk.remove_dir_all("e").is_ok(),
        _ => disk.sync_dir("d").is_ok(),
    }
}

fn content<D: Disk>(disk: &D) -> Vec<Option<Vec<u8>>> {
    PATHS.iter().map(|path| read_all(disk, path, 1 << 20).ok()).collect()
}

proptest! {
    #[test]
    fn what_waits_reads_as_if_it_were_done(
        ops in proptest::collection::vec((0u8..7, 0usize..8, any::<u8>(), 0u8..6), 1..60),
    ) {
        let (direct, base) = (SimDisk::new(1), SimDisk::new(1));
        let queue = Queue::new(base.clone());
        queue.defer(true);
        let mut under_way: Option<Carried<_>> = None;
        for (what, at, n, then) in ops {
            let op = (what, at, n);
            prop_assert_eq!(apply(&queue, op), apply(&direct, op), "{:?}", op);
            match then {
                // Carried out, and the queue not told yet.
                0 | 1 if under_way.is_none() => {
                    under_way = queue.take(then == 0).map(|s| s.carry_out(&base, Dirty::default()));
                }
                2 => if let Some(mut carried) = under_way.take() {
                    prop_assert!(carried.result.is_ok());
                    queue.finish(&mut carried);
                },
                _ => {}
            }
            prop_assert_eq!(content(&queue), content(&direct));
        }
        if let Some(mut carried) = under_way.take() {
            queue.finish(&mut carried);
        }
        if let Some(steps) = queue.take(true) {
            queue.finish(&mut steps.carry_out(&base, Dirty::default()));
        }
        prop_assert_eq!(content(&base), content(&direct), "carried out");
        prop_assert_eq!(content(&queue), content(&direct), "and seen");
        prop_assert_eq!(queue.bytes(), 0);
    }
}
