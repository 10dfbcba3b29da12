//! What a run came to, for people: curves as pictures, and a page.
//!
//! [`curves`] reads the files that a run leaves; [`figure`] draws them as SVG, and [`picture`] makes a PNG of any SVG.
//! [`page`] is everything about a run as one page of HTML.
//! Nothing here trains or evaluates.

#![forbid(unsafe_code)]

mod axis;
mod chart;
pub mod curves;
pub mod figure;
pub mod page;
pub mod picture;
mod svg;
