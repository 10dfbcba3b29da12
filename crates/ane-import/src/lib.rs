//! Models of others: PyTorch's ATen graphs and Keras's configurations as models and programs of ours.

#![forbid(unsafe_code)]
