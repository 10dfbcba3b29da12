//! What a run came to, for people: curves as pictures, and a page.
//!
//! [`curves`] reads the files that a run leaves; [`figure`] draws them as SVG, and [`picture`] makes a PNG of any SVG.
//! Nothing here trains or evaluates.

#![forbid(unsafe_code)]

mod axis;
mod chart;
pub mod curves;
pub mod figure;
pub mod picture;
mod svg;
