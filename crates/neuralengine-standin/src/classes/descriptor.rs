//! `_ANEInMemoryModelDescriptor`: text and weights of a model, and the identifier made of them.
//!
//! No descriptor is made of a text that is no `NSData`, of weights that are nil or no dictionary (an empty one is right
//! when there are none), or of an inner dictionary that is empty or holds no `NSData`.
//!
//! The identifier is three SHA-256 in upper-case hexadecimal, of the text, the weights and the options. The weights' is
//! taken over four zero bytes and, in the order of the keys, the data of every inner dictionary. The real one hashes the
//! first value of the inner dictionary, whatever it is; in practice that is the data. `ANE_STANDIN_WEIGHTS_HASH` makes it
//! the offset.

use crate::daemon::Daemon;
use crate::plist::{entry, pairs, text, value};
use crate::runtime::{Live, Method, add, no_init};
use ane_standin::WeightsHash;
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use objc2_foundation::NSData;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a model is made of.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) text: Vec<u8>,
    pub(crate) weights: BTreeMap<String, Vec<u8>>,
    /// `offset` of every inner dictionary that has one, by the same keys.
    offsets: BTreeMap<String, u64>,
    options: Vec<u8>,
}

impl Contents {
    fn new(
        mil: Option<&AnyObject>,
        weights: Option<&AnyObject>,
        options: Option<&AnyObject>,
    ) -> Option<Self> {
        let bytes = |object: Option<&AnyObject>| Some(object?.downcast_ref::<NSData>()?.to_vec());
        let blob = |(path, inner): &(Retained<AnyObject>, Retained<AnyObject>)| {
            let data = pairs(Some(inner))?
                .iter()
                .find_map(|(_, value)| bytes(Some(value)))?;
            Some((text(Some(path))?, data))
        };
        let offset = |(path, inner): &(Retained<AnyObject>, Retained<AnyObject>)| {
            let offset = value(entry(Some(inner), "offset").as_deref())?;
            Some((text(Some(path))?, offset))
        };
        Some(Self {
            text: bytes(mil)?,
            offsets: pairs(weights)?.iter().filter_map(offset).collect(),
            weights: pairs(weights)?.iter().map(blob).collect::<Option<_>>()?,
            options: match options {
                None => Vec::new(),
                options => bytes(options)?,
            },
        })
    }

    /// `hexStringIdentifier`.
    pub(crate) fn identifier(&self) -> String {
        let mut weights = Sha256::new_with_prefix([0; 4]);
        let hashed = Daemon::current().map(|daemon| daemon.environment().weights_hash);
        match hashed.unwrap_or(WeightsHash::Data) {
            WeightsHash::Data => self.weights.values().for_each(|data| weights.update(data)),
            WeightsHash::Offset => self
                .offsets
                .values()
                .for_each(|offset| weights.update(offset.to_le_bytes())),
        }
        let digests = [
            Sha256::digest(&self.text),
            weights.finalize(),
            Sha256::digest(&self.options),
        ];
        let hex = |digest: &[u8]| {
            digest
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect::<String>()
        };
        digests.map(|digest| hex(&digest)).join("_")
    }
}

#[derive(Debug)]
pub(crate) struct Ivars {
    contents: Contents,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANEInMemoryModelDescriptor"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct Descriptor;
);

impl Descriptor {
    pub(crate) fn contents(&self) -> &Contents {
        &self.ivars().contents
    }
}

/// `+modelWithMILText:weights:optionsPlist:`.
extern "C-unwind" fn with_text(
    _: &AnyClass,
    _: Sel,
    text: Option<&AnyObject>,
    weights: Option<&AnyObject>,
    options: Option<&AnyObject>,
) -> *mut Descriptor {
    let Some(contents) = Contents::new(text, weights, options) else {
        crate::daemon::log(
            "no descriptor: the text is no NSData, or the weights are no dictionary of dictionaries with NSData",
        );
        return std::ptr::null_mut();
    };
    let this = Descriptor::alloc().set_ivars(Ivars {
        contents,
        _live: Live::new(),
    });
    // SAFETY: NSObject's initialiser.
    let this: Retained<Descriptor> = unsafe { msg_send![super(this), init] };
    Retained::autorelease_return(this)
}

/// `-hexStringIdentifier`.
extern "C-unwind" fn identifier(this: &Descriptor, _: Sel) -> *mut AnyObject {
    Retained::autorelease_return(crate::plist::string(&this.contents().identifier()))
}

pub(crate) fn register() {
    let instance = [
        Method(c"hexStringIdentifier", c"@16@0:8", identifier as *const ()),
        Method(c"init", c"@16@0:8", no_init as *const ()),
    ];
    let of_class = [Method(
        c"modelWithMILText:weights:optionsPlist:",
        c"@40@0:8@16@24@32",
        with_text as *const (),
    )];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(Descriptor::class(), &instance, &of_class) };
}
