//! Planned faults, as the framework's own failures.

use crate::alone;
use crate::framework::{InMemory, Surface, binary, request};
use std::path::Path;

const NAME: &str = "faults::planned_faults_happen";
const CRASH: &str = "faults::a_planned_crash_ends_the_process";
const VARIABLE: &str = "ANE_STANDIN_FAULTS";

fn planned(folder: &Path, plan: &str) -> String {
    std::fs::write(folder.join("plan"), plan).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn planned_faults_happen() {
    if !alone::is_alone(NAME) {
        let folder = tempfile::tempdir().unwrap();
        let plan = "compile 1 fail\nload 1 fail\nload 2 leak\nexecute 1 fail\nexecute 2 geometry\nexecute 3 unwritten\nexecute 4 corrupt\nexecute 5 zeros\nunload 1 fail\n";
        alone::pass(NAME, &[(VARIABLE, &planned(folder.path(), plan))]);
        let fired = std::fs::read_to_string(folder.path().join("fired")).unwrap();
        assert_eq!(fired.lines().count(), 9, "{fired}");
        return;
    }
    let model = InMemory::new(&binary("add", "a", "b"));
    let text = model.compile().unwrap_err().1;
    assert!(text.contains("CompilationFailure"), "{text}");
    model.compile().unwrap();
    assert!(model.load().unwrap_err().1.contains("0x50004"));
    model.load().unwrap();
    let (x, y) = (Surface::filled(0x3C00), Surface::small());
    let request = request(&[(0, &x), (1, &x)], &[(0, &y)]);
    assert_eq!(model.evaluate(&request).unwrap_err().0, 8);
    assert!(model.evaluate(&request).unwrap_err().1.contains("0x1d"));
    y.fill(0x1234);
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(0x1234), "unwritten");
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), None, "corrupt");
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(0), "zeros");
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(0x4000));
    assert!(model.unload().is_err());
    model.unload().unwrap();
    assert_eq!(neuralengine_standin::loaded_programs(), 1, "leaked");
}

#[test]
fn a_planned_crash_ends_the_process() {
    if !alone::is_alone(CRASH) {
        let folder = tempfile::tempdir().unwrap();
        let output = alone::run(
            CRASH,
            &[(VARIABLE, &planned(folder.path(), "compile 1 crash\n"))],
        );
        assert!(!output.status.success());
        let fired = std::fs::read_to_string(folder.path().join("fired")).unwrap();
        assert_eq!(fired, "compile 1 crash\n");
        return;
    }
    let _ = InMemory::new(&binary("add", "a", "b")).compile();
}

const MAP: &str = "faults::mapping_is_refused_where_the_environment_says_so";

#[test]
fn mapping_is_refused_where_the_environment_says_so() {
    if !alone::is_alone(MAP) {
        alone::pass(MAP, &[("ANE_STANDIN_REFUSE_MAP", "1")]);
        return;
    }
    let model = InMemory::new(&binary("add", "a", "b"));
    model.compile().unwrap();
    model.load().unwrap();
    let (x, y) = (Surface::small(), Surface::small());
    let request = request(&[(0, &x), (1, &x)], &[(0, &y)]);
    assert!(model.map(&request).unwrap_err().1.contains("0x12"));
    model.evaluate(&request).unwrap();
}
