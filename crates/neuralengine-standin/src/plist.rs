//! Strings, numbers, arrays and dictionaries as objects, and back.

use objc2::rc::Retained;
use objc2::runtime::AnyObject;
use objc2_foundation::{NSArray, NSDictionary, NSNumber, NSString};

/// Any object, kept.
pub(crate) type Object = Retained<AnyObject>;

pub(crate) fn string(text: &str) -> Object {
    NSString::from_str(text).into()
}

pub(crate) fn number(value: u64) -> Object {
    NSNumber::new_u64(value).into()
}

pub(crate) fn array(objects: impl IntoIterator<Item = Object>) -> Object {
    let objects: Vec<Object> = objects.into_iter().collect();
    NSArray::from_retained_slice(&objects).into()
}

pub(crate) fn dictionary(
    entries: &[(&str, Object)],
) -> Retained<NSDictionary<NSString, AnyObject>> {
    let keys: Vec<Retained<NSString>> =
        entries.iter().map(|(k, _)| NSString::from_str(k)).collect();
    let keys: Vec<&NSString> = keys.iter().map(|key| &**key).collect();
    let objects: Vec<Object> = entries.iter().map(|(_, object)| object.clone()).collect();
    NSDictionary::from_retained_objects(&keys, &objects)
}

/// The pairs of a dictionary; `None` when the object is no dictionary.
pub(crate) fn pairs(object: Option<&AnyObject>) -> Option<Vec<(Object, Object)>> {
    let (keys, objects) = object?.downcast_ref::<NSDictionary>()?.to_vecs();
    Some(keys.into_iter().zip(objects).collect())
}

/// The elements of an array; `None` when the object is no array.
pub(crate) fn elements(object: Option<&AnyObject>) -> Option<Vec<Object>> {
    Some(object?.downcast_ref::<NSArray>()?.to_vec())
}

/// The text of a string; `None` when the object is none.
pub(crate) fn text(object: Option<&AnyObject>) -> Option<String> {
    Some(object?.downcast_ref::<NSString>()?.to_string())
}

/// The value of a number that is not negative; `None` when the object is none.
pub(crate) fn value(object: Option<&AnyObject>) -> Option<u64> {
    let number = object?.downcast_ref::<NSNumber>()?;
    u64::try_from(number.as_i64()).ok()
}

/// The object under a key of a dictionary whose keys are strings.
pub(crate) fn entry(object: Option<&AnyObject>, key: &str) -> Option<Object> {
    object?
        .downcast_ref::<NSDictionary>()?
        .objectForKey(&string(key))
}
