//! `modelAttributes`: symbols and layouts of a loaded program.

use crate::geometry::PAGE;
use crate::plist::{Object, array, dictionary, number, string};
use crate::resident::Resident;
use crate::symbols::{Symbol, Symbols};
use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use objc2_foundation::{NSDictionary, NSString};

/// The attributes of a program.
pub(crate) fn of(program: &Resident) -> Retained<NSDictionary<NSString, AnyObject>> {
    let procedures = || program.procedures().iter().zip(0_u64..);
    let all = |side: fn(&Symbols) -> &[Symbol]| {
        procedures().flat_map(move |(procedure, _)| side(procedure.symbols()))
    };
    let ids: Vec<(&str, Object)> = procedures()
        .map(|(procedure, id)| (procedure.name(), number(id)))
        .collect();
    let indices = |symbols: &[Symbol]| array(symbols.iter().map(|symbol| number(symbol.index)));
    let described = procedures().map(|(procedure, id)| {
        let symbols = procedure.symbols();
        dictionary(&[
            ("ANEFModelInputSymbolIndexArray", indices(&symbols.inputs)),
            ("ANEFModelOutputSymbolIndexArray", indices(&symbols.outputs)),
            ("ANEFModelProcedureID", number(id)),
        ])
        .into()
    });
    let names = |side| array(all(side).map(|symbol| string(&symbol.name)));
    let description = dictionary(&[
        (
            "ANEFModelInput16KAlignmentArray",
            array(all(inputs).map(|_| number(1))),
        ),
        ("ANEFModelProcedures", array(described)),
        ("kANEFModelInputSymbolsArrayKey", names(inputs)),
        ("kANEFModelOutputSymbolsArrayKey", names(outputs)),
        ("kANEFModelProcedureNameToIDMapKey", dictionary(&ids).into()),
    ]);
    let statuses = procedures().map(|(procedure, _)| {
        let symbols = procedure.symbols();
        dictionary(&[
            ("LiveInputList", in_port_order(&symbols.inputs)),
            ("LiveInputParamList", array([])),
            ("LiveOutputList", in_port_order(&symbols.outputs)),
            ("LiveStateList", array([])),
            ("Name", string(procedure.name())),
        ])
        .into()
    });
    dictionary(&[
        ("ANEFModelDescription", description.into()),
        ("NetworkStatusList", array(statuses)),
    ])
}

fn inputs(symbols: &Symbols) -> &[Symbol] {
    &symbols.inputs
}

fn outputs(symbols: &Symbols) -> &[Symbol] {
    &symbols.outputs
}

/// Layouts in the order of the text, which is not the order of the symbols.
fn in_port_order(symbols: &[Symbol]) -> Object {
    let mut symbols: Vec<&Symbol> = symbols.iter().collect();
    symbols.sort_by_key(|symbol| symbol.port);
    array(symbols.into_iter().map(layout))
}

fn layout(symbol: &Symbol) -> Object {
    let g = &symbol.geometry;
    let count = |n: usize| number(n as u64);
    // The stride of an axis with one element leads nowhere, and compilers have rounded it.
    let batch_stride = match g.batches {
        1 => g.batch_stride.next_multiple_of(PAGE),
        _ => g.batch_stride,
    };
    dictionary(&[
        ("BatchStride", count(batch_stride)),
        ("Batches", count(g.batches)),
        ("Channels", count(g.channels)),
        ("Depth", count(g.depth)),
        ("DepthStride", count(g.depth_stride)),
        ("Height", count(g.height)),
        ("Interleave", number(1)),
        ("Name", string(&symbol.name)),
        ("PlaneCount", count(g.channels)),
        ("PlaneStride", count(g.plane_stride)),
        ("RowStride", count(g.row_stride)),
        ("Symbol", string(&symbol.name)),
        ("Type", string(g.type_name())),
        ("Width", count(g.width)),
    ])
    .into()
}
