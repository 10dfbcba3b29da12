//! Nothing, for who asks for results only.

use super::Show;
use ane_train::fit::Event;

/// Shows nothing.
pub(super) struct Nothing;

impl Show for Nothing {
    fn show(&mut self, _: &Event) {}
    fn finish(&mut self) {}
}
