//! Fetching and loading as a whole, without a network.

mod cached;
mod loading;
pub(super) mod machine;
mod sources;
