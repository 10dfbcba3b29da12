//! NumPy arrays as programs read and write them.

use crate::errors::InputError;
use numpy::{PyReadonlyArrayDyn, PyReadwriteArrayDyn};
use pyo3::{FromPyObject, PyResult};

/// An array that is read.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    /// Real numbers.
    #[pyo3(transparent)]
    Real(PyReadonlyArrayDyn<'py, f32>),
    /// Integers.
    #[pyo3(transparent)]
    Integer(PyReadonlyArrayDyn<'py, i64>),
    /// Truth values.
    #[pyo3(transparent)]
    Truth(PyReadonlyArrayDyn<'py, bool>),
}

/// An array that is written.
#[derive(FromPyObject)]
pub(crate) enum Taken<'py> {
    /// Real numbers.
    #[pyo3(transparent)]
    Real(PyReadwriteArrayDyn<'py, f32>),
    /// Integers.
    #[pyo3(transparent)]
    Integer(PyReadwriteArrayDyn<'py, i64>),
    /// Truth values.
    #[pyo3(transparent)]
    Truth(PyReadwriteArrayDyn<'py, bool>),
}

/// The elements of an array that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elements<'a> {
    Real(&'a [f32]),
    Integer(&'a [i64]),
    Truth(&'a [bool]),
}

/// The elements of an array that is written.
#[derive(Debug)]
pub(crate) enum ElementsMut<'a> {
    Real(&'a mut [f32]),
    Integer(&'a mut [i64]),
    Truth(&'a mut [bool]),
}

fn scattered(_: impl std::fmt::Debug) -> pyo3::PyErr {
    InputError::new_err("an array is not contiguous; expected one from numpy.ascontiguousarray")
}

impl Given<'_> {
    /// Its elements in order.
    pub(crate) fn elements(&self) -> PyResult<Elements<'_>> {
        Ok(match self {
            Self::Real(x) => Elements::Real(x.as_slice().map_err(scattered)?),
            Self::Integer(x) => Elements::Integer(x.as_slice().map_err(scattered)?),
            Self::Truth(x) => Elements::Truth(x.as_slice().map_err(scattered)?),
        })
    }
}

impl Taken<'_> {
    /// Its elements in order.
    pub(crate) fn elements(&mut self) -> PyResult<ElementsMut<'_>> {
        Ok(match self {
            Self::Real(x) => ElementsMut::Real(x.as_slice_mut().map_err(scattered)?),
            Self::Integer(x) => ElementsMut::Integer(x.as_slice_mut().map_err(scattered)?),
            Self::Truth(x) => ElementsMut::Truth(x.as_slice_mut().map_err(scattered)?),
        })
    }
}
