//! One module per command.

pub(crate) mod curves;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod selftest;
pub(crate) mod train;
pub(crate) mod watch;
pub(crate) mod worker;
