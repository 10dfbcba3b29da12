//! The picture of a run, made for eighty columns and twenty-four lines or more.

use super::{Curve, Dashboard, State};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, LineGauge, Paragraph},
};
use std::time::Duration;

/// Columns from which on a third curve has room.
const WIDE: u16 = 110;
/// Least lines of the log, borders included.
const LEAST_LOG: u16 = 5;
/// Columns of the bar of a phase that takes all of a step.
const BAR: f64 = 10.0;

const TRAIN: Color = Color::Cyan;
const VALIDATION: Color = Color::Yellow;
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

impl Dashboard {
    /// Draws the run, which trains for so long here.
    pub(in super::super) fn draw(&self, frame: &mut Frame<'_>, elapsed: Duration) {
        let area = frame.area();
        let placement = self.placement.len() as u16;
        let rest = area.height.saturating_sub(6 + placement);
        let log = (rest / 3).max(LEAST_LOG).min(rest);
        let [
            head,
            bar,
            course,
            curves,
            numbers,
            phases,
            placement,
            log,
            keys,
        ] = Layout::vertical(
            [1, 1, 1, rest - log, 1, 1, placement, log, 1].map(Constraint::Length),
        )
        .areas(area);
        self.draw_head(frame, head);
        self.draw_bar(frame, bar);
        frame.render_widget(self.course(elapsed), course);
        self.draw_curves(frame, curves);
        frame.render_widget(self.numbers(), numbers);
        frame.render_widget(self.phases(), phases);
        let lines: Vec<Line<'_>> = self.placement.iter().map(Line::raw).collect();
        frame.render_widget(Paragraph::new(lines), placement);
        self.draw_log(frame, log);
        frame.render_widget(self.keys(), keys);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let run = Line::raw(&self.run).style(FAINT);
        let [left, right] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(run.width() as u16)])
                .spacing(2)
                .areas(area);
        frame.render_widget(Line::raw(&self.title).style(STRONG), left);
        frame.render_widget(run, right);
    }

    fn draw_bar(&self, frame: &mut Frame<'_>, area: Rect) {
        let done = self.step as f64 / self.steps.max(1) as f64;
        let label = format!(
            "epoch {}/{}  step {}/{}  {:.0} %",
            self.epoch.max(1),
            self.epochs,
            self.step,
            self.steps,
            100.0 * done
        );
        let gauge = LineGauge::default()
            .label(label)
            .ratio(done.clamp(0.0, 1.0))
            .filled_symbol("━")
            .unfilled_symbol("─")
            .filled_style(Style::new().fg(Color::Green))
            .unfilled_style(FAINT);
        frame.render_widget(gauge, area);
    }

    /// Milliseconds of a step.
    fn step_ms(&self) -> f64 {
        self.phases.engine_ms + self.phases.host_ms + self.phases.data_ms
    }

    fn course(&self, elapsed: Duration) -> Line<'_> {
        let ms = self.step_ms();
        let mut text = format!("  elapsed {}", clock(elapsed));
        if ms > 0.0 {
            let left = self.steps.saturating_sub(self.step) as f64 * ms / 1e3;
            let speed = 1e3 * self.batch as f64 / ms;
            let left = clock(Duration::from_secs_f64(left));
            text = format!("  {speed:.0} examples/s  {ms:.2} ms a step{text}, left {left}");
        }
        let style = match self.state {
            State::Training => Style::new().fg(Color::Green),
            _ => Style::new()
                .fg(Color::Yellow)
                .add_modifier(Modifier::REVERSED),
        };
        Line::from(vec![
            Span::styled(self.state.name(), style),
            Span::raw(text),
        ])
    }

    fn draw_curves(&self, frame: &mut Frame<'_>, area: Rect) {
        let beside = if area.width >= WIDE { 2 } else { 1 };
        let others = self.curves.len() - 1;
        let mut shown = vec![0];
        shown.extend((0..beside.min(others)).map(|i| 1 + (self.chosen - 1 + i) % others));
        let columns = Layout::horizontal(vec![Constraint::Fill(1); shown.len()]).split(area);
        for (&curve, &area) in shown.iter().zip(columns.iter()) {
            self.draw_curve(frame, area, &self.curves[curve]);
        }
    }

    fn draw_curve(&self, frame: &mut Frame<'_>, area: Rect, curve: &Curve) {
        let (train, validation) = (curve.train.points(), curve.validation.as_slice());
        let mut title = vec![Span::styled(format!(" {} ", curve.name), STRONG)];
        let last = |points: &[(f64, f64)]| points.last().map(|p| (curve.show)(p.1));
        if let Some(value) = last(train) {
            title.push(Span::styled(format!("─ {value} "), TRAIN));
        }
        if let Some(value) = last(validation) {
            title.push(Span::styled(format!("• val {value} "), VALIDATION));
        }
        let block = Block::bordered()
            .border_style(FAINT)
            .title(Line::from(title));
        let ceiling = match (curve.show)(0.5).ends_with('%') {
            true => 1.0,
            false => f64::INFINITY,
        };
        let Some([low, high]) = bounds(train.iter().chain(validation), ceiling) else {
            let waiting = Paragraph::new("waiting for the first step").style(FAINT);
            frame.render_widget(waiting.block(block), area);
            return;
        };
        let line = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(TRAIN)
            .data(train);
        let dots = Dataset::default()
            .marker(Marker::Dot)
            .graph_type(GraphType::Scatter)
            .style(VALIDATION)
            .data(validation);
        let first = train.first().map_or(0.0, |p| p.0);
        let end = (self.step as f64).max(first + 1.0);
        let steps = [first, (first + end) / 2.0, end].map(|x| format!("{x:.0}"));
        let values = [low, (low + high) / 2.0, high].map(|y| (curve.show)(y));
        let chart = Chart::new(vec![line, dots])
            .block(block)
            .x_axis(
                Axis::default()
                    .bounds([first, end])
                    .labels(steps)
                    .style(FAINT),
            )
            .y_axis(
                Axis::default()
                    .bounds([low, high])
                    .labels(values)
                    .style(FAINT),
            );
        frame.render_widget(chart, area);
    }

    fn numbers(&self) -> Line<'_> {
        let skipped = match self.skipped {
            0 => String::new(),
            1 => "  1 step skipped".to_owned(),
            n => format!("  {n} steps skipped"),
        };
        let norm = self
            .grad_norm
            .map_or_else(String::new, |norm| format!("  gradient norm {norm:.3}"));
        match self.lr.is_nan() {
            true => Line::default(),
            false => Line::raw(format!(
                "learning rate {:.2e}  loss scale {}{norm}{skipped}",
                self.lr, self.loss_scale
            )),
        }
    }

    fn phases(&self) -> Line<'_> {
        let all = self.step_ms();
        let phases = [
            ("engine", self.phases.engine_ms, Color::Green),
            ("host", self.phases.host_ms, Color::Magenta),
            ("data", self.phases.data_ms, Color::Blue),
        ];
        let mut spans = vec![Span::raw("ms a step:")];
        for (name, ms, color) in phases {
            let share = if all > 0.0 { ms / all } else { 0.0 };
            let bar = "█".repeat((BAR * share).round() as usize);
            spans.push(Span::raw(format!("  {name} {ms:.2} ")));
            spans.push(Span::styled(bar, color));
        }
        Line::from(spans)
    }

    fn draw_log(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().border_style(FAINT).title(" log ");
        let inner = block.inner(area);
        let (width, height) = (usize::from(inner.width), usize::from(inner.height));
        let options = textwrap::Options::new(width.max(1)).subsequent_indent("  ");
        // Only the last lines are seen, so only they are broken.
        let mut lines: Vec<String> = Vec::new();
        for line in self.log.iter().rev() {
            if lines.len() >= height {
                break;
            }
            let broken = line.lines().flat_map(|l| textwrap::wrap(l, &options));
            let mut broken: Vec<String> = broken.map(|l| l.into_owned()).collect();
            broken.reverse();
            lines.extend(broken);
        }
        lines.truncate(height);
        lines.reverse();
        let lines: Vec<Line<'_>> = lines.into_iter().map(Line::raw).collect();
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn keys(&self) -> Line<'_> {
        let pause = match self.state {
            State::Paused => "go on",
            _ => "pause",
        };
        let keys = [
            ("p", pause),
            ("c", "checkpoint"),
            ("m", "another curve"),
            ("q", "stop; --resume goes on"),
        ];
        let mut spans = Vec::new();
        for (key, what) in keys {
            spans.push(Span::styled(
                format!(" {key} "),
                STRONG.add_modifier(Modifier::REVERSED),
            ));
            spans.push(Span::raw(format!(" {what}  ")));
        }
        Line::from(spans)
    }
}

/// Least and largest value with some room, even where all are the same, and none above what no value is above.
fn bounds<'a>(points: impl Iterator<Item = &'a (f64, f64)>, ceiling: f64) -> Option<[f64; 2]> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &(_, y) in points {
        (low, high) = (low.min(y), high.max(y));
    }
    if low > high {
        return None;
    }
    let room = match high - low {
        0.0 => low.abs().max(1e-6) * 0.1,
        range => range * 0.05,
    };
    // What is never negative does not reach below zero on its axis.
    let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    Some([
        (low - room).max(floor),
        (high + room).min(ceiling.max(high)),
    ])
}

/// A time as a clock shows it.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_room_and_do_not_reach_below_zero() {
        let points = |ys: &[f64]| ys.iter().map(|&y| (0.0, y)).collect::<Vec<_>>();
        let of = |ys: &[f64]| bounds(points(ys).iter(), f64::INFINITY);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1.0, 3.0]), Some([0.9, 3.1]));
        assert_eq!(of(&[0.0, 2.0]), Some([0.0, 2.1]));
        assert_eq!(of(&[-1.0, 1.0]), Some([-1.1, 1.1]));
        assert_eq!(of(&[10.0]), Some([9.0, 11.0]));
        assert_eq!(bounds(points(&[0.5, 1.0]).iter(), 1.0), Some([0.475, 1.0]));
        assert!(of(&[0.0]).is_some_and(|[low, high]| low < high));
    }

    #[test]
    fn times_are_those_of_a_clock() {
        let shown = [0, 61, 3599, 3725].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(shown, ["0:00", "1:01", "59:59", "1:02:05"]);
    }
}
