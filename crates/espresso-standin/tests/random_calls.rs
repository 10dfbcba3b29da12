//! Calls in any order, with any handles: refused or done, never a panic, and everything can be given back.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "support/world.rs"]
mod world;

use ane_standin::Environment;
use espresso_standin::{E5rtError, Handle};
use std::collections::BTreeSet;
use world::{DOUBLE, World};

/// Calls of the long form, and of the short one.
const CALLS: (usize, usize) = (200_000, 10_000);

/// A linear congruence.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Compiler,
    Options,
    Library,
    Function,
    Making,
    Operation,
    Port,
    Buffer,
    Stream,
    Event,
}

/// Every handle that was ever given out.
struct Given(Vec<(Handle, Kind)>);

impl Given {
    /// Mostly one of the wanted kind, and mostly a recent one, which is likely to be alive.
    fn pick(&self, dice: &mut Dice, wanted: Kind) -> Handle {
        let any = dice.roll(5) == 0;
        let fitting: Vec<Handle> = self
            .0
            .iter()
            .rev()
            .filter(|(_, kind)| any || *kind == wanted)
            .map(|(handle, _)| *handle)
            .take(3)
            .collect();
        match fitting.len() {
            0 => self.0[0].0,
            found => fitting[dice.roll(found)],
        }
    }
}

/// What a call did, and the new handle if it gave one.
type Done = (&'static str, Option<(Handle, Kind)>);

/// One call.
fn call(w: &World, dice: &mut Dice, given: &Given) -> Result<Done, E5rtError> {
    use Kind::{
        Buffer, Compiler, Event, Function, Library, Making, Operation, Options, Port, Stream,
    };
    let r = &w.runtime;
    let path = w.directory.path().join("model.mil");
    let choice = dice.roll(26);
    let mut pick = |kind| given.pick(dice, kind);
    let (name, made) = match choice {
        0 => ("compiler", Some((r.compiler_create(None)?, Compiler))),
        1 => ("options", Some((r.options_create(), Options))),
        2 => {
            let library = r.compile(pick(Compiler), &path, pick(Options))?;
            ("compile", Some((library, Library)))
        }
        3 => {
            let function = r.library_retain_program_function(pick(Library), "main")?;
            ("function", Some((function, Function)))
        }
        4 => {
            let making = r.operation_options_create(pick(Function))?;
            ("making", Some((making, Making)))
        }
        5 | 6 => {
            let operation = r.operation_create(pick(Making))?;
            ("operation", Some((operation, Operation)))
        }
        7..=9 => {
            let operation = pick(Operation);
            let name = ["x", "y", "z"][dice.roll(3)];
            let port = r.operation_retain_port(operation, name, dice.roll(2) == 0)?;
            ("port", Some((port, Port)))
        }
        10 => {
            let (size, kind) = (dice.roll(128) as u64, dice.roll(4) as u32);
            let buffer = r.buffer_alloc(size, kind)?;
            ("buffer", Some((buffer, Buffer)))
        }
        11 => ("stream", Some((r.stream_create(), Stream))),
        12 => ("event", Some((r.event_create("e", 0), Event))),
        13..=15 => {
            r.port_bind_buffer(pick(Port), pick(Buffer))?;
            ("bind", None)
        }
        16 | 17 => {
            r.operation_prepare(pick(Operation))?;
            ("prepare", None)
        }
        18 | 19 => {
            r.stream_encode(pick(Stream), pick(Operation))?;
            ("encode", None)
        }
        20 => {
            r.stream_execute_sync(pick(Stream))?;
            ("execute", None)
        }
        21 => {
            r.stream_reset(pick(Stream))?;
            ("reset", None)
        }
        22 => {
            r.operation_bind_completion_event(pick(Operation), pick(Event))?;
            ("completion", None)
        }
        23 => {
            r.event_signal(pick(Event))?;
            ("signal", None)
        }
        _ => {
            let handle = given.0[dice.roll(given.0.len())].0;
            release(w, handle)?;
            ("release", None)
        }
    };
    Ok((name, made))
}

/// Gives a handle back, whatever it stands for; the last refusal when it cannot be.
fn release(w: &World, handle: Handle) -> Result<(), E5rtError> {
    let r = &w.runtime;
    r.stream_release(handle)
        .or_else(|_| r.operation_release(handle))
        .or_else(|_| r.port_release(handle))
        .or_else(|_| r.buffer_release(handle))
        .or_else(|_| r.event_release(handle))
        .or_else(|_| r.operation_options_release(handle))
        .or_else(|_| r.function_release(handle))
        .or_else(|_| r.library_release(handle))
        .or_else(|_| r.options_release(handle))
        .or_else(|_| r.compiler_release(handle))
}

#[test]
fn any_sequence_of_calls_is_done_or_refused_and_can_be_given_back() {
    let w = World::new(Environment {
        max_loaded: 5,
        threads: 1,
        ..Environment::default()
    });
    w.written(DOUBLE);
    let long = std::env::var_os("ANE_TRAINER_SOAK").is_some();
    let calls = if long { CALLS.0 } else { CALLS.1 };
    let mut dice = Dice(7);
    let mut given = Given(vec![(w.runtime.options_create(), Kind::Options)]);
    let mut refused = BTreeSet::new();
    let mut done = BTreeSet::new();
    for _ in 0..calls {
        match call(&w, &mut dice, &given) {
            Ok((name, made)) => {
                done.insert(name);
                given.0.extend(made);
            }
            Err(error) => {
                refused.insert(error.code());
            }
        }
        assert!(w.runtime.loaded() <= 5);
    }
    // The dice must have led everywhere, or the test shows little.
    assert_eq!(done.len(), 18, "{done:?}");
    let expected = BTreeSet::from([2, 3, 4, 5, 6, 7, 10]);
    assert!(refused.is_superset(&expected), "{refused:?}");
    // Streams hold operations, which can be given back once those are gone.
    for _ in 0..2 {
        for (handle, _) in &given.0 {
            let _ = release(&w, *handle);
        }
    }
    assert_eq!((w.runtime.live_handles(), w.runtime.loaded()), (0, 0));
}
