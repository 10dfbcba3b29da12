//! The messages of an event file, as far as they are written: a part of TensorFlow's `event.proto` and `summary.proto`.

/// Something that happened at a step.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "event::What", tags = "3, 5, 7")]
    pub(super) what: Option<event::What>,
}

/// What an [`Event`] may be.
pub(super) mod event {
    /// What happened.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in super::super) enum What {
        #[prost(string, tag = "3")]
        FileVersion(String),
        #[prost(message, tag = "5")]
        Summary(super::Summary),
        #[prost(message, tag = "7")]
        SessionLog(super::SessionLog),
    }
}

/// Values by tag.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Value>,
}

/// A value.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    // Written even where it is 0: which kind a value is, is told by the field that it has.
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
}

/// The status of a session that begins.
pub(super) const START: i32 = 1;

/// What becomes of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}
