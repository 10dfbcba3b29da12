//! A curve that never has more points than a terminal can show.

/// Most points; when there are as many, pairs of them become one.
const MOST: usize = 1024;

/// Values over steps: every point is the mean of so many values that follow each other.
#[derive(Debug, Clone)]
pub(super) struct Course {
    points: Vec<(f64, f64)>,
    /// Values of a point.
    each: u64,
    /// Values since the last point, and the sums of their places and of themselves.
    waiting: u64,
    sums: (f64, f64),
}

impl Default for Course {
    fn default() -> Self {
        Self {
            points: Vec::new(),
            each: 1,
            waiting: 0,
            sums: (0.0, 0.0),
        }
    }
}

impl Course {
    /// Adds a value; one that is not finite cannot be drawn and is left out.
    pub(super) fn push(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        self.waiting += 1;
        self.sums = (self.sums.0 + x, self.sums.1 + y);
        if self.waiting < self.each {
            return;
        }
        let n = self.waiting as f64;
        self.points.push((self.sums.0 / n, self.sums.1 / n));
        (self.waiting, self.sums) = (0, (0.0, 0.0));
        if self.points.len() == MOST {
            let halves = self.points.chunks_exact(2);
            self.points = halves
                .map(|p| ((p[0].0 + p[1].0) / 2.0, (p[0].1 + p[1].1) / 2.0))
                .collect();
            self.each *= 2;
        }
    }

    /// Forgets what came after a step that is taken again.
    pub(super) fn go_back(&mut self, x: f64) {
        self.points.retain(|p| p.0 <= x);
        (self.waiting, self.sums) = (0, (0.0, 0.0));
    }

    /// The points, in their order.
    pub(super) fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stay_few_and_their_mean_stays_that_of_the_values() {
        let mut course = Course::default();
        for x in 0..8192 {
            course.push(f64::from(x), f64::from(x % 4));
        }
        let points = course.points();
        assert!(points.len() < MOST && points.len() >= MOST / 2);
        assert!(points.iter().all(|p| p.1 == 1.5), "{points:?}");
        assert!(points.windows(2).all(|p| p[0].0 < p[1].0));
    }

    #[test]
    fn what_is_not_finite_is_left_out_and_what_is_repeated_forgotten() {
        let mut course = Course::default();
        course.push(1.0, f64::NAN);
        (2..6).for_each(|x| course.push(f64::from(x), 1.0));
        course.go_back(3.0);
        assert_eq!(course.points(), [(2.0, 1.0), (3.0, 1.0)]);
    }
}
