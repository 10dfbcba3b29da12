//! A budget over programs that only count.

use super::*;
use ane_ir::Route;
use std::path::Path;

/// What is loaded in the pretended engine.
#[derive(Debug, Default)]
struct Engine {
    resident: Mutex<Vec<String>>,
    loads: AtomicUsize,
    most: AtomicUsize,
    limit: usize,
}

impl Engine {
    fn with_limit(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            ..Self::default()
        })
    }

    fn load(self: &Arc<Self>, name: &str) -> Result<Loaded, DeviceError> {
        let mut resident = locked(&self.resident);
        if resident.len() >= self.limit {
            return Err(AppleError::Nothing { call: "load" }.into());
        }
        resident.push(name.into());
        self.most.fetch_max(resident.len(), Ordering::Relaxed);
        self.loads.fetch_add(1, Ordering::Relaxed);
        Ok(Loaded {
            name: name.into(),
            engine: self.clone(),
        })
    }

    fn names(&self) -> Vec<String> {
        locked(&self.resident).clone()
    }
}

#[derive(Debug)]
struct Loaded {
    name: String,
    engine: Arc<Engine>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let mut resident = locked(&self.engine.resident);
        let at = resident.iter().position(|n| *n == self.name).unwrap();
        resident.remove(at);
    }
}

fn program(text: &str) -> ane_mil::Program {
    ane_mil::Program {
        text: text.into(),
        weights: Vec::new(),
        in_place: Vec::new(),
    }
}

fn add(
    budget: &Budget<Loaded>,
    engine: &Arc<Engine>,
    root: &Path,
    name: &str,
) -> Result<Arc<Program<Loaded>>, DeviceError> {
    let program = program(name);
    let hash = ContentHash::of(&program, "");
    let files = ProgramDir::create(root, &hash, &program)?;
    budget.add(hash, files, |_| engine.load(name))
}

fn run(budget: &Budget<Loaded>, engine: &Arc<Engine>, program: &Program<Loaded>, name: &str) {
    let ran = budget.run(program, |_| engine.load(name), |r| Ok(r.name.clone()));
    assert_eq!(ran.unwrap(), name);
}

#[test]
fn the_least_recently_used_program_makes_room() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(2), Engine::with_limit(2));
    let a = add(&budget, &engine, root.path(), "a").unwrap();
    let _b = add(&budget, &engine, root.path(), "b").unwrap();
    run(&budget, &engine, &a, "a");
    let c = add(&budget, &engine, root.path(), "c").unwrap();
    assert_eq!(engine.names(), ["a", "c"]);
    drop(c);
    assert_eq!(engine.names(), ["a"]);
    assert_eq!(budget.loaded(), 1);
}

#[test]
fn three_hundred_programs_run_within_the_limit() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(100), Engine::with_limit(100));
    let names: Vec<String> = (0..300).map(|i| format!("p{i}")).collect();
    let all: Vec<_> = names
        .iter()
        .map(|n| add(&budget, &engine, root.path(), n).unwrap())
        .collect();
    for (name, p) in names.iter().zip(&all).chain(names.iter().zip(&all).rev()) {
        run(&budget, &engine, p, name);
    }
    assert_eq!(engine.most.load(Ordering::Relaxed), 100);
    // Forwards every program was evicted before its turn came; backwards the last hundred were still there.
    assert_eq!(engine.loads.load(Ordering::Relaxed), 300 + 300 + 200);
    drop(all);
    assert_eq!((engine.names().len(), budget.loaded()), (0, 0));
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn content_finds_its_program_as_long_as_somebody_has_it() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(9), Engine::with_limit(9));
    let hash = ContentHash::of(&program("a"), "");
    let a = add(&budget, &engine, root.path(), "a").unwrap();
    assert!(Arc::ptr_eq(&budget.find(&hash).unwrap(), &a));
    drop(a);
    assert!(budget.find(&hash).is_none());
}

#[test]
fn bindings_take_room_until_they_are_given_back() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(3), Engine::with_limit(9));
    let a = add(&budget, &engine, root.path(), "a").unwrap();
    let b = add(&budget, &engine, root.path(), "b").unwrap();
    (0..3).for_each(|_| a.bind());
    run(&budget, &engine, &a, "a");
    assert_eq!(engine.names(), ["a"], "three bindings fill the budget");
    (0..2).for_each(|_| a.unbind(|_| ()));
    run(&budget, &engine, &b, "b");
    assert_eq!(engine.names(), ["a", "b"]);
    assert_eq!(budget.loaded(), 2);
}

#[test]
fn a_limit_below_the_budget_is_met_by_unloading_everything_idle() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(100), Engine::with_limit(3));
    let all: Vec<_> = ["a", "b", "c", "d"]
        .map(|n| add(&budget, &engine, root.path(), n).unwrap())
        .into();
    assert_eq!(engine.names(), ["d"]);
    assert_eq!(budget.loaded(), 1);
    drop(all);
    let refusing = Engine::with_limit(0);
    let e = add(&budget, &refusing, root.path(), "e").unwrap_err();
    assert!(e.to_string().contains("load"), "{e}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A compiler does not take the program.
fn refusal(files: &ProgramDir) -> AppleError {
    AppleError::refused("compile", "err=()".into(), &files.mil(), Route::E5rt, None)
}

#[test]
fn only_refused_programs_keep_their_files() {
    let root = tempfile::tempdir().unwrap();
    let budget: Budget<Loaded> = Budget::new(3);
    let program = program("bad");
    let hash = ContentHash::of(&program, "");
    let files = ProgramDir::create(root.path(), &hash, &program).unwrap();
    let e = budget
        .add(hash, files, |files| Err(refusal(files).into()))
        .unwrap_err();
    let kept = std::fs::read_dir(root.path()).unwrap().next().unwrap();
    let kept = kept.unwrap().path().join("model.mil");
    let replay = format!("ane-trainer inspect {}", kept.display());
    assert!(e.to_string().contains(&replay), "{e}");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "bad");
}

#[test]
fn a_program_that_is_refused_when_it_comes_back_keeps_its_files_too() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(1), Engine::with_limit(1));
    let a = add(&budget, &engine, root.path(), "a").unwrap();
    let b = add(&budget, &engine, root.path(), "b").unwrap();
    assert_eq!(engine.names(), ["b"]);
    let refuse = |files: &ProgramDir| Err(refusal(files).into());
    assert!(budget.run(&a, refuse, |_| Ok(())).is_err());
    let mil = a.files().mil();
    // It may be taken the next time, and what was told of the first stays true.
    run(&budget, &engine, &a, "a");
    drop((a, b));
    super::super::program_dir::sweep(root.path());
    assert_eq!(std::fs::read_to_string(&mil).unwrap(), "a");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_compiler_that_refuses_is_asked_once_more_when_room_was_made() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(9), Engine::with_limit(9));
    let asked = AtomicUsize::new(0);
    // Refuses without a reason while anything is loaded, or always.
    let add_refused = |text: &str, always: bool| {
        let program = program(text);
        let hash = ContentHash::of(&program, "");
        let files = ProgramDir::create(root.path(), &hash, &program)?;
        budget.add(hash, files, |files| {
            asked.fetch_add(1, Ordering::Relaxed);
            if !always && engine.names().is_empty() {
                return engine.load(text);
            }
            Err(refusal(files).into())
        })
    };
    let a = add(&budget, &engine, root.path(), "a").unwrap();
    let alone = add_refused("alone", false).unwrap();
    assert_eq!(asked.swap(0, Ordering::Relaxed), 2);
    assert_eq!(engine.names(), ["alone"]);
    drop(alone);
    run(&budget, &engine, &a, "a");
    // The second time there is nothing left to unload.
    for tries in [2, 1] {
        assert!(add_refused("bad", true).is_err());
        assert_eq!(asked.swap(0, Ordering::Relaxed), tries);
    }
}

#[test]
fn threads_share_a_budget() {
    let root = tempfile::tempdir().unwrap();
    let (budget, engine) = (Budget::new(2), Engine::with_limit(6));
    let names = ["a", "b", "c", "d"];
    let all: Vec<_> = names
        .iter()
        .map(|n| add(&budget, &engine, root.path(), n).unwrap())
        .collect();
    thread::scope(|s| {
        for (name, p) in names.iter().zip(&all) {
            let (budget, engine) = (&budget, &engine);
            s.spawn(move || (0..200).for_each(|_| run(budget, engine, p, name)));
        }
    });
    drop(all);
    assert_eq!((engine.names().len(), budget.loaded()), (0, 0));
}
