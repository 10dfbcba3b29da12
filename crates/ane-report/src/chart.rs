//! A chart: lines over one horizontal axis, as a part of an SVG.

use crate::{
    axis::{Axis, Scale},
    svg::{FONTS, at, escape, width},
};
use std::fmt::Write;

/// Size of labels, in pixels.
const SMALL: f64 = 12.0;
/// Size of a heading.
const LARGE: f64 = 14.0;
/// Room beside the plot for the labels of the vertical axis, and right of it.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
/// Room below the plot for the labels of the horizontal axis.
const BELOW: f64 = 42.0;
/// Height of a line of the legend.
const LEGEND: f64 = 20.0;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stroke {
    /// Whole, with a dot for each point where they are few.
    Solid,
    /// In dashes.
    Dashed,
    /// Thin and pale, for many noisy points.
    Faint,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Its name in the legend.
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) stroke: Stroke,
    /// Points; a value that is none interrupts the line.
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the horizontal axis is of, and where it ends; it begins with 0.
    pub(crate) horizontal: (&'static str, f64),
    pub(crate) scale: Scale,
    /// Whether values are shares that are shown as percentages.
    pub(crate) percent: bool,
    pub(crate) lines: Vec<Line>,
}

/// The place of a chart in its picture.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Chart {
    /// Its height, for a plot of 220 pixels in a picture of some width.
    pub(crate) fn height(&self, picture: f64) -> f64 {
        let rows = self.legend(picture).iter().map(|(_, row, _)| row + 1).max();
        LARGE + 12.0 + LEGEND * rows.unwrap_or(0) as f64 + 6.0 + 220.0 + BELOW
    }

    /// The places of the legend's entries: how far from the left, in which row.
    fn legend(&self, picture: f64) -> Vec<(f64, usize, &Line)> {
        let (mut x, mut row) = (0.0, 0);
        let mut places = Vec::new();
        for line in &self.lines {
            let wide = 30.0 + width(&line.name, SMALL) + 14.0;
            if x > 0.0 && x + wide > picture - LEFT - RIGHT {
                (x, row) = (0.0, row + 1);
            }
            places.push((x, row, line));
            x += wide;
        }
        places
    }

    /// The vertical axis: it holds all points of lines that are not faint, and the middle nine tenths of those.
    fn vertical(&self) -> Axis {
        let mut values = Vec::new();
        for line in &self.lines {
            let seen = line.points.iter().filter_map(|(_, y)| *y);
            let usable = |y: &f64| y.is_finite() && (self.scale == Scale::Linear || *y > 0.0);
            let mut own: Vec<f64> = seen.filter(usable).collect();
            own.sort_by(f64::total_cmp);
            if line.stroke == Stroke::Faint {
                let cut = own.len() / 20;
                own = own[cut..own.len() - cut].to_vec();
            }
            values.extend(own);
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // What comes near zero is shown with it, so that heights can be compared.
        let low = match self.scale {
            Scale::Linear if low > 0.0 && low < 0.4 * high => 0.0,
            Scale::Linear | Scale::Log => low,
        };
        Axis::around(low, high, 5, self.scale)
    }

    /// Draws it `top` pixels below the upper edge of a picture of some width. `id` is its alone in the picture.
    pub(crate) fn draw(&self, out: &mut String, id: &str, top: f64, picture: f64) {
        let head = top + LARGE + 4.0;
        let _ = writeln!(
            out,
            r##"<text x="{}" y="{}" font-family="{FONTS}" font-size="{LARGE}" font-weight="600" fill="#1f2328">{}</text>"##,
            at(LEFT),
            at(head),
            escape(&self.title)
        );
        let legend = self.legend(picture);
        for (x, row, line) in &legend {
            line.entry(out, LEFT + x, head + 14.0 + LEGEND * *row as f64);
        }
        let height = self.height(picture) - BELOW;
        let frame = Frame {
            left: LEFT,
            top: top + height - 220.0,
            width: picture - LEFT - RIGHT,
            height: 220.0,
        };
        let vertical = self.vertical();
        let horizontal = Axis::between(0.0, self.horizontal.1.max(1e-9), 10);
        self.grid(out, &frame, &horizontal, &vertical);
        let _ = writeln!(
            out,
            r#"<clipPath id="{id}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath><g clip-path="url(#{id})">"#,
            at(frame.left - 4.0),
            at(frame.top - 4.0),
            at(frame.width + 8.0),
            at(frame.height + 8.0)
        );
        // What is faint lies behind the rest.
        let faint = |line: &&Line| line.stroke == Stroke::Faint;
        let behind = self.lines.iter().filter(faint);
        for line in behind.chain(self.lines.iter().filter(|l| !faint(l))) {
            line.draw(out, &frame, &horizontal, &vertical);
        }
        out.push_str("</g>\n");
    }

    fn grid(&self, out: &mut String, frame: &Frame, horizontal: &Axis, vertical: &Axis) {
        let text = format!(r##"font-family="{FONTS}" font-size="{SMALL}" fill="#57606a""##);
        for (y, label) in vertical.ticks.iter().zip(vertical.labels(self.percent)) {
            let Some(y) = frame.y(vertical, *y) else {
                continue;
            };
            let _ = writeln!(
                out,
                r##"<line x1="{}" y1="{y}" x2="{}" y2="{y}" stroke="#e4e7eb"/><text x="{}" y="{}" text-anchor="end" {text}>{label}</text>"##,
                at(frame.left),
                at(frame.left + frame.width),
                at(frame.left - 8.0),
                at(y.parse::<f64>().unwrap_or(0.0) + 4.0),
            );
        }
        let bottom = frame.top + frame.height;
        for (x, label) in horizontal.ticks.iter().zip(horizontal.labels(false)) {
            let Some(x) = frame.x(horizontal, *x) else {
                continue;
            };
            let _ = writeln!(
                out,
                r##"<line x1="{x}" y1="{}" x2="{x}" y2="{}" stroke="#8c959f"/><text x="{x}" y="{}" text-anchor="middle" {text}>{label}</text>"##,
                at(bottom),
                at(bottom + 4.0),
                at(bottom + 17.0)
            );
        }
        let _ = writeln!(
            out,
            r##"<line x1="{}" y1="{y}" x2="{}" y2="{y}" stroke="#8c959f"/><text x="{}" y="{}" text-anchor="middle" {text}>{}</text>"##,
            at(frame.left),
            at(frame.left + frame.width),
            at(frame.left + frame.width / 2.0),
            at(bottom + 33.0),
            self.horizontal.0,
            y = at(bottom),
        );
    }
}

impl Frame {
    fn x(&self, axis: &Axis, x: f64) -> Option<String> {
        Some(at(self.left + self.width * axis.share(x)?))
    }

    /// Far outside is as good as a little outside, and small enough for any renderer.
    fn y(&self, axis: &Axis, y: f64) -> Option<String> {
        let share = axis.share(y)?.clamp(-5.0, 5.0);
        Some(at(self.top + self.height * (1.0 - share)))
    }
}

/// Most points that are marked by dots.
const DOTS: usize = 60;

impl Line {
    fn style(&self) -> &'static str {
        match self.stroke {
            Stroke::Solid => r#"stroke-width="2""#,
            Stroke::Dashed => r#"stroke-width="1.6" stroke-dasharray="6 4""#,
            Stroke::Faint => r#"stroke-width="1" stroke-opacity="0.35""#,
        }
    }

    /// Its entry in a legend.
    fn entry(&self, out: &mut String, x: f64, y: f64) {
        let _ = writeln!(
            out,
            r##"<line x1="{}" y1="{y}" x2="{}" y2="{y}" stroke="{}" {}/><text x="{}" y="{}" font-family="{FONTS}" font-size="{SMALL}" fill="#1f2328">{}</text>"##,
            at(x),
            at(x + 24.0),
            self.colour,
            self.style(),
            at(x + 30.0),
            at(y + 4.0),
            escape(&self.name),
            y = at(y),
        );
    }

    fn draw(&self, out: &mut String, frame: &Frame, horizontal: &Axis, vertical: &Axis) {
        let places: Vec<Option<(String, String)>> = self
            .points
            .iter()
            .map(|(x, y)| Some((frame.x(horizontal, *x)?, frame.y(vertical, (*y)?)?)))
            .collect();
        let mut path = String::new();
        for run in places.split(Option::is_none) {
            for (i, (x, y)) in run.iter().flatten().enumerate() {
                let _ = write!(path, "{}{x} {y}", if i == 0 { "M" } else { "L" });
            }
        }
        if !path.is_empty() {
            let _ = writeln!(
                out,
                r#"<path d="{path}" fill="none" stroke="{}" stroke-linejoin="round" {}/>"#,
                self.colour,
                self.style()
            );
        }
        if self.stroke == Stroke::Faint || places.len() > DOTS {
            return;
        }
        for (x, y) in places.iter().flatten() {
            let _ = writeln!(
                out,
                r#"<circle cx="{x}" cy="{y}" r="3" fill="{}"/>"#,
                self.colour
            );
        }
    }
}
