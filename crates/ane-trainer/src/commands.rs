//! One module per command.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod curves;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod predict;
pub(crate) mod profile;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod selftest;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod worker;
