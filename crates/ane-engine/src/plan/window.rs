//! How convolutions and poolings walk an image: taps at fixed distances in planes that have zeros around them.
//!
//! Vectors run along the lanes of an axis, one lane for every result (or, in the gradient of the weights, for every
//! element of the window), and a tap is what all lanes read at one distance. Steps wider than one are split into phases,
//! every `step`-th element by itself, so that neighbouring lanes always read neighbours:
//!
//! ```text
//! gather    result[l] reads data[l·step + t·tap_step − before]    phases of the data
//! scatter   data[l] goes to result[l·step + t·tap_step − before]  phases of the result
//! ```
//!
//! A plane holds the rows of one phase of one channel behind each other, `pitch` apart, and images behind each other.
//! The zeros behind a row are also those before the next one, so a tap is one distance for all lanes of all rows; lanes
//! between the rows compute what nobody reads.

/// What the lanes of one axis read at one distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AxisTap {
    /// Which tap.
    pub(crate) tap: usize,
    /// Phase of the data it reads.
    pub(crate) from: usize,
    /// Phase of the results it adds to.
    pub(crate) to: usize,
    /// Lanes from a result to what it reads.
    pub(crate) distance: isize,
}

/// One axis of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Length of the data.
    pub(crate) data: usize,
    /// Length of the results.
    pub(crate) results: usize,
    /// Phases of the data.
    pub(crate) data_step: usize,
    /// Phases of the results.
    pub(crate) result_step: usize,
    /// Number of taps.
    pub(crate) tap_count: usize,
    /// For every tap where it leads.
    pub(crate) taps: Vec<AxisTap>,
}

impl Axis {
    /// Result `l` reads `l · step + t · tap_step − before` for every tap `t`.
    pub(crate) fn gather(
        data: usize,
        results: usize,
        step: usize,
        (tap_count, tap_step): (usize, usize),
        before: usize,
    ) -> Self {
        let taps = (0..tap_count).map(|tap| {
            let at = (tap * tap_step) as isize - before as isize;
            AxisTap {
                tap,
                from: at.rem_euclid(step as isize) as usize,
                to: 0,
                distance: at.div_euclid(step as isize),
            }
        });
        Self {
            data,
            results,
            data_step: step,
            result_step: 1,
            tap_count,
            taps: taps.collect(),
        }
    }

    /// Element `l` goes to result `l · step + t · tap_step − before` for every tap `t`.
    pub(crate) fn scatter(
        data: usize,
        results: usize,
        step: usize,
        (tap_count, tap_step): (usize, usize),
        before: usize,
    ) -> Self {
        let mut taps = Vec::new();
        for to in 0..step {
            // From the last tap to the first: what they read ascends.
            for tap in (0..tap_count).rev() {
                let at = (to + before) as isize - (tap * tap_step) as isize;
                if at.rem_euclid(step as isize) == 0 {
                    taps.push(AxisTap {
                        tap,
                        from: 0,
                        to,
                        distance: at.div_euclid(step as isize),
                    });
                }
            }
        }
        Self {
            data,
            results,
            data_step: 1,
            result_step: step,
            tap_count,
            taps,
        }
    }

    /// Lanes of a phase of the results; the last phases may use one less.
    pub(crate) fn lanes(&self) -> usize {
        self.results.div_ceil(self.result_step)
    }

    /// Elements of a phase of the data.
    pub(crate) fn data_in(&self, phase: usize) -> usize {
        (self.data + self.data_step - 1 - phase) / self.data_step
    }

    /// Elements of a phase of the results.
    pub(crate) fn results_in(&self, phase: usize) -> usize {
        (self.results + self.result_step - 1 - phase) / self.result_step
    }

    /// Most lanes that a tap reads before its result, and behind it.
    fn reach(&self) -> (usize, usize) {
        let distances = || self.taps.iter().map(|t| t.distance);
        let before = distances().min().unwrap_or(0).min(0).unsigned_abs();
        let behind = distances().max().unwrap_or(0).max(0).unsigned_abs();
        (before, behind)
    }

    /// Elements of a phase that `lanes` read at most, and the zeros that must lie between one row of them and the next.
    fn extent(&self, lanes: usize) -> (usize, usize) {
        let (before, _) = self.reach();
        let end = self.taps.iter().map(|t| lanes as isize + t.distance).max();
        let end = end.unwrap_or(0).max(0).unsigned_abs();
        let data = self.data_in(0).min(end);
        (data, before.max(end - data))
    }
}

/// A tap of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Which tap along the rows and the columns.
    pub(crate) tap: (usize, usize),
    /// Which of [`Planes::phases`] it reads.
    pub(crate) from: usize,
    /// Phases of the results it adds to.
    pub(crate) to: (usize, usize),
    /// Rows and columns from a result to what it reads.
    pub(crate) distance: (isize, isize),
    /// Elements from the first plane of a channel to what the first lane reads.
    pub(crate) offset: usize,
}

/// Planes of a task: some images, or some rows of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) y: Axis,
    pub(crate) x: Axis,
    /// Images behind each other.
    pub(crate) images: usize,
    /// Rows of lanes of an image in one task: all of them where there are several images.
    pub(crate) rows: usize,
    /// Rows from an image to the next.
    pub(crate) image_rows: usize,
    /// Elements from a row to the next.
    pub(crate) pitch: usize,
    /// Rows before the first lane's.
    pub(crate) above: usize,
    /// Zeros before the first row.
    pub(crate) lead: usize,
    /// Elements of a row that are data.
    pub(crate) columns: usize,
    /// Rows of an image that are data at most, where there are several images.
    pub(crate) data_rows: usize,
    /// The phases that some tap reads.
    pub(crate) phases: Vec<(usize, usize)>,
    /// Elements of a plane.
    pub(crate) len: usize,
    pub(crate) taps: Vec<Tap>,
}

/// Elements of a line of the cache.
const LINE: usize = 16;

impl Planes {
    /// Planes for `images` images, or for `rows` rows of lanes of one.
    pub(crate) fn new(y: Axis, x: Axis, images: usize, rows: usize) -> Self {
        let (columns, gap) = x.extent(x.lanes());
        let pitch = (columns + gap).max(x.lanes());
        let ((above, below), (lead, _)) = (y.reach(), x.reach());
        let (data_rows, image_rows) = if images > 1 {
            let (data, gap) = y.extent(y.lanes());
            (data, (data + gap).max(y.lanes()))
        } else {
            (y.data_in(0), rows + below)
        };
        // An odd number of lines: planes an even number apart would meet in few sets of the nearest cache.
        let used = lead + (above + images * image_rows) * pitch;
        let lines = used.div_ceil(LINE) | 1;
        let len = lines * LINE;
        let mut phases = Vec::new();
        let mut taps = Vec::with_capacity(y.taps.len() * x.taps.len());
        for ty in &y.taps {
            for tx in &x.taps {
                let phase = (ty.from, tx.from);
                let from = phases.iter().position(|&p| p == phase).unwrap_or_else(|| {
                    phases.push(phase);
                    phases.len() - 1
                });
                let row = above as isize + ty.distance;
                let at = lead as isize + row * pitch as isize + tx.distance;
                taps.push(Tap {
                    tap: (ty.tap, tx.tap),
                    from,
                    to: (ty.to, tx.to),
                    distance: (ty.distance, tx.distance),
                    offset: from * len + at.unsigned_abs(),
                });
            }
        }
        Self {
            y,
            x,
            images,
            rows,
            image_rows,
            pitch,
            above,
            lead,
            columns,
            data_rows,
            phases,
            len,
            taps,
        }
    }

    /// Planes of the same lanes and rows as `others`, for what is read there without taps: zeros lie between the rows.
    pub(crate) fn beside(others: &Self) -> Self {
        let alone = |lanes: usize| Axis::gather(lanes, lanes, 1, (1, 1), 0);
        let (y, x) = (alone(others.y.lanes()), alone(others.x.lanes()));
        let lines = (others.images * others.image_rows * others.pitch).div_ceil(LINE) | 1;
        Self {
            images: others.images,
            rows: others.rows,
            image_rows: others.image_rows,
            pitch: others.pitch,
            above: 0,
            lead: 0,
            columns: x.data,
            data_rows: y.data,
            phases: vec![(0, 0)],
            len: lines * LINE,
            taps: Vec::new(),
            y,
            x,
        }
    }

    /// Elements of the planes of one channel.
    pub(crate) fn channel(&self) -> usize {
        self.phases.len() * self.len
    }

    /// Lanes from the first result of the task to behind its last, with those between the rows.
    pub(crate) fn lanes(&self, images: usize, rows: usize) -> usize {
        ((images - 1) * self.image_rows + rows - 1) * self.pitch + self.x.lanes()
    }

    /// The lanes of a row that read data and no zeros at `distance` columns, in a phase of `columns` elements.
    pub(crate) fn inside(lanes: usize, distance: isize, data: usize) -> std::ops::Range<usize> {
        let from = (-distance).max(0).unsigned_abs();
        let to = (data as isize - distance).clamp(0, lanes as isize);
        from.min(lanes)..to.unsigned_abs().max(from.min(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every lane of every tap reads in a plane, against the definition of the axes.
    fn check(y: Axis, x: Axis, images: usize, rows: usize) {
        let p = Planes::new(y.clone(), x.clone(), images, rows);
        let blocks = y.lanes().div_ceil(rows);
        for block in 0..blocks {
            // One channel: element (image, row, column) is its own number plus one.
            let number = |i: usize, r: usize, c: usize| (i * y.data + r) * x.data + c + 1;
            let mut plane = vec![0; p.channel() + LINE];
            for (at, &(py, px)) in p.phases.iter().enumerate() {
                for image in 0..images {
                    let first = if image == 0 { -(p.above as isize) } else { 0 };
                    for row in first..p.image_rows as isize {
                        let data = row + (block * rows) as isize;
                        if data < 0 || data as usize >= y.data_in(py).min(p.data_rows) {
                            continue;
                        }
                        for c in 0..p.columns.min(x.data_in(px)) {
                            let start = (p.above + image * p.image_rows) as isize + row;
                            let to = at * p.len + p.lead + start as usize * p.pitch + c;
                            assert_eq!(plane[to], 0, "two elements in one place");
                            let r = data as usize * y.data_step + py;
                            plane[to] = number(image, r, c * x.data_step + px);
                        }
                    }
                }
            }
            for tap in &p.taps {
                for image in 0..images {
                    for row in 0..rows.min(y.lanes() - block * rows) {
                        for lane in 0..x.lanes() {
                            let q = (image * p.image_rows + row) * p.pitch + lane;
                            let at = |axis: &Axis, lane: usize, distance, phase| {
                                let phase_at = lane as isize + distance;
                                (0..axis.data_in(phase) as isize)
                                    .contains(&phase_at)
                                    .then(|| phase_at as usize * axis.data_step + phase)
                            };
                            let (py, px) = p.phases[tap.from];
                            let r = at(&y, block * rows + row, tap.distance.0, py);
                            let c = at(&x, lane, tap.distance.1, px);
                            let want = match (r, c) {
                                (Some(r), Some(c)) => number(image, r, c),
                                _ => 0,
                            };
                            assert_eq!(plane[tap.offset + q], want, "{tap:?} {image} {row} {lane}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn taps_read_the_data_or_zeros() {
        let axes = [
            // data, results, step, taps, tap step, before
            (7, 7, 1, 3, 1, 1),
            (8, 4, 2, 3, 1, 1),
            (9, 5, 2, 5, 1, 2),
            (9, 3, 3, 1, 1, 0),
            (6, 9, 1, 2, 2, 3),
            (5, 3, 2, 2, 3, 1),
            (4, 1, 1, 4, 1, 0),
        ];
        for &(data, results, step, taps, tap_step, before) in &axes {
            let y = Axis::gather(data, results, step, (taps, tap_step), before);
            for &(data, results, step, taps, tap_step, before) in &axes {
                let x = Axis::gather(data, results, step, (taps, tap_step), before);
                check(y.clone(), x.clone(), 3, y.lanes());
                check(y.clone(), x.clone(), 1, y.lanes());
                check(y.clone(), x, 1, 2.min(y.lanes()));
            }
        }
    }

    #[test]
    fn a_scattering_axis_reads_back_what_it_spreads() {
        for (data, step, taps, tap_step, before, results) in [
            (4, 2, 3, 1, 1, 8),
            (5, 3, 2, 1, 0, 14),
            (3, 2, 3, 2, 1, 7),
            (6, 1, 5, 1, 2, 6),
        ] {
            let axis = Axis::scatter(data, results, step, (taps, tap_step), before);
            let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
            for tap in &axis.taps {
                for lane in 0..axis.results_in(tap.to) {
                    let from = lane as isize + tap.distance;
                    if (0..data as isize).contains(&from) {
                        pairs.push((from as usize, tap.tap, lane * step + tap.to));
                    }
                }
            }
            let mut want = Vec::new();
            for l in 0..data {
                for t in 0..taps {
                    let to = l * step + t * tap_step;
                    if (before..before + results).contains(&to) {
                        want.push((l, t, to - before));
                    }
                }
            }
            pairs.sort_unstable();
            want.sort_unstable();
            assert_eq!(pairs, want);
            check(axis.clone(), axis, 2, results.div_ceil(step));
        }
    }

    #[test]
    fn lanes_inside_are_those_that_read_data() {
        for distance in -5..6 {
            for (lanes, data) in [(4, 3), (3, 6), (1, 1)] {
                let inside = Planes::inside(lanes, distance, data);
                for lane in 0..lanes {
                    let reads = (0..data as isize).contains(&(lane as isize + distance));
                    assert_eq!(
                        inside.contains(&lane),
                        reads,
                        "{lanes} {distance} {data} {lane}"
                    );
                }
            }
        }
    }
}
