//! Type encodings, letter by letter as a Mac has them, and the answers about the machine.

use crate::framework::{Boolean, class, text};
use objc2::msg_send;
use objc2::runtime::{AnyClass, Sel};
use std::ffi::{CStr, c_char};

unsafe extern "C-unwind" {
    fn class_getInstanceMethod(class: *const AnyClass, selector: Sel) -> *const Behind;
    fn class_getClassMethod(class: *const AnyClass, selector: Sel) -> *const Behind;
    fn method_getTypeEncoding(method: *const Behind) -> *const c_char;
}

#[repr(C)]
struct Behind([u8; 0]);

/// `+` or `-` and the selector; the encoding.
const EXPECTED: &[(&CStr, &[(&str, &str)])] = &[
    (
        c"_ANEClient",
        &[
            ("+sharedConnection", "@16@0:8"),
            ("-compileModel:options:qos:error:", "B44@0:8@16@24I32^@36"),
            ("-compiledModelExistsFor:", "B24@0:8@16"),
            (
                "-doEvaluateDirectWithModel:options:request:qos:error:",
                "B52@0:8@16@24@32I40^@44",
            ),
            (
                "-evaluateWithModel:options:request:qos:error:",
                "B52@0:8@16@24@32I40^@44",
            ),
            ("-initWithRestrictedAccessAllowed:", "@20@0:8B16"),
            ("-loadModel:options:qos:error:", "B44@0:8@16@24I32^@36"),
            (
                "-mapIOSurfacesWithModel:request:cacheInference:error:",
                "B44@0:8@16@24B32^@36",
            ),
            ("-purgeCompiledModel:", "v24@0:8@16"),
            ("-unloadModel:options:qos:error:", "B44@0:8@16@24I32^@36"),
            ("-unmapIOSurfacesWithModel:request:", "v32@0:8@16@24"),
        ],
    ),
    (
        c"_ANEDeviceInfo",
        &[
            ("+aneArchitectureType", "@16@0:8"),
            ("+aneBoardType", "q16@0:8"),
            ("+aneSubType", "@16@0:8"),
            ("+buildVersion", "@16@0:8"),
            ("+hasANE", "B16@0:8"),
            ("+numANECores", "I16@0:8"),
            ("+numANEs", "I16@0:8"),
            ("+productName", "@16@0:8"),
        ],
    ),
    (
        c"_ANEInMemoryModel",
        &[
            ("+inMemoryModelWithDescriptor:", "@24@0:8@16"),
            ("-compileWithQoS:options:error:", "B36@0:8I16@20^@28"),
            ("-compiledModelExists", "B16@0:8"),
            (
                "-compilerOptionsWithOptions:isCompiledModelCached:",
                "@28@0:8@16B24",
            ),
            (
                "-evaluateWithQoS:options:request:error:",
                "B44@0:8I16@20@28^@36",
            ),
            ("-hexStringIdentifier", "@16@0:8"),
            ("-initWithDesctiptor:", "@24@0:8@16"),
            ("-intermediateBufferHandle", "Q16@0:8"),
            ("-loadWithQoS:options:error:", "B36@0:8I16@20^@28"),
            ("-localModelPath", "@16@0:8"),
            (
                "-mapIOSurfacesWithRequest:cacheInference:error:",
                "B36@0:8@16B24^@28",
            ),
            ("-model", "@16@0:8"),
            ("-perfStatsMask", "I16@0:8"),
            ("-programHandle", "Q16@0:8"),
            ("-queueDepth", "c16@0:8"),
            ("-state", "Q16@0:8"),
            ("-string_id", "Q16@0:8"),
            ("-unloadWithQoS:error:", "B28@0:8I16^@20"),
            ("-unmapIOSurfacesWithRequest:", "v24@0:8@16"),
        ],
    ),
    (
        c"_ANEInMemoryModelDescriptor",
        &[(
            "+modelWithMILText:weights:optionsPlist:",
            "@40@0:8@16@24@32",
        )],
    ),
    (
        c"_ANEIOSurfaceObject",
        &[("+objectWithIOSurface:", "@24@0:8^{__IOSurface=}16")],
    ),
    (
        c"_ANEModel",
        &[
            ("+modelAtURL:key:", "@32@0:8@16@24"),
            ("-modelAttributes", "@16@0:8"),
        ],
    ),
    (
        c"_ANERequest",
        &[(
            "+requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
            "@72@0:8@16@24@32@40@48@56@64",
        )],
    ),
];

#[test]
fn methods_have_the_encodings_of_the_real_ones() {
    for (name, methods) in EXPECTED {
        let class = class(name);
        for (method, expected) in *methods {
            let (kind, selector) = method.split_at(1);
            let selector = Sel::register(&std::ffi::CString::new(selector).unwrap());
            // SAFETY: class and selector are registered; encodings live as long as the runtime.
            let found = unsafe {
                let found = match kind {
                    "+" => class_getClassMethod(class, selector),
                    _ => class_getInstanceMethod(class, selector),
                };
                assert!(!found.is_null(), "{name:?} has no {method}");
                CStr::from_ptr(method_getTypeEncoding(found))
            };
            assert_eq!(found.to_str().unwrap(), *expected, "{name:?} {method}");
        }
    }
}

#[test]
fn the_machine_says_that_it_is_no_mac() {
    let class = class(c"_ANEDeviceInfo");
    // SAFETY: the encodings of the methods say so.
    let (has, cores, engines): (Boolean, u32, u32) = unsafe {
        (
            msg_send![class, hasANE],
            msg_send![class, numANECores],
            msg_send![class, numANEs],
        )
    };
    assert_eq!((has.0, cores, engines), (true, 16, 1));
    assert_eq!(text(class.as_ref(), c"aneArchitectureType"), "h16g");
    assert_eq!(text(class.as_ref(), c"productName"), "ane-trainer stand-in");
}
